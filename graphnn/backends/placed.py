"""A plan placed in memory: the array of every value, for one set of sizes.

The arrays are parts of the one arena, the storage of parameters, values known before the run, and views of all these.
Compiled backends take addresses and strides from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import BackendError
from ..ir.body import Program
from ..ir.leaf import Parameter
from ..ir.node import Call, Node, describe
from ..ir.spec import Spec
from ..plan.memory import Plan, Step

__all__ = ["Placed", "owner"]


class Placed:
    """The arrays of all values of a plan, for one set of sizes.

    A body lies in the arena of the plan around it. For a body, `offsets` says where its slots begin in that arena, and
    `given` holds the arrays of its captured placeholders.
    """

    def __init__(
        self,
        plan: Plan,
        arena: np.ndarray,
        sizes: dict[str, int],
        offsets: Sequence[int] | None = None,
        given: Mapping[Node, Any] | None = None,
    ) -> None:
        self.plan, self.arena, self.sizes = plan, arena, sizes
        self.offsets = plan.offsets(sizes)[0] if offsets is None else offsets
        self.arrays: dict[Node, Any] = dict(given or {})
        self._shapes: dict[Spec, tuple[int, ...]] = {}
        self._places: dict[tuple[int, tuple[int, ...], np.dtype[Any]], np.ndarray] = {}
        self._bodies: dict[tuple[int, ...], tuple[Program, ...]] = {}
        self._place_values()
        self._tables = [
            tuple([np.empty(s.concrete(sizes), s.dtype) for s in step.node.tables()]) for step in plan.steps
        ]
        self.outputs = [self.arrays[node] for node in plan.graph.outputs.values()]

    def _in_slot(self, slot: int, spec: Spec) -> np.ndarray:
        """The array for a value of a spec in a slot."""
        shape = self._shapes.get(spec)
        if shape is None:
            shape = self._shapes[spec] = spec.concrete(self.sizes)
        return self.memory(slot, shape, spec.dtype)

    def memory(self, slot: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """The array of that shape and dtype in a slot."""
        # One object for each place: then NumPy need not look for overlaps when a step overwrites an operand.
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
            if node in arrays:
                continue
            if value.place == "constant":
                arrays[node] = _static(node, arrays, sizes)
            elif value.is_view:
                arrays[node] = self.view(node, arrays)
            elif isinstance(node, Parameter):
                arrays[node] = node.storage
            elif node in into:
                arrays[node] = into[node].storage
            else:
                spec = node.spec
                if isinstance(spec, tuple):
                    arrays[node] = tuple(map(self._in_slot, value.slots, spec))
                else:
                    arrays[node] = self._in_slot(value.slots[0], spec)

    def view(self, node: Node, arrays: Mapping[Node, Any]) -> Any:
        """The array of a node that is a view, made from that of its operand."""
        operand = arrays[node.operands[0]]
        view = node.at(self.sizes).forward(np, *(arrays[operand] for operand in node.operands))
        both = isinstance(view, np.ndarray) and isinstance(operand, np.ndarray)
        if both and view.size and not np.may_share_memory(view, operand):
            raise BackendError(f"numpy: {describe(node)} says that it is a view, but made a copy: mend {node.op}.view.")
        return view

    def working_memory(self, i: int, step: Step, node: Node) -> tuple[np.ndarray, ...]:
        """The arrays for scratch and tables of the i-th step of the plan."""
        if not step.scratch:
            return self._tables[i]
        return (*map(self._in_slot, step.scratch, node.scratch()), *self._tables[i])

    def numpy_calls(self, i: int, step: Step, node: Node, ins: tuple[Any, ...], out: Any) -> list[Call]:
        """The i-th step of the plan as NumPy calls. Bodies of loops and branches are bound as the backend does it."""
        working = self.working_memory(i, step, node)
        if not step.bodies:
            return list(node.bind(np, ins, out, working))
        return list(node.bind_bodies(np, ins, out, working, self.bodies(i, step, ins)))

    def bodies(self, i: int, step: Step, ins: tuple[Any, ...]) -> tuple[Program, ...]:
        """The bodies of the i-th step of the plan, bound as the backend does it."""
        placed = self.placed_bodies(step, ins)
        key = (
            i,
            *(id(array) for _, _, given in placed for array in given.values()),
        )  # a body is bound to what it captures
        if key not in self._bodies:
            self._bodies[key] = tuple(self.bind_body(*parts) for parts in placed)
        return self._bodies[key]

    def placed_bodies(self, step: Step, ins: tuple[Any, ...]) -> list[tuple[Plan, Sequence[int], Mapping[Any, Any]]]:
        """For each body of a step: its plan, the offsets of its slots, and the arrays of its captured placeholders."""
        placed: list[tuple[Plan, Sequence[int], Mapping[Any, Any]]] = []
        for body, planned in zip(step.node.bodies(), step.bodies, strict=True):
            start = self.offsets[planned.slot]
            offsets = [start + begin for begin in planned.plan.offsets(self.sizes)[0]]
            captured = ins[len(ins) - len(body.captured) :]
            placed.append((planned.plan, offsets, dict(zip(body.captured, captured, strict=True))))
        return placed

    def bind_body(self, plan: Plan, offsets: Sequence[int], given: Mapping[Any, Any]) -> Program:
        """Bind a body that lies in the same arena."""
        raise NotImplementedError(f"{type(self).__module__} does not bind bodies.")

    def landings(self, arrays: Mapping[Node, Any] | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
        """The copies (target, source) that write updates after all steps, in order.

        Updates that are views of parameters are first copied aside. `arrays` holds the arrays of all values, if inputs
        are not read from the arena.
        """
        arrays = self.arrays if arrays is None else arrays
        saves: list[tuple[np.ndarray, np.ndarray]] = []
        lands: list[tuple[np.ndarray, np.ndarray]] = []
        for parameter, node in self.plan.landings:
            source = arrays[node]
            slot = self.plan.snapshots.get(parameter)
            if slot is not None:
                saved = self.memory(slot, source.shape, source.dtype)
                saves.append((saved, source))
                source = saved
            lands.append((parameter.storage, source))
        return saves + lands

    def watched(
        self, check_finite: str | None, arrays: Mapping[Node, Any] | None = None
    ) -> list[tuple[str, Node, np.ndarray]]:
        """The outputs that must be finite before updates are written: name, node and array of each."""
        arrays = self.arrays if arrays is None else arrays
        return [
            (name, node, arrays[node])
            for name, node in self.plan.graph.outputs.items()
            if not node.shape and node.dtype.kind == "f" and self.plan.graph.updates and check_finite
        ]

    def feed(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Copy the inputs into their arrays."""
        for name, node in self.plan.graph.inputs.items():
            np.copyto(self.arrays[node], feeds[name], casting="same_kind")


def _static(node: Node, arrays: Mapping[Node, Any], sizes: Mapping[str, int]) -> Any:
    with np.errstate(all="ignore"):
        value = node.at(sizes).forward(np, *(arrays[operand] for operand in node.operands))
    if node.view(False) is None and not isinstance(value, tuple):  # then it has memory of its own, as the plan says
        shared = any(np.may_share_memory(value, arrays[operand]) for operand in node.operands)
        return np.array(value) if shared else np.asarray(value)
    return value


def owner(array: np.ndarray) -> np.ndarray:
    """The array that has the memory of a view. NumPy's `as_strided` puts an object of its own between the two."""
    while True:
        base = array.base
        if base is not None and not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)
        if not isinstance(base, np.ndarray):
            return array
        array = base
