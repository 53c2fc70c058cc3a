"""The NumPy backend: each step of the plan becomes a few calls that need no arguments, bound once for each batch size.

Running is a flat loop over those calls. Every value has its place in the arena, views are made while binding, so a
step allocates nothing. Errors a call can raise are turned into messages about the node, since bound calls know it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..errors import BackendError, GraphNNError, NonFiniteError
from ..ir.graph import Graph
from ..ir.labels import check_labels
from ..ir.leaf import Input, Parameter
from ..ir.node import Call, Node, describe
from ..plan.memory import ALIGNMENT, Plan, Step
from ..transform.expand import expand
from ..transform.fold import fold
from ..transform.passes import Pass
from ..transform.share import share
from ..transform.simplify import simplify
from ..transform.stabilise import stabilise
from .program import Batches

__all__ = ["PASSES", "NumpyProgram", "bind"]

PASSES: tuple[Pass, ...] = (stabilise, expand, simplify, share, fold, simplify)
"""Fusing elementwise steps is left to compiled backends: interpreted, it only costs."""

_GATHER_BYTES = 4 << 20
"""A loop gathers this many bytes of shuffled samples at a time: one gather for many small batches."""
_KEPT = 64
"""Unshuffled batches whose calls are kept from epoch to epoch."""


def bind(plan: Plan, check_finite: str | None) -> NumpyProgram:
    """The plan as a program."""
    return NumpyProgram(plan, check_finite)


class NumpyProgram:
    """A plan and one arena; for each set of sizes the calls bound to it."""

    def __init__(self, plan: Plan, check_finite: str | None) -> None:
        self.plan = plan
        self.check_finite = check_finite
        self._arena = _aligned_bytes(0)
        self._bound: dict[tuple[tuple[str, int], ...], _Bound] = {}

    def bound(self, sizes: Mapping[str, int]) -> _Bound:
        """The calls for these sizes, over the one arena; a larger arena binds everything anew."""
        key = tuple(sorted(sizes.items()))
        found = self._bound.get(key)
        if found is None:
            needed = self.plan.offsets(sizes)[1]
            if needed > self._arena.nbytes:
                self._bound.clear()
                self._arena = _aligned_bytes(needed)
            elif len(self._bound) >= 8:
                self._bound.pop(next(iter(self._bound)))
            found = self._bound[key] = _Bound(self.plan, self._arena, dict(sizes), self.check_finite)
        return found

    def call(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """Run once; the outputs, as copies."""
        bound = self.bound(sizes)
        bound.feed(feeds)
        results: list[np.ndarray] = []
        with np.errstate(all="ignore"):
            bound.run(bound.calls(), lambda: results.extend([array.copy() for array in bound.outputs]))
        return results

    def loop(
        self,
        batches: Batches,
        orders: Iterable[np.ndarray | None],
        records: Sequence[np.ndarray],
        stop: Callable[[], bool],
        progress: Callable[[int], None],
    ) -> None:
        """Run whole epochs over bound batches: nothing is allocated from the second epoch on."""
        runner = _Loop(self, batches, records)
        with np.errstate(all="ignore"):
            for epoch, order in enumerate(orders):
                runner.epoch(epoch, order, stop)
                progress(epoch + 1)

    def profile(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[float]:
        """Seconds for each step of the plan, the best of several; parameters are put back."""
        bound = self.bound(sizes)
        bound.feed(feeds)
        kept = [(p, p.value) for p in self.plan.graph.parameters.values()]
        best = [math.inf] * len(self.plan.steps)
        try:
            with np.errstate(all="ignore"):
                for _ in range(20):
                    for i, calls in enumerate(bound.by_step):
                        start = time.perf_counter()
                        for call in calls:
                            call()
                        best[i] = min(best[i], time.perf_counter() - start)
        finally:
            for parameter, value in kept:
                parameter.storage[...] = value
        return best

    def loop_bytes(self, sizes: Mapping[str, int]) -> int:
        """The buffer that shuffled samples are gathered into, at most."""
        row = sum(node.spec.bytes(sizes) for node in self.plan.graph.inputs.values() if node.spec.sizes)
        return max(row, _GATHER_BYTES)

    def source(self) -> str:
        """The calls of a step, one a line."""
        from ..view.report import list_calls  # a door

        return list_calls(self.plan)


def _aligned_bytes(size: int) -> np.ndarray:
    """Uninitialised bytes that begin at a cache line."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


class _Calls(NamedTuple):
    """A step as calls: those that make the outputs, those after which updates may land, and all by step of the plan."""

    before: list[Call]
    after: list[Call]
    by_step: list[list[Call]]


