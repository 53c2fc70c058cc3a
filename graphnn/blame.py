"""Blame: which node made the first NaN or infinity of a run, found by replaying it from a kept state.

A loop watches its loss alone, which costs nothing. When that fails, the state from the start of the epoch is put back
and the steps since are run again, one by one, up to the first that leaves anything non-finite: a gradient may have
ruined the parameters a step before the loss shows it. The nodes of that step are then computed one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .backends.program import Batches, Program
from .errors import NonFiniteError
from .ir.graph import Graph
from .ir.leaf import Input, Parameter
from .ir.node import Node, describe
from .ir.walk import evaluate, walk
from .repro import Evidence

__all__ = ["Rewind", "blame", "replay"]


class Rewind:
    """The orders of a loop's epochs, and the state from which those not yet done began.

    A program pulls the order of an epoch when that begins, or of several ahead; the state is kept whenever none is
    under way. What was finite then, and is `watched`, must be so when they are done: a gradient may ruin a parameter
    in the last step, and no loss comes after it.
    """

    def __init__(
        self, parameters: Sequence[Parameter], orders: Iterable[np.ndarray | None], watched: bool = True
    ) -> None:
        self.parameters = tuple(parameters)
        self.watched = watched
        self.finite: tuple[Parameter, ...] = ()
        """Those that were finite when the state was kept."""
        self.first = 0
        """The epoch, counted from 0, at whose start the state was kept."""
        self.since: list[np.ndarray | None] = []
        """The orders pulled since then."""
        self.done = 0
        self.stopped = False
        self._orders = orders
        self._kept = [np.empty_like(p.storage) for p in self.parameters]

    def __iter__(self) -> Iterator[np.ndarray | None]:
        for order in self._orders:
            if self.stopped:
                return
            if self.first + len(self.since) == self.done:
                self.keep()
            self.since.append(order)
            yield order

    def keep(self) -> None:
        """Keep the state as it is now."""
        self.first, self.since = self.done, []
        self.finite = tuple(p for p in self.parameters if p.dtype.kind == "f" and _is_finite(p.storage))
        for kept, parameter in zip(self._kept, self.parameters, strict=True):
            np.copyto(kept, parameter.storage)

    def epoch_done(self, done: int) -> None:
        """So many epochs are done. Parameters are looked at once none is under way: those pulled together run as one.

        Raises:
            NonFiniteError: when a parameter is not finite any more.
        """
        if self.watched and done == self.first + len(self.since):
            ruined = next((p for p in self.finite if not _is_finite(p.storage)), None)
            if ruined is not None:
                raise NonFiniteError(f"epoch {done}: {describe(ruined)} is not finite any more.")
        self.done = done

    def restore(self) -> None:
        """Put the kept state back."""
        for kept, parameter in zip(self._kept, self.parameters, strict=True):
            np.copyto(parameter.storage, kept)


@dataclass(frozen=True)
class _Failure:
    """The step that went wrong, and what it was fed; the parameters stand as before it."""

    epoch: int
    step: int
    feeds: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]


def replay(graph: Graph, program: Program, batches: Batches, rewind: Rewind) -> NonFiniteError | None:
    """The error that names the first bad node of a failed loop, None when a replay stays finite.

    The parameters are left at the last good step: as they were before the one that made anything non-finite.
    """
    rewind.restore()
    failure = _first_failure(program, batches, rewind)
    if failure is None:
        return None
    where = f"epoch {failure.epoch + 1}, batch {failure.step + 1}: "
    error = blame(graph, failure.feeds, failure.sizes, where)
    if error is not None:
        error.epoch, error.batch = failure.epoch + 1, failure.step + 1
    return error


def _first_failure(program: Program, batches: Batches, rewind: Rewind) -> _Failure | None:
    for epoch, order in enumerate(rewind.since, start=rewind.first):
        for step, start in enumerate(batches.starts):
            feeds, sizes = batches.at(start, order)
            before = [p.storage.copy() for p in rewind.parameters]
            try:
                program.call(feeds, sizes)
                good = all(_is_finite(p.storage) for p in rewind.finite)
            except NonFiniteError:
                good = False
            if not good:
                for parameter, value in zip(rewind.parameters, before, strict=True):
                    np.copyto(parameter.storage, value)
                return _Failure(epoch, step, feeds, sizes)
    return None


def blame(
    graph: Graph, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int], where: str = ""
) -> NonFiniteError | None:
    """The error that names the first node to become non-finite on these feeds, None when all results are finite.

    Only nodes that a non-finite output or update depends on are blamed: an infinity on purpose, such as that of a
    mask, is innocent where its user makes something finite of it. The first node that makes one of finite operands is
    blamed; where there is none, an input or parameter that was bad already, or the first node to make a NaN.
    """
    values: Mapping[Node, Any] = _values(graph, feeds, sizes)
    found = _culprit(graph.nodes, (*graph.outputs.values(), *graph.updates.values()), values)
    if found is None:
        return None
    direction = graph.roles[found]
    leaves = {leaf: np.array(values[leaf]) for leaf in (*graph.inputs.values(), *graph.parameters.values())}
    evidence = Evidence(found, leaves, sizes)
    found, values, inside = _inside(found, values, sizes)
    error = NonFiniteError(where + _told(found, direction, values, inside))
    error.node, error.direction, error.evidence = found, direction, evidence
    return error


def _culprit(nodes: Sequence[Node], roots: Sequence[Node], values: Mapping[Node, Any]) -> Node | None:
    bad = [node for node in roots if _is_bad(values[node])]
    if not bad:
        return None
    guilty = set(walk(bad))
    suspects = [n for n in nodes if n in guilty and n.operands and _is_bad(values[n])]
    nans = [n for n in suspects if _holds_nan(values[n]) and not any(_holds_nan(values[op]) for op in n.operands)]
    fresh = [n for n in suspects if not any(_is_bad(values[op]) for op in n.operands)]
    fed = [n for n in nodes if n in guilty and isinstance(n, (Input, Parameter)) and _is_bad(values[n])]
    return next(iter(fresh or fed or nans or suspects or bad))


def _inside(node: Node, values: Mapping[Node, Any], sizes: Mapping[str, int]) -> tuple[Node, Mapping[Node, Any], str]:
    """The culprit within the bodies that a node runs, the values there, and words for where; itself without bodies."""
    inside = ""
    while node.operands and node.bodies():
        for body, given, when in node.at(sizes).body_runs(np, *(values[operand] for operand in node.operands)):
            held = _computed(body.graph.nodes, given, sizes)
            found = _culprit(body.graph.nodes, body.results, held)
            if found is not None and found.operands:
                inside += f", in {when} of {describe(node)}"
                node, values = found, held
                break
        else:
            break
    return node, values, inside


def _values(graph: Graph, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> dict[Node, Any]:
    """The value of every node."""
    leaves = {node: feeds[node.name] for node in graph.inputs.values()}
    return _computed(graph.nodes, leaves | {p: p.storage for p in graph.parameters.values()}, sizes)


def _computed(nodes: Sequence[Node], given: Mapping[Any, Any], sizes: Mapping[str, int]) -> dict[Node, Any]:
    """The values of nodes, computed one by one with `forward`."""
    with np.errstate(all="ignore"):
        return dict(zip(nodes, evaluate(nodes, given, np, sizes), strict=True))


def _is_finite(array: np.ndarray) -> bool:
    """Is every element finite? By its extremes, for which nothing is allocated; NaN is either."""
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _arrays(value: Any) -> tuple[np.ndarray, ...]:
    arrays = value if isinstance(value, tuple) else (value,)
    return tuple(a for a in map(np.asarray, arrays) if a.dtype.kind == "f")


def _is_bad(value: Any) -> bool:
    return not all(np.isfinite(a).all() for a in _arrays(value))


def _holds_nan(value: Any) -> bool:
    return any(np.isnan(a).any() for a in _arrays(value))


def _told(node: Node, direction: str, values: Mapping[Node, Any], inside: str) -> str:
    array = next(a for a in _arrays(values[node]) if not np.isfinite(a).all())
    at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    place = f" at {at}" if at else ""
    if not node.operands:
        return f"{describe(node)} is {array[at]}{place} already when the step begins."
    ranges = "; ".join(f"{describe(operand)} is {_range(values[operand])}" for operand in dict.fromkeys(node.operands))
    return (
        f"{describe(node)}{inside}, in the {direction} half, makes the first value that is not finite: "
        f"{array[at]}{place}. Its operands: {ranges}. The parameters stand as before this step. "
        "Likely causes: a learning rate too large, or a logarithm, root or division near zero."
    )


def _range(value: Any) -> str:
    arrays = [np.asarray(a) for a in (value if isinstance(value, tuple) else (value,))]
    parts = []
    for array in arrays:
        if not array.size:
            parts.append("empty")
            continue
        whole = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        lies = f"in {whole.min():.6g}..{whole.max():.6g}" if whole.size else "nowhere finite"
        bad = array.size - whole.size
        parts.append(f"{lies}, {bad} of {array.size} elements not finite" if bad and whole.size else lies)
    return ", ".join(parts)
