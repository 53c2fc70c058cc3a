"""The plan: which nodes are steps and which are views, where each value lies in memory, and when updates are written.

A lifetime is that of memory: a view keeps the memory of its base alive. Buffers are assigned to slots once for all
named sizes (see `plan/arena.py`), so the size of the arena is a formula.
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
    """Where the value of a node lies: in memory of its own, or for a view, in the memory of `base`."""

    node: Node
    base: Node
    place: Place
    dense: bool
    slots: tuple[int, ...] = ()
    """The slot of each result, for an input or a value in the arena that is not a view."""
    first: int = -1
    """The step that computes it; -1 for a value that is there before the first step."""
    last: int = -1
    """For a value with slots, the last step that needs its memory; the number of steps if it is read after them."""

    @property
    def is_view(self) -> bool:
        """Does it lie in the memory of another node?"""
        return self.base is not self.node


class BodyPlan(NamedTuple):
    """A body that a step runs. It has a plan of its own, whose arena lies in a slot of the plan around it."""

    plan: Plan
    slot: int


class Step(NamedTuple):
    """The computation of one node, into a slot, into the memory of an operand, or into the parameter it updates."""

    node: Node
    scratch: tuple[int, ...] = ()
    over: Node | None = None
    """The operand whose memory the result overwrites."""
    into: Parameter | None = None
    """The parameter into which the step writes its update directly."""
    bodies: tuple[BodyPlan, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A schedule and the memory of its values. It can be printed, and does not depend on a backend."""

    graph: Graph
    values: Mapping[Node, Value]
    steps: tuple[Step, ...]
    slots: tuple[Slot, ...]
    landings: tuple[tuple[Parameter, Node], ...]
    """The updates that are copied into their parameters after all steps."""
    snapshots: Mapping[Parameter, int]
    """For updates that are views of a parameter, the slot into which they are copied before any update is written."""
    outputs_done: int
    """The number of steps after which the outputs are complete and updates may be written."""

    @cached_property
    def static(self) -> tuple[Node, ...]:
        """The nodes known before the run, in order. They are computed once for each set of sizes."""
        return tuple(node for node in self.graph.schedule if self.values[node].place == "constant")

    def offsets(self, sizes: Mapping[str, int]) -> tuple[list[int], int]:
        """The offset of each slot and the bytes of the whole arena, for given sizes."""
        return offsets(self.slots, sizes)

    def arena_bytes(self, **sizes: int) -> int:
        """The bytes of the arena for given sizes, inputs included.

        Raises:
            FeedError: when a named size is missing, or unknown.
        """
        check_known(self.graph.sizes, sizes)
        return self.offsets(sizes)[1]

    def __repr__(self) -> str:
        return f"<Plan: {len(self.steps)} steps, {len(self.slots)} slots>"

    def __str__(self) -> str:
        from ..view.report import list_plan  # a door

        return list_plan(self)


def make_plan(graph: Graph, given: Mapping[Node, bool] | None = None) -> Plan:
    """The plan of a graph. For a body, `given` says which placeholders lie outside its arena, and which are dense."""
    return _Planner(graph, given or {}).plan()


class _Planner:
    """Walks over the schedule three times: which nodes are steps, how long each value lives, and where it lies."""

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
        """The last step that reads each base or a view of it; `end` if it is read after all steps."""
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
        into = self._written_directly(outputs_done)
        landings = [(p, node) for p, node in graph.updates.items() if node not in into and node is not p]
        for _, node in landings:
            self.last_use[values[node].base] = self.end
        own = [node for node in graph.nodes if isinstance(node, Placeholder) and node not in self.given]
        for node in (*graph.inputs.values(), *own):
            self.numbers[node] = self._need(node, -1, self.end)
        over = [self._allot(i, node, node in into) for i, node in enumerate(self.computed)]
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

    def _written_directly(self, outputs_done: int) -> dict[Node, Parameter]:
        """The updates that a step may write directly into the parameter, since nothing reads the old value later."""
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
        """May the step overwrite this operand? Not if it is read at another position too, or through a view."""
        for i, other in enumerate(node.operands):
            if other is operand:
                if i not in allowed:
                    return False
            elif self.values[other].base is operand:
                return False
        return True

    def _allot(self, i: int, node: Node, lands: bool) -> Node | None:
        """Note the buffers that a step needs, and return the operand whose memory it overwrites, if any."""
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
        """An operand that nothing needs later and that the step may overwrite, if there is one."""
        allowed = node.overwrites()
        for k in allowed:
            operand = node.operands[k]
            if self._dies(operand, i, node.spec) and self._may_overwrite(node, operand, allowed):
                return operand
        return None

    def _dies(self, operand: Node, i: int, spec: Spec | tuple[Spec, ...]) -> bool:
        """Does the operand have that spec and a buffer of its own, which no later step reads?"""
        return (
            self.last_use.get(operand) == i
            and self.values[operand].place == "arena"
            and (operand.spec is spec or operand.spec == spec)
            and len(self.numbers.get(operand, ())) == 1
        )
