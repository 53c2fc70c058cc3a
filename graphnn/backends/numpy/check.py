"""The self-check of a bound program: with `GRAPHNN_CHECK=1`, its first run is compared with a reference, step by step.

Before the run, the arena is filled with garbage. When the plan says that a value is not needed any more, its memory is
filled with garbage too. After each step, its result is compared with that of the op's `forward` on copies that are kept
apart. This finds a step that writes where it should not, reads a value that is gone, or relies on the content of
scratch memory, and an op whose `view` or `overwrites` is wrong. The error names the op and the source line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import BackendError, GraphNNError
from ...ir.leaf import Input, Parameter
from ...ir.node import Call, Node, describe
from ...ops.composite import Composite
from ...plan.memory import Step
from .calls import Calls, watch

if TYPE_CHECKING:
    from .bound import Bound

__all__ = ["checked_run", "close", "difference"]

_GARBAGE = 0xFF
"""With these bytes, a float is NaN, a signed integer is -1, and an unsigned one is the largest."""


def checked_run(bound: Bound, calls: Calls, take_outputs: Callable[[], object]) -> None:
    """Run once, as `Bound.run` does, and compare every step of the plan with its reference.

    Raises:
        BackendError: when a step differs; the message names the op, the node and its source line.
    """
    _Check(bound, calls).run(take_outputs)


class _Check:
    def __init__(self, bound: Bound, calls: Calls) -> None:
        self.bound, self.calls, self.plan = bound, calls, bound.plan
        self.arrays = calls.arrays
        self.truth: dict[Node, Any] = {}
        self.steps = {step.node: i for i, step in enumerate(self.plan.steps)}
        self.dying: dict[int, list[Node]] = {}
        for node, value in self.plan.values.items():
            owner = self.plan.values[value.base]
            if owner.slots and owner.place == "arena":
                self.dying.setdefault(owner.last, []).append(node)

    def run(self, take_outputs: Callable[[], object]) -> None:
        self._fill_arena()
        taken = False
        for node in self.plan.graph.schedule:
            i = self.steps.get(node)
            if i is None:
                self.truth[node] = self._before_steps(node)
                continue
            if i == self.plan.outputs_done:
                self._take(take_outputs)
                taken = True
            self._step(i, self.plan.steps[i])
        if not taken:
            self._take(take_outputs)
        for call in self.calls.lands:
            call()

    def _run(self, calls: list[Call], node: Node) -> None:
        try:
            for call in calls:
                call()
        except GraphNNError:
            raise
        except Exception as error:
            raise self.bound.failure(node, error) from error

    def _take(self, take_outputs: Callable[[], object]) -> None:
        for node in self.plan.graph.outputs.values():
            if not _same(self.arrays[node], self.truth[node]):
                raise _wrong(node, "is an output, and its memory was changed before the output was taken")
        watch(self.calls)
        take_outputs()

    def _fill_arena(self) -> None:
        inputs = [(self.bound.arrays[node], self.bound.arrays[node].copy()) for node in self.plan.graph.inputs.values()]
        self.bound.arena.fill(_GARBAGE)
        for place, value in inputs:
            np.copyto(place, value)

    def _before_steps(self, node: Node) -> Any:
        """The reference for a node that no step computes: a copy, or a view of the reference for its operand."""
        value = self.plan.values[node]
        if value.place == "constant":
            return self.arrays[node]
        if isinstance(node, (Input, Parameter)):
            return self.arrays[node].copy()
        return self._forward(node)

    def _forward(self, node: Node) -> Any:
        operands = [_read_only(self.truth[operand]) for operand in node.operands]
        try:
            made = node.at(self.bound.sizes).forward(np, *operands)
        except GraphNNError:
            raise
        except ValueError as error:
            if "read-only" in str(error):
                raise _wrong(node, f"writes into an operand in forward: {error}") from error
            raise _wrong(node, f"runs, but its forward fails: {error}") from error
        except Exception as error:
            raise _wrong(node, f"runs, but its forward fails: {error}") from error
        if node in self.steps:
            self._refuse_alias(node, made, operands)
        return made

    def _step(self, i: int, step: Step) -> None:
        node = step.node
        for operand in node.operands:
            if operand not in self.truth or not _same(self.arrays[operand], self.truth[operand]):
                raise _wrong(node, f"reads {describe(operand)}, whose memory holds something else by now")
        self._run(self.calls.by_step[i], node)
        for operand in node.operands:
            if not self._taken(operand, step) and not _same(self.arrays[operand], self.truth[operand]):
                raise _wrong(node, f"changes its operand {describe(operand)}, which `overwrites` does not say")
        expected = self._forward(node)
        self._compare(node, self.arrays[node], expected, "computes something else than its forward")
        self._try_overwrites(step, expected)
        self.truth[node] = _copy(self.arrays[node])
        self._bury(i, step)

    def _taken(self, operand: Node, step: Step) -> bool:
        """Does the plan let this step write into the memory of the operand?"""
        base = self.plan.values[operand].base
        return base is step.over or base is step.into

    def _refuse_alias(self, node: Node, made: Any, operands: list[Any]) -> None:
        """Refuse an operand that is returned as the result. A view of it is allowed: some sizes may give one."""
        if isinstance(node, Composite):  # its expansion may be an operand; `bind` copies that
            return
        for operand, passed in zip(node.operands, operands, strict=True):
            if any(result is passed for result in (made if isinstance(made, tuple) else (made,))):
                raise _wrong(node, f"returns its operand {describe(operand)} itself in forward, but `view` says no")

    def _compare(self, node: Node, actual: Any, expected: Any, what: str) -> None:
        if node.random:
            return
        operands = [part for operand in node.operands for part in _parts(self.truth[operand])]
        for a, e in zip(_parts(actual), _parts(expected), strict=True):
            if a.shape != e.shape or a.dtype != e.dtype:
                raise _wrong(node, f"{what}: {a.dtype} {a.shape}, not {e.dtype} {e.shape}")
            if not close(a, e, operands):
                raise _wrong(node, f"{what}: {difference(a, e)}")

    def _try_overwrites(self, step: Step, expected: Any) -> None:
        """For each operand that may be overwritten, run the op once more with its result in a copy of the operand."""
        node = step.node
        allowed = node.overwrites()
        for k in allowed:
            operand = node.operands[k]
            stands = {i for i, other in enumerate(node.operands) if other is operand}
            if operand.spec != node.spec or not stands <= set(allowed) or operand is step.over:
                continue
            over = np.array(self.truth[operand], order="C")  # in C order, as it would be in the arena
            ins = [over if other is operand else self.truth[other] for other in node.operands]
            working = (*node.scratch(), *node.tables())
            scratch = tuple(np.empty(s.concrete(self.bound.sizes), s.dtype) for s in working)
            calls = node.at(self.bound.sizes).bind(np, tuple(ins), over, scratch)
            for array in scratch[: len(node.scratch())]:
                _poison(array)
            self._run(calls, node)
            what = f"is wrong when it overwrites {describe(operand)}, which `overwrites` allows"
            self._compare(node, over, expected, what)

    def _bury(self, i: int, step: Step) -> None:
        """Fill the memory of scratch, and of values that are not needed any more, with garbage."""
        for slot, spec in zip(step.scratch, step.node.scratch(), strict=True):
            _poison(self.bound.memory(slot, spec.concrete(self.bound.sizes), spec.dtype))
        for node in self.dying.get(i, ()):
            if not self.plan.values[node].is_view and node is not step.over:
                for part in _parts(self.arrays[node]):
                    _poison(part)
            self.truth.pop(node, None)


def _parts(value: Any) -> tuple[np.ndarray, ...]:
    return tuple(map(np.asarray, value)) if isinstance(value, tuple) else (np.asarray(value),)


def _copy(value: Any) -> Any:
    return tuple(np.array(part) for part in value) if isinstance(value, tuple) else np.array(value)


def _poison(array: np.ndarray) -> None:
    array.reshape(-1).view(np.uint8).fill(_GARBAGE)


def _read_only(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_read_only(part) for part in value)
    view = np.asarray(value).view()
    view.flags.writeable = False
    return view


def _same(a: Any, b: Any) -> bool:
    """The same bits, or NaN for NaN."""
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(_parts(a), _parts(b), strict=True))


def close(actual: np.ndarray, expected: np.ndarray, operands: list[np.ndarray], coarse: float = 0.0) -> bool:
    """Are two results equal up to rounding? It is measured by the largest number involved, since sums may cancel.

    `coarse` is a relative tolerance, for results that are computed with fewer digits than their dtype has.
    """
    if actual.dtype.kind != "f":
        return bool(np.array_equal(actual, expected))
    scale = max((_largest(array) for array in (expected, *operands) if array.dtype.kind == "f"), default=0.0)
    tolerance = max(coarse, float(np.finfo(actual.dtype).eps) ** 0.5) * scale
    return bool(np.allclose(actual, expected, rtol=0.0, atol=tolerance, equal_nan=True))


def _largest(array: np.ndarray) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max()) if finite.size else 0.0


def difference(actual: np.ndarray, expected: np.ndarray) -> str:
    """The first elements that differ, and where."""
    unequal = ~((actual == expected) | ((actual != actual) & (expected != expected)))
    at = tuple(int(i) for i in np.argwhere(unequal)[0])
    return f"{actual[at]}, not {expected[at]}" + (f", at {at}" if at else "")


def _wrong(node: Node, what: str) -> BackendError:
    return BackendError(f"GRAPHNN_CHECK: {describe(node)} {what}: mend {node.op}, or the plan that led to it.")
