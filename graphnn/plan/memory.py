"""The plan: which node is a step, which a view, where each value lies, and where updates land.

Lifetimes are those of memory, not of names: a view keeps the memory of its base alive. Buffers are assigned to
slots once, whatever the named sizes: a slot is as large as its largest buffer, so the arena is a formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ..ir.body import Body, Placeholder
from ..ir.graph import Graph
from ..ir.leaf import Input, Parameter
from ..ir.node import Node
from ..ir.spec import check_known
from .polynomial import Polynomial, bytes_of

__all__ = ["BodyPlan", "Plan", "Step", "Value", "make_plan", "ALIGNMENT"]

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector load."""

Place = Literal["input", "state", "constant", "arena"]


@dataclass(frozen=True, slots=True)
class Value:
    """Where a node's value lies: in its own memory, or (a view) in that of `base`."""

    node: Node
    base: Node
    place: Place
    dense: bool
    slots: tuple[int, ...] = ()
    """One for each result, when it is in the arena or an input and not a view."""
    first: int = -1
    """The step that makes it; -1 for what is there before."""
    last: int = -1
    """The last step that needs its memory, for a value with slots; the number of steps for what is read afterwards."""

    @property
    def is_view(self) -> bool:
        """Does it alias another node's memory?"""
        return self.base is not self.node


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """A body that a step runs: planned by itself, its slots given places among those of the plan around it."""

    plan: Plan
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One node computed, into its slot, into an operand's memory, or into the parameter it updates."""

    node: Node
    scratch: tuple[int, ...] = ()
    over: Node | None = None
    """The operand whose memory it takes over."""
    into: Parameter | None = None
    """The parameter whose storage it writes: an update that lands at once."""
    bodies: tuple[BodyPlan, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A schedule with memory: printable, and independent of any backend."""

    graph: Graph
    values: Mapping[Node, Value]
    steps: tuple[Step, ...]
    slots: tuple[Polynomial, ...]
    landings: tuple[tuple[Parameter, Node], ...]
    """Updates that are copied into their parameters at the end."""
    snapshots: Mapping[Parameter, int]
    """Updates that are views of a parameter, copied to a slot before any lands."""
    outputs_done: int
    """How many steps there are before the outputs are complete and updates may land."""

    @cached_property
    def static(self) -> tuple[Node, ...]:
        """The nodes known before the run, in order: computed once for each set of sizes."""
        return tuple(node for node in self.graph.schedule if self.values[node].place == "constant")

    def offsets(self, sizes: Mapping[str, int]) -> tuple[list[int], int]:
        """Where each slot begins, and the bytes of all, for given sizes."""
        offsets, end = [], 0
        for slot in self.slots:
            offsets.append(end)
            end += aligned(slot(sizes))
        return offsets, end

    def arena_bytes(self, **sizes: int) -> int:
        """The bytes of the arena, inputs included, for given sizes.

        Raises:
            FeedError: when a named size is missing, or unknown.
        """
        check_known(self.graph.sizes, sizes)
        return self.offsets(sizes)[1]

    def __str__(self) -> str:
        from ..view.report import list_plan  # a door

        return list_plan(self)


def aligned(count: int) -> int:
    """The next multiple of the alignment."""
    return -(-count // ALIGNMENT) * ALIGNMENT


def make_plan(graph: Graph, given: Mapping[Node, bool] | None = None) -> Plan:
    """Plan a graph; of a body, the placeholders `given` lie outside, densely or not, and the others have slots."""
    return _Planner(graph, given or {}).plan()


class _Planner:
    """Walks the schedule three times: what is a step, how long each value lives, where it lies."""

    def __init__(self, graph: Graph, given: Mapping[Node, bool]) -> None:
        self.graph, self.given = graph, given
        self.values: dict[Node, Value] = {}
        self.computed: list[Node] = []
        for node in graph.schedule:
            self._classify(node)
        self.position = {node: i for i, node in enumerate(self.computed)}
        self.end = len(self.computed)
        self.last_use = self._lifetimes()
        self.slots: list[Polynomial] = []
        self.free: dict[Polynomial, list[int]] = {}

    def _classify(self, node: Node) -> None:
        values = self.values
        if isinstance(node, Parameter):
            values[node] = Value(node, node, "state", True)
        elif isinstance(node, (Input, Placeholder)):
            values[node] = Value(node, node, "input", self.given.get(node, True))
        elif node.static:
            values[node] = Value(node, node, "constant", False)
        else:
            first = values[node.operands[0]] if node.operands else None
            dense = node.view(first.dense) if first else None
            if first is not None and dense is not None:
                values[node] = Value(node, first.base, first.place, dense)
            else:
                values[node] = Value(node, node, "arena", True)
                self.computed.append(node)

    def _lifetimes(self) -> dict[Node, int]:
        """For each base the last step that reads it or a view of it; `end` for what outputs and landings read."""
        last: dict[Node, int] = {node: i for i, node in enumerate(self.computed)}
        for i, node in enumerate(self.computed):
            for operand in node.operands:
                last[self.values[operand].base] = i
        for node in self.graph.outputs.values():
            last[self.values[node].base] = self.end
        return last

    def plan(self) -> Plan:
        graph, values = self.graph, self.values
        outputs_done = 1 + max(
            (self.position.get(values[node].base, -1) for node in graph.outputs.values()), default=-1
        )
        into = self._land_at_once(outputs_done)
        landings = [(p, node) for p, node in graph.updates.items() if node not in into and node is not p]
        for _, node in landings:
            self.last_use[values[node].base] = self.end
        own = [node for node in graph.nodes if isinstance(node, Placeholder) and node not in self.given]
        for node in (*graph.inputs.values(), *own):
            values[node] = Value(node, node, "input", True, (self._take(bytes_of(node.spec)),), -1, self.end)
        steps = [self._allocate(i, node, into.get(node)) for i, node in enumerate(self.computed)]
        snapshots = {p: self._take(bytes_of(p.spec)) for p, node in landings if values[node].place == "state"}
        return Plan(graph, values, tuple(steps), tuple(self.slots), tuple(landings), snapshots, outputs_done)

    def _land_at_once(self, outputs_done: int) -> dict[Node, Parameter]:
        """The updates whose last step may write straight into the parameter: nobody reads the old value later."""
        graph, values = self.graph, self.values
        later = {values[node].base for node in (*graph.outputs.values(), *graph.updates.values())}
        targets: dict[Node, Parameter] = {}
        for parameter, node in graph.updates.items():
            at = self.position.get(node)
            if at is None or at < outputs_done or node in targets or parameter in later:
                continue
            read_last = self.last_use.get(parameter, -1)
            if read_last < at or (read_last == at and self._may_overwrite(node, parameter)):
                targets[node] = parameter
        return targets

    def _may_overwrite(self, node: Node, operand: Node) -> bool:
        """May the step write over this operand? In every place where it stands; not when a view of it is read too."""
        allowed = node.overwrites()
        return all(
            i in allowed if other is operand else self.values[other].base is not operand
            for i, other in enumerate(node.operands)
        )

    def _allocate(self, i: int, node: Node, into: Parameter | None) -> Step:
        over = None
        if into is None:
            over = self._dying_operand(i, node)
            specs = node.spec if isinstance(node.spec, tuple) else (node.spec,)
            slots = self.values[over].slots if over is not None else tuple(self._take(bytes_of(spec)) for spec in specs)
            self.values[node] = Value(node, node, "arena", True, slots, i, self.last_use[node])
        scratch = tuple(self._take(bytes_of(spec)) for spec in node.scratch())
        bodies = tuple(self._body(node, body) for body in node.bodies())
        for slot in scratch:
            self._give(slot)
        bases = dict.fromkeys([*(self.values[operand].base for operand in node.operands), node])
        for base in bases:
            if base is not over and self.last_use[base] == i and self.values[base].place == "arena":
                for slot in self.values[base].slots:
                    self._give(slot)
        return Step(node, scratch, over, into, bodies)

    def _body(self, node: Node, body: Body) -> BodyPlan:
        """The plan of a body; its slots are free again after the step, and for another body of it."""
        captured = node.operands[len(node.operands) - len(body.captured) :]
        dense: dict[Node, bool] = {
            placeholder: self.values[outside].dense
            for placeholder, outside in zip(body.captured, captured, strict=True)
        }
        plan = make_plan(body.graph, dense)
        slots = tuple(self._take(slot) for slot in plan.slots)
        for slot in slots:
            self._give(slot)
        return BodyPlan(plan, slots)

    def _dying_operand(self, i: int, node: Node) -> Node | None:
        for k in node.overwrites():
            operand = node.operands[k]
            value = self.values[operand]
            if (
                value.place == "arena"
                and len(value.slots) == 1
                and self.last_use[operand] == i
                and operand.spec == node.spec
                and self._may_overwrite(node, operand)
            ):
                return operand
        return None

    def _take(self, size: Polynomial) -> int:
        """A free slot that fits best: equal, else the least larger, else a smaller one grown, else a new one."""
        larger = [s for s, slots in self.free.items() if slots and s.covers(size)]
        fitting = size if self.free.get(size) else min(larger, key=lambda s: sum(f for _, f in s.terms), default=None)
        if fitting is None:
            fitting = next((s for s, slots in self.free.items() if slots and size.covers(s)), None)
        if fitting is None:
            self.slots.append(size)
            return len(self.slots) - 1
        slot = self.free[fitting].pop()
        if not fitting.covers(size):
            self.slots[slot] = size
        return slot

    def _give(self, slot: int) -> None:
        self.free.setdefault(self.slots[slot], []).append(slot)
