"""The plan: which node is a step, which a view, where each value lies, and where updates land.

Lifetimes are those of memory, not of names: a view keeps the memory of its base alive. Buffers are assigned to
slots once, whatever the named sizes (`plan/arena.py`), so the arena is a formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from ..ir.body import Body, Placeholder
from ..ir.graph import Graph
from ..ir.leaf import Input, Parameter
from ..ir.node import Node
from ..ir.polynomial import bytes_of
from ..ir.spec import Spec, check_known
from .arena import ALIGNMENT, Buffer, Slot, Whole, aligned, offsets, place

__all__ = ["ALIGNMENT", "BodyPlan", "Plan", "Slot", "Step", "Value", "aligned", "make_plan"]

Place = Literal["input", "state", "constant", "arena"]


class Value(NamedTuple):
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


class BodyPlan(NamedTuple):
    """A body that a step runs: planned by itself, its arena in a slot of the plan around it."""

    plan: Plan
    slot: int


class Step(NamedTuple):
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
    slots: tuple[Slot, ...]
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
        return offsets(self.slots, sizes)

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
        self.buffers: list[Buffer] = []
        self.numbers: dict[Node, tuple[int, ...]] = {}
        self.working: dict[int, list[int]] = {}
        self.bodies: dict[int, tuple[list[Plan], int]] = {}

    def _classify(self, node: Node) -> None:
        values = self.values
        if node.static:
            values[node] = Value(node, node, "constant", False)
        elif node.operands:
            first = values[node.operands[0]]
            dense = node.view(first.dense)
            if dense is not None:
                values[node] = Value(node, first.base, first.place, dense)
            else:
                values[node] = Value(node, node, "arena", True)
                self.computed.append(node)
        elif isinstance(node, Parameter):
            values[node] = Value(node, node, "state", True)
        elif isinstance(node, (Input, Placeholder)):
            values[node] = Value(node, node, "input", self.given.get(node, True))
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
            self.numbers[node] = self._need(node, -1, self.end)
        over = [self._decide(i, node, node in into) for i, node in enumerate(self.computed)]
        saved = {p: self._buffer(p.spec, self.end, self.end) for p, node in landings if values[node].place == "state"}
        slots, slot_of = place(self.buffers, self.end)
        for node, numbers in self.numbers.items():
            first = self.position.get(node, -1)
            last = self.end if first < 0 else self.last_use[node]
            where = tuple([slot_of[number] for number in numbers])
            values[node] = Value(node, node, values[node].place, True, where, first, last)
        scratch = {i: tuple([slot_of[number] for number in working]) for i, working in self.working.items()}
        bodies = {
            i: tuple([BodyPlan(plan, slot_of[number]) for plan in plans]) for i, (plans, number) in self.bodies.items()
        }
        steps = tuple(
            [
                Step(node, scratch.get(i, ()), over[i], into.get(node), bodies.get(i, ()))
                for i, node in enumerate(self.computed)
            ]
        )
        snapshots = {p: slot_of[number] for p, number in saved.items()}
        return Plan(graph, values, steps, tuple(slots), tuple(landings), snapshots, outputs_done)

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
            if read_last < at or (read_last == at and self._may_overwrite(node, parameter, node.overwrites())):
                targets[node] = parameter
        return targets

    def _may_overwrite(self, node: Node, operand: Node, allowed: tuple[int, ...]) -> bool:
        """May the step write over this operand? In every place where it stands; not when a view of it is read too."""
        for i, other in enumerate(node.operands):
            if other is operand:
                if i not in allowed:
                    return False
            elif self.values[other].base is operand:
                return False
        return True

    def _decide(self, i: int, node: Node, lands: bool) -> Node | None:
        """The operand whose memory a step takes over, if any; which buffers it needs, and not yet where they lie."""
        over = None
        if not lands:
            over = self._dying_operand(i, node)
            if over is not None:
                [number] = self.numbers[over]
                self.buffers[number] = self.buffers[number]._replace(last=self.last_use[node])
                self.numbers[node] = (number,)
            else:
                self.numbers[node] = self._need(node, i, self.last_use[node])
        scratch = node.scratch()
        if scratch:
            self.working[i] = [self._buffer(spec, i, i) for spec in scratch]
        if node.bodies():
            plans = [self._body(node, body) for body in node.bodies()]
            self.buffers.append(Buffer(Whole(tuple(plan.slots for plan in plans)), i, i))
            self.bodies[i] = plans, len(self.buffers) - 1
        return over

    def _body(self, node: Node, body: Body) -> Plan:
        captured = node.operands[len(node.operands) - len(body.captured) :]
        dense: dict[Node, bool] = {
            placeholder: self.values[outside].dense
            for placeholder, outside in zip(body.captured, captured, strict=True)
        }
        return make_plan(body.graph, dense)

    def _need(self, node: Node, first: int, last: int) -> tuple[int, ...]:
        return tuple([self._buffer(spec, first, last) for spec in node.specs])

    def _buffer(self, spec: Spec, first: int, last: int) -> int:
        self.buffers.append(Buffer(bytes_of(spec), first, last))
        return len(self.buffers) - 1

    def _dying_operand(self, i: int, node: Node) -> Node | None:
        """The operand whose place the step takes over: one that nobody needs later, and that may be written over."""
        allowed = node.overwrites()
        for k in allowed:
            operand = node.operands[k]
            if self._dies(operand, i, node.spec) and self._may_overwrite(node, operand, allowed):
                return operand
        return None

    def _dies(self, operand: Node, i: int, spec: Spec | tuple[Spec, ...]) -> bool:
        """Is this a buffer of that spec which no later step reads?"""
        return (
            self.last_use.get(operand) == i
            and self.values[operand].place == "arena"
            and (operand.spec is spec or operand.spec == spec)
            and len(self.numbers.get(operand, ())) == 1
        )
