"""Bisection: find the pass that changed a result, and in it the rule and the node.

The passes are applied one after the other until a result differs. That pass is then repeated with a limit on the number
of its replacements, and bisection finds the replacement that makes the difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..ir.graph import Graph
from ..ir.node import Node, describe
from ..transform.passes import Pass
from ..transform.record import INSIDE, Fired, Record

__all__ = ["Finding", "bisect"]

Run = Callable[[Graph], Mapping[str, np.ndarray]]
_TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-9}
"""By the bytes of a float dtype, the tolerances for a pass that is not exact: absolute, and relative to the largest."""


@dataclass(frozen=True)
class Finding:
    """The pass that changed a result, found by `Executable.bisect`; prints as a sentence."""

    culprit: Pass
    rule: str | None
    """The name of the rule in words; None for a pass that is not made of rules."""
    node: Node | None
    """The node that the rule replaced."""
    answer: Node | None
    """The node that it was replaced by."""
    result: str
    """The result that differs the most: an output, or a parameter after its update."""
    difference: float
    """The largest difference of its elements; infinite if an element is finite in only one of the two."""

    def __str__(self) -> str:
        at = ""
        if self.rule is not None and self.node is not None and self.answer is not None:
            at = f", by the rule '{self.rule}' at {describe(self.node)}, which became {describe(self.answer)}"
        return (
            f"the pass '{self.culprit.name}' ({self.culprit.numerics}){at}: "
            f"'{self.result}' differs by up to {self.difference:.3g}"
        )


def bisect(
    declared: Graph, passes: Sequence[Pass], run: Run, rtol: float | None = None, atol: float | None = None
) -> Finding | None:
    """The first pass after which a result differs from that before it; None if there is none.

    `run` returns the results of a graph by name. An exact pass must keep every bit. Any other pass may change a result
    within the tolerances, by default those for its dtype. Before each run, the required passes that are still to come
    are applied as well.
    """
    graph, before = declared, run(_runnable(declared, passes))
    for i, p in enumerate(passes):
        changed, record = p.run(graph)
        rest = passes[i + 1 :]
        after = before if changed is graph else run(_runnable(changed, rest))
        worst = _worst(before, after, p, rtol, atol)
        if worst is not None:
            fired = _culprit(p, graph, record, lambda g, rest=rest: run(_runnable(g, rest)), before, (rtol, atol))  # type: ignore[misc]
            rule, node, answer = (fired.rule, fired.node, fired.after) if fired else (None, None, None)
            return Finding(p, rule, node, answer, *worst)
        graph, before = changed, after
    return None


def _runnable(graph: Graph, rest: Sequence[Pass]) -> Graph:
    for p in rest:
        if p.required:
            graph = p.apply(graph)
    return graph


def _culprit(
    p: Pass,
    graph: Graph,
    record: Record,
    run: Run,
    before: Mapping[str, np.ndarray],
    tolerances: tuple[float | None, float | None],
) -> Fired | None:
    """The replacement that makes the difference: with it and those before it, results differ; without it, not."""
    good, bad = 0, len(record.fired)
    if not bad or not _differs(p, graph, bad, run, before, tolerances):
        return None
    while bad - good > 1:
        middle = (good + bad) // 2
        if _differs(p, graph, middle, run, before, tolerances):
            bad = middle
        else:
            good = middle
    _, record = p.run(graph, limit=bad)
    return [fired for fired in record.fired if fired.rule != INSIDE][-1]


def _differs(
    p: Pass,
    graph: Graph,
    limit: int,
    run: Run,
    before: Mapping[str, np.ndarray],
    tolerances: tuple[float | None, float | None],
) -> bool:
    return _worst(before, run(p.run(graph, limit=limit)[0]), p, *tolerances) is not None


def _worst(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    p: Pass,
    rtol: float | None,
    atol: float | None,
) -> tuple[str, float] | None:
    """The result that differs the most, by more than the pass may change, and the difference; None if none does."""
    found = [(name, _difference(value, after[name])) for name, value in before.items()]
    beyond = [(name, by) for name, by in found if by > _allowed(before[name], p, rtol, atol)]
    return max(beyond, key=lambda pair: pair[1], default=None)


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    if np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
        return 0.0
    with np.errstate(all="ignore"):
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
    same = (a == b) | ((a != a) & (b != b))
    gap = np.where(same, 0.0, np.where(np.isfinite(gap), gap, np.inf))
    return float(gap.max())


def _allowed(value: np.ndarray, p: Pass, rtol: float | None, atol: float | None) -> float:
    if value.dtype.kind != "f" or (p.numerics == "exact" and rtol is None and atol is None):
        return 0.0
    if p.numerics == "rounding":  # its purpose is to change results
        return math.inf
    default = _TOLERANCE[value.dtype.itemsize]
    finite = value[np.isfinite(value)]
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    return (default if atol is None else atol) + (default if rtol is None else rtol) * largest


@contextmanager
def kept_parameters(graph: Graph) -> Iterator[None]:
    """A context manager that writes the old values of all parameters back at the end."""
    kept = [(p, p.value) for p in graph.parameters.values()]
    try:
        yield
    finally:
        for parameter, value in kept:
            parameter.storage[...] = value
