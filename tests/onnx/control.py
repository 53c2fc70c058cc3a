"""Control flow: what a case decides while it is translated. A loop of known length is written out."""

import numpy as np

from .adapter import Scope, UnsupportedError, constant, op, rule

MOST = 100
"""Loops longer than this are not written out."""


def inside(call, graph, **given):
    """A body's results, over the values around it."""
    scope = Scope(call.scope.data, call.scope)
    scope.values.update(given)
    return scope.run(graph, call.opset)


@rule("If")
def if_(call):
    taken = "then_branch" if bool(call.known(0).reshape(())) else "else_branch"
    return inside(call, call.get(taken))


@rule("Loop")
def loop(call):
    body, state = call.get("body"), list(call.inputs[2:])
    most = int(call.known(0).reshape(())) if call[0] is not None else MOST + 1
    going = call[1] is None or bool(call.known(1).reshape(()))
    names = [value.name for value in body.input]
    rows = []
    step = 0
    while going and step < most:
        if step > MOST:
            raise UnsupportedError("a loop whose length is not known")
        found = inside(call, body, **dict(zip(names, (constant(np.int64(step)), constant(True), *state), strict=True)))
        going, state = bool(call.scope.known(found[0]).reshape(())), found[1 : 1 + len(state)]
        rows.append(found[1 + len(state) :])
        step += 1
    if not rows and len(body.output) > 1 + len(state):
        raise UnsupportedError("a loop of no steps that gathers rows")
    return [*state, *(op("Stack")(tuple(column), 0) for column in zip(*rows, strict=True))]


@rule("Scan")
def scan(call):
    if call.opset < 9:
        raise UnsupportedError("the batched Scan of opset 8")
    body, count = call.get("body"), call.get("num_scan_inputs")
    if any(call.get(f"scan_{end}_{what}") for end in ("input", "output") for what in ("axes", "directions")):
        axes = [
            n
            for end in ("input", "output")
            for what in ("axes", "directions")
            for n in call.get(f"scan_{end}_{what}", [])
        ]
        if any(axes):
            raise UnsupportedError("Scan along other axes or backwards")
    state, columns = list(call.inputs[:-count]), call.inputs[-count:]
    names = [value.name for value in body.input]
    rows = []
    for step in range(columns[0].shape[0]):
        elements = [op("Squeeze")(op("Slice")(column, step, step + 1), 0) for column in columns]
        found = inside(call, body, **dict(zip(names, (*state, *elements), strict=True)))
        state = found[: len(state)]
        rows.append(found[len(state) :])
    return [*state, *(op("Stack")(tuple(column), 0) for column in zip(*rows, strict=True))]
