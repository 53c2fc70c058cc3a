"""The plan as a picture: fused steps in frames, slots by colour and number, bytes, and the time of steps as colours.

The nodes are those of the graph before steps were fused; a frame around several nodes is one step. Names such as `%3`
are those of the printed plan.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Protocol

from ..errors import RenderError
from ..ir.graph import Graph
from ..ir.node import Item, Node
from ..ir.polynomial import Polynomial, bytes_of
from ..ir.spec import check_known
from ..plan.memory import Plan, Step, Value
from ..plan.usage import show_bytes
from ..transform.record import Record
from .bodies import with_bodies
from .collapse import collapse
from .groups import Groups, find_groups
from .label import inline_words, title
from .memory import show_slots
from .picture import Box, Frame, Picture, Place, exchange, halves_of, mirror
from .render import render_picture
from .text import names

__all__ = ["HEAT", "SLOTS", "STATE", "plan_picture", "render_plan"]

SLOTS = ("#c2cbf4", "#e29e5a", "#b6d8b6", "#c99cb2", "#e88f7d", "#ada0ee", "#e2e25a")
"""Of buffers: light enough for black text, and far apart to the colour-blind as well; each is numbered besides."""
STATE = "#fbe7a1"
"""Of parameters, and of what is written into them."""
HEAT = ("#ffffff", "#fdc88c", "#e8543a")
"""From no time to the most: ever darker, so that it is read without colours too."""
_SEVERAL = "#f4f4f4"
"""Of a frame whose step writes several buffers."""
_ORDER = ("forward", "backward", "update")


class Profiled(Protocol):
    """A plan with the seconds of each step, such as a `Profile`."""

    @property
    def plan(self) -> Plan:
        """The plan."""
        ...

    @property
    def seconds(self) -> Sequence[float]:
        """One for each step."""
        ...


def render_plan(
    path: str | os.PathLike[str],
    stages: Sequence[tuple[Graph, Record]],
    plan: Plan,
    depth: int | None,
    profile: Profiled | None,
    sizes: Mapping[str, int],
) -> str:
    """Draw a plan into a file: see `Executable.render`."""
    if profile is not None and profile.plan is not plan:
        raise RenderError("the profile is not one of this plan: make one by profile() of the same program.")
    if sizes:
        check_known(plan.graph.sizes, sizes)
    seconds = None if profile is None else profile.seconds
    return render_picture(plan_picture(stages, plan, depth, seconds, sizes or None), "both", path)


def plan_picture(
    stages: Sequence[tuple[Graph, Record]],
    plan: Plan,
    depth: int | None = None,
    seconds: Sequence[float] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Picture:
    """The picture of a plan, from the graph and record of each stage of its compile.

    With `seconds`, one for each step, the colour of a step is its time. Bytes are formulas, or with `sizes` numbers.

    Raises:
        RenderError: for a depth that is none.
    """
    return _Drawing(find_groups(stages, plan), plan, seconds, sizes).picture(depth)


class _Drawing:
    def __init__(
        self, groups: Groups, plan: Plan, seconds: Sequence[float] | None, sizes: Mapping[str, int] | None
    ) -> None:
        self._graph, self._became, self._members = groups
        self._plan, self._seconds, self._sizes = plan, seconds, sizes
        self._called = names(plan.graph.schedule)
        self._step = {node: i for i, members in self._members.items() for node in members}

    def picture(self, depth: int | None) -> Picture:
        """The whole picture, with `depth` levels of scopes open."""
        shown = self._nodes()
        shown = exchange(shown, self._dressed(shown))
        shown = collapse(with_bodies(shown, HEAT[0]), depth)
        if self._seconds is not None:
            shown = exchange(shown, {box: self._closed(box) for box in shown.boxes if len(box.nodes) > 1})
        return shown._replace(legend=self._legend(shown))

    def _nodes(self) -> Picture:
        """The picture of the nodes of the plan, with the names of the printed plan."""
        halves, inline = self._halves(), inline_words(self._graph)
        called = {node: self._called[new] for node, new in self._became.items() if self._has_value(node, new)}
        named = {node: text for node, text in called.items() if halves[node] == "forward" and node not in inline}
        heads = {node: f"{text} {title(node)}" for node, text in called.items() if text.startswith("%")}
        shown = mirror(self._graph, halves, named, heads, frozenset(self._step))
        many, slots = len(self._plan.steps), len(self._plan.slots)
        time = "" if self._seconds is None else f" in {_time(sum(self._seconds))}"
        return shown._replace(remark=f"{many} step{'s' * (many != 1)}{time}, {slots} slot{'s' * (slots != 1)}.")

    def _has_value(self, node: Node, new: Node) -> bool:
        """Does the node have a value in the plan? A value inside a fused step does not."""
        step = self._step.get(node)
        return new in self._called and (step is None or len(self._members[step]) == 1 or not self._is_several(new))

    def _is_several(self, node: Node) -> bool:
        """Does the step have several results, each in a slot of its own?"""
        return isinstance(node.spec, tuple)

    def _halves(self) -> dict[Node, str]:
        """Where each node stands. What is one step stands together: as early as it may, after all that it reads."""
        halves = halves_of(self._graph)
        for members in self._members.values():
            read = {op for node in members for op in node.operands if op.operands and not op.static}
            first = min((halves[node] for node in members), key=_ORDER.index)
            half = max((first, *(halves[op] for op in read.difference(members))), key=_ORDER.index)
            static = {op for node in members for op in node.operands if op.static}
            late = [op for op in static if _ORDER.index(halves[op]) > _ORDER.index(half)]
            halves.update(dict.fromkeys([*members, *late], half))
        return halves

    def _dressed(self, shown: Picture) -> dict[Box, Box]:
        """Each box with its memory and its time, and in a frame if it is one of several nodes of a step."""
        boxes = {node: box for box in shown.boxes for node in box.nodes}
        dressed: dict[Box, Box] = {}
        for node, box in boxes.items():
            step = self._step.get(node)
            if step is None:
                dressed[box] = self._at_rest(box, self._plan.values[self._became[node]])
            elif len(members := self._members[step]) == 1:
                dressed[box] = replace(box, lines=(*box.lines, *self._told(step)), fill=self._fill(step))
            else:
                place = (*_shared([boxes[member].place for member in members]), self._frame(step))
                dressed[box] = self._inside(replace(box, place=place, fill=HEAT[0]), node, step)
        return dressed

    def _frame(self, step: int) -> Frame:
        """The frame of a step: with its memory, unless it has a tuple of results, which say where they are."""
        if self._is_several(node := self._plan.steps[step].node):
            time = [] if self._seconds is None else [self._time(self._seconds[step])]
            fill = _SEVERAL if self._seconds is None else self._fill(step)
            return Frame("step", " · ".join([f"{self._called[node]}, one step", *time]), step, fill)
        return Frame("step", " · ".join(self._told(step)), step, self._fill(step))

    def _inside(self, box: Box, node: Node, step: int) -> Box:
        """A node within the frame of its step; with its memory where it is one of a tuple of results."""
        result, whole = self._became[node], self._plan.steps[step].node
        if not isinstance(result, Item) or result.node is not whole:
            return box
        slot = self._plan.values[whole].slots[result.index]
        fill = self._colour(slot) if self._seconds is None else HEAT[0]
        return replace(box, lines=(*box.lines, f"slot {slot} · {self._bytes(result)}"), fill=fill)

    def _at_rest(self, box: Box, value: Value) -> Box:
        """A node that no step computes: an input, a parameter, a view, or a value known before the run."""
        fill = "" if self._seconds is None else HEAT[0]
        if value.is_view:
            return replace(box, kind="saved", lines=(*box.lines, "a view"))
        if value.place == "constant":
            return replace(box, lines=(*box.lines, "before the run"), fill=fill)
        if value.place == "state":
            return replace(box, lines=(*box.lines, f"state · {self._bytes(value.node)}"), fill=fill)
        return replace(box, lines=(*box.lines, self._memory(value)), fill=fill or self._colour(value.slots[0]))

    def _told(self, step: int) -> tuple[str, ...]:
        """The memory of a step, and its time."""
        one = self._plan.steps[step]
        value = self._plan.values[one.node]
        text = f"into {self._called[one.into]}" if one.into is not None else self._memory(value, one)
        return (text,) if self._seconds is None else (text, self._time(self._seconds[step]))

    def _memory(self, value: Value, step: Step | None = None) -> str:
        many = "s" if len(value.slots) > 1 else ""
        in_place = " in place" if step is not None and step.over is not None else ""
        return f"slot{many} {', '.join(map(str, value.slots))}{in_place} · {self._bytes(value.node)}"

    def _bytes(self, node: Node) -> str:
        total = Polynomial.total(bytes_of(spec) for spec in node.specs)
        return f"{total} bytes" if self._sizes is None else show_bytes(total(self._sizes))

    def _time(self, seconds: float) -> str:
        assert self._seconds is not None
        share = 100 * seconds / (sum(self._seconds) or 1.0)
        return f"{_time(seconds)}, {share:.0f} %"

    def _fill(self, step: int) -> str:
        one = self._plan.steps[step]
        if self._seconds is not None:
            return _heat(self._seconds[step] / (max(self._seconds) or 1.0))
        return STATE if one.into is not None else self._colour(self._plan.values[one.node].slots[0])

    def _colour(self, slot: int) -> str:
        return SLOTS[slot % len(SLOTS)]

    def _closed(self, box: Box) -> Box:
        """A closed scope with the time of the steps inside."""
        assert self._seconds is not None
        inside = {self._step[node] for node in box.nodes if node in self._step}
        total = sum(self._seconds[step] for step in inside)
        heat = _heat(min(1.0, total / (max(self._seconds) or 1.0)))
        return replace(box, lines=(*box.lines, self._time(total)), fill=heat)

    def _legend(self, shown: Picture) -> tuple[tuple[str, str], ...]:
        if self._seconds is not None:
            most = max(self._seconds, default=0.0)
            return tuple((_heat(part), _time(part * most)) for part in (0.0, 1 / 3, 2 / 3, 1.0))
        drawn = [node for box in shown.boxes if len(box.nodes) == 1 for node in box.nodes]
        owners = [self._plan.steps[self._step[n]].node if n in self._step else self._became[n] for n in drawn]
        slots = {slot for owner in owners for slot in self._plan.values[owner].slots}
        said = show_slots(self._plan)
        return tuple((self._colour(slot), f"slot {slot}: {said[slot]}") for slot in sorted(slots))


def _shared(places: Sequence[Place]) -> Place:
    """The frames that several boxes share."""
    shared = takewhile(lambda frames: len(set(frames)) == 1, zip(*places, strict=False))
    return tuple(frames[0] for frames in shared)


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"


def _heat(part: float) -> str:
    """The colour for a number from 0 to 1."""
    at = part * (len(HEAT) - 1)
    low = min(int(at), len(HEAT) - 2)
    pairs = [(int(HEAT[low][i : i + 2], 16), int(HEAT[low + 1][i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * (at - low)):02x}" for a, b in pairs)
