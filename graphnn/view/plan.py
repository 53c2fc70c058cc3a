"""The plan as a picture: what was brought together in a frame, buffers by colour and number, bytes, and time as heat.

The nodes are those that the passes left, before steps were brought together: a frame around several is one step.
Names such as `%3` are those of the printed plan.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Protocol

from ..errors import RenderError
from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.spec import check_known
from ..plan.memory import Plan, Step, Value
from ..plan.polynomial import Polynomial, bytes_of
from ..plan.usage import show_bytes, specs_of
from ..transform.record import Record
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


class Profiled(Protocol):
    """The seconds of each step of a plan."""

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

    With `seconds`, one for each step, fills are heat; with `sizes` bytes are numbers, else formulas.

    Raises:
        RenderError: for a depth that is none.
    """
    return _Drawing(find_groups(stages, plan), plan, seconds, sizes).picture(depth)


class _Drawing:
    def __init__(
        self, groups: Groups, plan: Plan, seconds: Sequence[float] | None, sizes: Mapping[str, int] | None
    ) -> None:
        self._graph, self._became = groups
        self._plan, self._seconds, self._sizes = plan, seconds, sizes
        self._called = names(plan.graph.schedule)
        self._steps = {step.node: i for i, step in enumerate(plan.steps)}
        self._members: dict[int, list[Node]] = {}
        for node in self._graph.nodes:
            if (step := self._steps.get(self._became[node])) is not None:
                self._members.setdefault(step, []).append(node)

    def picture(self, depth: int | None) -> Picture:
        """All of it, with scopes open to a depth."""
        shown = self._nodes()
        shown = exchange(shown, self._dressed(shown))
        shown = collapse(shown, depth)
        if self._seconds is not None:
            shown = exchange(shown, {box: self._closed(box) for box in shown.boxes if len(box.nodes) > 1})
        return shown._replace(legend=self._legend(shown))

    def _nodes(self) -> Picture:
        """The mirror of the nodes that were planned; what is one step stands in one half, that of its result."""
        graph, became = self._graph, self._became
        halves = halves_of(graph)
        for members in self._members.values():
            halves.update(dict.fromkeys(members, halves[members[-1]]))
        inline = inline_words(graph)
        called = {node: self._called[new] for node, new in became.items() if new in self._called}
        named = {node: text for node, text in called.items() if halves[node] == "forward" and node not in inline}
        heads = {
            node: f"{text} {title(node)}" if text.startswith("%") and self._is_result(node) else title(node)
            for node, text in called.items()
        }
        keep = frozenset(node for node, new in became.items() if new in self._steps)
        shown = mirror(graph, halves, named, heads, keep)
        many, slots = len(self._plan.steps), len(self._plan.slots)
        time = "" if self._seconds is None else f" in {_time(sum(self._seconds))}"
        return shown._replace(remark=f"{many} step{'s' * (many != 1)}{time}, {slots} slot{'s' * (slots != 1)}.")

    def _is_result(self, node: Node) -> bool:
        """Is it a node by itself, or the one of a group that the others are computed for?"""
        step = self._steps.get(self._became[node])
        return step is None or self._members[step][-1] is node

    def _dressed(self, shown: Picture) -> dict[Box, Box]:
        """Each box with its memory, its time, and its frame where it is one of several in a step."""
        boxes = {node: box for box in shown.boxes for node in box.nodes}
        dressed: dict[Box, Box] = {}
        for node, box in boxes.items():
            step = self._steps.get(self._became[node])
            members = [] if step is None else self._members[step]
            if step is not None and len(members) > 1:
                place = _shared([boxes[member].place for member in members])
                frame = Frame("step", " · ".join(self._told(step)), step, self._fill(step))
                dressed[box] = replace(box, place=(*place, frame), fill="#ffffff")
            elif step is not None:
                dressed[box] = replace(box, lines=(*box.lines, *self._told(step)), fill=self._fill(step))
            else:
                dressed[box] = self._at_rest(box, self._plan.values[self._became[node]])
        return dressed

    def _at_rest(self, box: Box, value: Value) -> Box:
        """What no step computes: inputs, state, views, and what is known before the run."""
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
        total = Polynomial.total(bytes_of(spec) for spec in specs_of(node))
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
        inside = {self._steps[new] for node in box.nodes if (new := self._became[node]) in self._steps}
        total = sum(self._seconds[step] for step in inside)
        heat = _heat(min(1.0, total / (max(self._seconds) or 1.0)))
        return replace(box, lines=(*box.lines, self._time(total)), fill=heat)

    def _legend(self, shown: Picture) -> tuple[tuple[str, str], ...]:
        if self._seconds is not None:
            most = max(self._seconds, default=0.0)
            return tuple((_heat(part), _time(part * most)) for part in (0.0, 1 / 3, 2 / 3, 1.0))
        drawn = {self._became[node] for box in shown.boxes if len(box.nodes) == 1 for node in box.nodes}
        slots = {slot for node in drawn for slot in self._plan.values[node].slots}
        said = show_slots(self._plan)
        return tuple((self._colour(slot), f"slot {slot}: {said[slot]}") for slot in sorted(slots))


def _shared(places: Sequence[Place]) -> Place:
    """The frames that several boxes have around them."""
    shared = takewhile(lambda frames: len(set(frames)) == 1, zip(*places, strict=False))
    return tuple(frames[0] for frames in shared)


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"


def _heat(part: float) -> str:
    """A colour of the scale, from 0 to 1."""
    at = part * (len(HEAT) - 1)
    low = min(int(at), len(HEAT) - 2)
    pairs = [(int(HEAT[low][i : i + 2], 16), int(HEAT[low + 1][i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * (at - low)):02x}" for a, b in pairs)
