"""A plan bound to memory: the steps as calls without arguments, for one set of sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...errors import BackendError, GraphNNError, NonFiniteError
from ...ir.labels import check_labels
from ...ir.leaf import Input, Parameter
from ...ir.node import Call, Node, describe
from ...plan.memory import Plan, Step

__all__ = ["Bound", "Calls"]


class Calls(NamedTuple):
    """A step as calls: those that make the outputs, those after which updates may land, and all by step of the plan."""

    before: list[Call]
    after: list[Call]
    by_step: list[list[Call]]


class Bound:
    """The plan's steps as calls, for one set of sizes."""

    def __init__(self, plan: Plan, arena: np.ndarray, sizes: dict[str, int], check_finite: str | None) -> None:
        self.plan, self.arena, self.sizes, self.check_finite = plan, arena, sizes, check_finite
        self.offsets, _ = plan.offsets(sizes)
        self.arrays: dict[Node, Any] = {}
        self._places: dict[tuple[int, tuple[int, ...], np.dtype[Any]], np.ndarray] = {}
        self._place_values()
        self._tables = [[np.empty(s.concrete(sizes), s.dtype) for s in step.node.tables()] for step in plan.steps]
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
        scratch = [
            self._memory(slot, spec.concrete(self.sizes), spec.dtype)
            for slot, spec in zip(step.scratch, node.scratch(), strict=True)
        ]
        calls = list(node.bind(np, ins, out, (*scratch, *self._tables[i])))
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

    def calls(self, feeds: Mapping[Node, np.ndarray] | None = None) -> Calls:
        """All calls of a step, in order; with `feeds`, reading the inputs there instead."""
        by_step = self.by_step if feeds is None else self._rebound(feeds)
        done = self.plan.outputs_done
        return Calls(_flat(by_step[:done]), _flat(by_step[done:]) + self.landings, by_step)

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

    def run(self, calls: Calls, take_outputs: Call) -> None:
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

    def _explained(self, error: Exception, failed: Call | None, calls: Calls) -> BackendError:
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
    if node.view(False) is None and not isinstance(value, tuple):  # then it has memory of its own, as was foretold
        shared = any(np.may_share_memory(value, arrays[operand]) for operand in node.operands)
        return np.array(value) if shared else np.asarray(value)
    return value


def _flat(groups: Iterable[list[Call]]) -> list[Call]:
    return [call for group in groups for call in group]
