"""Tracing: call the functions of loops and branches once, with nodes, and make bodies of the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.body import Body, Placeholder, close
from ..ir.context import recording
from ..ir.node import Node, describe
from ..ir.spec import Dim, as_dim
from ..ir.walk import walk
from .random import in_loop

__all__ = ["INDEX", "LoopTrace", "trace_branches"]

INDEX = np.dtype(np.int64)
"""The dtype of the place in a loop."""


class LoopTrace:
    """The function of a loop, called once with placeholders."""

    def __init__(self, body: Callable[..., Any], init: Any, xs: Any, length: Any) -> None:
        if isinstance(body, Node) or not callable(body):
            raise GraphError(f"Scan: the body is {body!r}; it is a function of the carry and a slice of xs.")
        self.function = body
        self.one_carry, self.init = _nodes("Scan: init", init)
        self.one_x, self.xs = _nodes("Scan: xs", () if xs is None else xs)
        self.with_xs = xs is not None
        self.length = self._length(length)
        self._call()

    def _length(self, length: Any) -> Dim:
        found = None if length is None else as_dim(length)
        for x in self.xs:
            if not x.ndim:
                raise ShapeError(f"Scan: {describe(x)} has no axis to go through; what stays the same needs no xs.")
            if found is not None and x.shape[0] != found:
                first = self.xs[0]
                other = f"the length is {found}" if x is first else f"{describe(first)} has {first.shape[0]}"
                raise ShapeError(f"Scan: {describe(x)} has {x.shape[0]} slices, but {other}. They must be as many.")
            found = x.shape[0]
        if found is None:
            raise GraphError("Scan: without xs a loop needs a length, as in length=10 or length='T'.")
        return found

    def _call(self) -> None:
        own = [Placeholder(f"carry{i}", node.shape, node.dtype) for i, node in enumerate(self.init)]
        own += [Placeholder(f"x{i}", node.shape[1:], node.dtype) for i, node in enumerate(self.xs)]
        own.append(Placeholder("place", (), INDEX))
        count = len(self.init)
        carry = own[0] if self.one_carry else tuple(own[:count])
        slices = own[count] if self.one_x else tuple(own[count:-1])
        with recording() as built, in_loop(own[-1], self.length):
            returned = self.function(carry, slices) if self.with_xs else self.function(carry)
            carries, ys = self._read(returned)
            self._check(carries)
        self.shown = len(ys)
        self.updates = _carried_forward(built, own)
        self.body, self.captured = close([*carries, *ys, *own[:count]], own, frozenset(built), hoist=True)

    def _read(self, returned: Any) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise GraphError(
                f"Scan: the body returned {_show(returned)}; it returns (next carry, y), where y may be None."
            )
        one, carries = _nodes("Scan: the carry that the body returned", returned[0])
        if one != self.one_carry or len(carries) != len(self.init):
            said = "one node" if self.one_carry else f"a tuple of {len(self.init)}"
            raise GraphError(f"Scan: the carry is {said}, but the body returned {_show(returned[0])} for it.")
        return carries, () if returned[1] is None else _nodes("Scan: the y that the body returned", returned[1])[1]

    def _check(self, carries: tuple[Node, ...]) -> None:
        for i, (new, old) in enumerate(zip(carries, self.init, strict=True)):
            if new.spec != old.spec:
                kind = ShapeError if new.shape != old.shape else DTypeError
                raise kind(
                    f"Scan: carry {i} begins as {describe(old)} but becomes {describe(new)} after one turn: "
                    "a carry keeps its shape and dtype. Begin with a value of the latter's."
                )


def _carried_forward(built: Sequence[Node], own: Sequence[Node]) -> dict[Any, Node]:
    """The state updates of what was built in a body.

    Raises:
        GraphError: for a state that depends on the turn: there is one state for each step, not for each turn.
    """
    found: dict[Any, Node] = {}
    for node in built:
        for parameter, value in node.state_updates().items():
            if not frozenset(own).isdisjoint(walk([value])):
                raise GraphError(
                    f"Scan: {describe(node)} carries {describe(parameter)} from step to step, and cannot do so from "
                    "turn to turn of a loop. Put it outside, or use an op that keeps nothing, such as LayerNorm."
                )
            found[parameter] = value
    return found


def trace_branches(then: Any, otherwise: Any) -> tuple[Body, Body, tuple[Node, ...], bool, dict[Any, Node]]:
    """The bodies of two functions, called once each, with the same captured nodes."""
    called = [_branch(name, function) for name, function in (("then", then), ("otherwise", otherwise))]
    (one, first, _), (other, second, _) = called
    if one != other or len(first) != len(second):
        raise GraphError(
            f"Cond: the branches return {_show(first if not one else first[0])} and "
            f"{_show(second if not other else second[0])}: as many nodes are needed from both."
        )
    for a, b in zip(first, second, strict=True):
        if a.spec != b.spec:
            kind = ShapeError if a.shape != b.shape else DTypeError
            raise kind(f"Cond: one branch gives {describe(a)}, the other {describe(b)}: they must be of one spec.")
    built = [*called[0][2], *called[1][2]]
    # Closed together, so that both read the same placeholders.
    body, captured = close([*first, *second], (), frozenset(built), hoist=False)
    then_body, other_body = (
        Body((), body.captured, part) for part in (body.results[: len(first)], body.results[len(first) :])
    )
    return then_body, other_body, captured, one, _carried_forward(built, ())


def _branch(name: str, function: Any) -> tuple[bool, tuple[Node, ...], list[Node]]:
    if isinstance(function, Node) or not callable(function):
        what = describe(function) if isinstance(function, Node) else repr(function)
        raise GraphError(
            f"Cond: '{name}' is {what}; it is a function, as in lambda: x * 2: what it builds belongs to the branch."
        )
    with recording() as built:
        one, results = _nodes(f"Cond: what '{name}' returned", function())
    if not results:
        raise GraphError(f"Cond: '{name}' returned nothing: a branch gives a node, or a tuple of nodes.")
    return one, results, built


def _nodes(what: str, given: Any) -> tuple[bool, tuple[Node, ...]]:
    """Is the result a single node, and a tuple of the nodes; numbers become constants."""
    one = not isinstance(given, (tuple, list))
    nodes = []
    for value in (given,) if one else given:
        if isinstance(value, Node) and not isinstance(value.spec, tuple):
            nodes.append(value)
        elif isinstance(value, (int, float, np.ndarray, np.generic)):
            nodes.append(Node.roles["constant"](value))
        else:
            raise GraphError(f"{what} is {_show(value)}; it must be a node, or a tuple of nodes.")
    return one, tuple(nodes)


def _show(value: Any) -> str:
    if isinstance(value, Node):
        return describe(value)
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_show, value))})"
    return repr(value)