class _Bound:
    """The plan's steps as calls, for one set of sizes."""

    def __init__(self, plan: Plan, arena: np.ndarray, sizes: dict[str, int], check_finite: str | None) -> None:
        self.plan, self.arena, self.sizes, self.check_finite = plan, arena, sizes, check_finite
        self.offsets, _ = plan.offsets(sizes)
        self.arrays: dict[Node, Any] = {}
        self._places: dict[tuple[int, tuple[int, ...], np.dtype[Any]], np.ndarray] = {}
        self._place_values()
        self.by_step = [self._calls(i, step, self.arrays) for i, step in enumerate(plan.steps)]
        self.outputs = [self.arrays[node] for node in plan.graph.outputs.values()]
        self.landings = self._land()
        self.scalars = [
            (name, node, self.arrays[node])
            for name, node in plan.graph.outputs.items()
            if not node.shape and node.dtype.kind == "f" and plan.graph.updates and check_finite
        ]

    def _memory(self, slot: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        # One object for one place: where a step overwrites its operand, NumPy need not look for an overlap.
        found = self._places.get((slot, shape, dtype))
        if found is None:
            start = self.offsets[slot]
            size = math.prod(shape) * dtype.itemsize
            found = self._places[slot, shape, dtype] = self.arena[start : start + size].view(dtype).reshape(shape)
        return found

    def _place_values(self) -> None:
        plan, arrays, sizes = self.plan, self.arrays, self.sizes
        into = {step.node: step.into for step in plan.steps if step.into is not None}
        for node in plan.graph.schedule:
            value = plan.values[node]
            if value.place == "constant":
                arrays[node] = _static(node, arrays, sizes)
            elif value.is_view:
                arrays[node] = self._view(node, arrays)
            elif isinstance(node, Parameter):
                arrays[node] = node.storage
            elif node in into:
                arrays[node] = into[node].storage
            else:
                specs = node.spec if isinstance(node.spec, tuple) else (node.spec,)
                made = [
                    self._memory(slot, spec.concrete(sizes), spec.dtype)
                    for slot, spec in zip(value.slots, specs, strict=True)
                ]
                arrays[node] = tuple(made) if isinstance(node.spec, tuple) else made[0]

    def _view(self, node: Node, arrays: Mapping[Node, Any]) -> Any:
        operand = arrays[node.operands[0]]
        view = node.at(self.sizes).forward(np, *(arrays[operand] for operand in node.operands))
        both = isinstance(view, np.ndarray) and isinstance(operand, np.ndarray)
        if both and view.size and not np.may_share_memory(view, operand):
            raise BackendError(f"numpy: {describe(node)} says that it is a view, but made a copy: mend {node.op}.view.")
        return view

    def _calls(self, i: int, step: Step, arrays: Mapping[Node, Any]) -> list[Call]:
        node = step.node.at(self.sizes)
        ins = tuple(arrays[operand] for operand in step.node.operands)
        out = arrays[step.node]
        scratch = tuple(
            self._memory(slot, spec.concrete(self.sizes), spec.dtype)
            for slot, spec in zip(step.scratch, node.scratch(), strict=True)
        )
        calls = list(node.bind(np, ins, out, scratch))
        checked = step.node.class_labels(self.sizes)
        if checked and not isinstance(checked[0], Input):  # those of inputs are checked when they are fed
            labels, classes = checked
            calls.insert(0, partial(check_labels, arrays[labels], classes, labels.label, step.node))
        if self.check_finite == "all" and step.node.dtype.kind == "f":
            calls.append(partial(_check_finite, out, step.node))
        return calls

    def _land(self) -> list[Call]:
        """The updates that are copied at the end, views of parameters saved before any lands."""
        saves: list[Call] = []
        lands: list[Call] = []
        for parameter, node in self.plan.landings:
            source = self.arrays[node]
            slot = self.plan.snapshots.get(parameter)
            if slot is not None:
                saved = self._memory(slot, source.shape, source.dtype)
                saves.append(partial(np.copyto, saved, source))
                source = saved
            lands.append(partial(np.copyto, parameter.storage, source))
        return saves + lands

    def feed(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Copy the inputs to their places."""
        for name, node in self.plan.graph.inputs.items():
            np.copyto(self.arrays[node], feeds[name], casting="same_kind")

    def calls(self, feeds: Mapping[Node, np.ndarray] | None = None) -> _Calls:
        """All calls of a step, in order; with `feeds`, reading the inputs there instead."""
        by_step = self.by_step if feeds is None else self._rebound(feeds)
        done = self.plan.outputs_done
        return _Calls(_flat(by_step[:done]), _flat(by_step[done:]) + self.landings, by_step)

    def _rebound(self, feeds: Mapping[Node, np.ndarray]) -> list[list[Call]]:
        """The calls with some inputs elsewhere: only the steps that read one are bound again."""
        plan = self.plan
        arrays: dict[Node, Any] = {**self.arrays, **feeds}
        for node, value in plan.values.items():
            if value.is_view and value.base in feeds:
                arrays[node] = self._view(node, arrays)
        return [
            self._calls(i, step, arrays) if any(plan.values[op].base in feeds for op in step.node.operands) else calls
            for i, (step, calls) in enumerate(zip(plan.steps, self.by_step, strict=True))
        ]

    def run(self, calls: _Calls, take_outputs: Call) -> None:
        """One step: compute, look at the loss, take the outputs (old values of parameters, it may be), then update."""
        call: Call | None = None
        try:
            for call in calls.before:
                call()
            for name, node, array in self.scalars:
                if not math.isfinite(array):
                    raise not_finite(name, node, array)
            take_outputs()
            for call in calls.after:
                call()
        except GraphNNError:
            raise
        except Exception as error:
            raise self._explained(error, call, calls) from error

    def _explained(self, error: Exception, failed: Call | None, calls: _Calls) -> BackendError:
        """The error of a call, with the node it belongs to."""
        for step, group in zip(self.plan.steps, calls.by_step, strict=True):
            if any(call is failed for call in group):
                at = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
                return BackendError(f"numpy: {describe(step.node)} failed{at and f' with {at}'}: {error}")
        return BackendError(f"numpy: an update failed: {error}")


def not_finite(name: str, node: Node, value: Any) -> NonFiniteError:
    """The error for a watched output."""
    return NonFiniteError(
        f"output '{name}', {describe(node)}, is {float(value)}. The parameters keep their values from before this "
        "step. Likely causes: a learning rate too large, or a logarithm or division near zero; "
        'compile with check_finite="all" to find the first node that is not finite.'
    )


def _check_finite(array: np.ndarray, node: Node) -> None:
    if not np.isfinite(array).all():
        raise NonFiniteError(
            f"{describe(node)} is not finite. Its operands: {', '.join(map(describe, node.operands))}."
        )


def _static(node: Node, arrays: Mapping[Node, Any], sizes: Mapping[str, int]) -> Any:
    with np.errstate(all="ignore"):
        value = node.at(sizes).forward(np, *(arrays[operand] for operand in node.operands))
    return value if isinstance(value, tuple) else np.asarray(value)


def _flat(groups: Iterable[list[Call]]) -> list[Call]:
    return [call for group in groups for call in group]


class _Loop:
    """Whole epochs: shuffled samples are gathered many batches at a time, then every batch is a slice.

    A slice has a fixed address, so its calls are bound once and run in every epoch.
    """

    def __init__(self, program: NumpyProgram, batches: Batches, records: Sequence[np.ndarray]) -> None:
        self.program, self.batches = program, batches
        graph = program.plan.graph
        self.inputs = {name: graph.inputs[name] for name in batches.data}
        size = min(batches.batch_size, batches.samples)
        self.size = size
        self.full = self._bound(size)
        row = max(1, sum(a[:1].nbytes for a in batches.data.values()))
        self.chunk = size * max(1, min(_GATHER_BYTES // (row * size), batches.samples // size))
        self.gathered = {name: np.empty((self.chunk, *a.shape[1:]), a.dtype) for name, a in batches.data.items()}
        self.kept: dict[tuple[bool, int, int], tuple[_Bound, _Calls]] = {}
        self.records = list(zip(self._scalar_positions(graph), records, strict=True))

    def _scalar_positions(self, graph: Graph) -> list[int]:
        return [i for i, node in enumerate(graph.outputs.values()) if not node.shape]

    def _bound(self, rows: int) -> _Bound:
        bound = self.program.bound({**self.batches.sizes, self.batches.size_name: rows})
        for name, value in self.batches.fixed.items():
            np.copyto(bound.arrays[bound.plan.graph.inputs[name]], value, casting="same_kind")
        return bound

    def epoch(self, epoch: int, order: np.ndarray | None, stop: Callable[[], bool]) -> None:
        """One pass over the data in the given order."""
        batches, size, chunk = self.batches, self.size, self.chunk
        for step, start in enumerate(batches.starts):
            rows = min(size, batches.samples - start)
            if order is not None:
                if start % chunk == 0:
                    self._gather(order[start : start + chunk])
                start %= chunk
            bound, calls = self.kept.get((order is None, start, rows)) or self._bind(order is None, start, rows)
            try:
                bound.run(calls, partial(self._record, bound.outputs, (epoch, step)))
            except NonFiniteError as error:
                raise NonFiniteError(f"epoch {epoch + 1}, step {step + 1}: {error}") from None
            if stop():
                raise KeyboardInterrupt

    def _record(self, outputs: list[np.ndarray], at: tuple[int, int]) -> None:
        for position, record in self.records:
            record[at] = outputs[position]

    def _gather(self, rows: np.ndarray) -> None:
        for name, data in self.batches.data.items():
            data.take(rows, 0, self.gathered[name][: len(rows)], "clip")

    def _bind(self, in_place: bool, start: int, rows: int) -> tuple[_Bound, _Calls]:
        """The calls for one batch, of the data itself or of what was gathered; kept for the next epoch."""
        bound = self.full if rows == self.size else self._bound(rows)
        source = self.batches.data if in_place else self.gathered
        feeds: dict[Node, np.ndarray] = {node: source[name][start : start + rows] for name, node in self.inputs.items()}
        found = bound, bound.calls(feeds)
        if not in_place or len(self.kept) < _KEPT:
            self.kept[in_place, start, rows] = found
        return found
