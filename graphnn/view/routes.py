"""Routes: how arrows run from box to box. Along the flow in lanes that no box stands in, across it between columns."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from .layout import FAR, GAP, LANE, PAD, Layout, text_width
from .picture import Arrow, Box, Picture

__all__ = ["Point", "Route", "routes"]

Point: TypeAlias = tuple[float, float]

_CLEAR = 4.0
"""Pixels between a lane and a box."""
_TIP = 7.0
_ABOVE = 11.0
"""Pixels between the words of arrows that arrive at one box: they stand one above the other."""


class Route(NamedTuple):
    """An arrow as drawn: cubic curves, as a start and three points for each; the tip; and its words with their place.

    A piece that goes on elsewhere has no tip.

    `anchor` is where the words have their place: their "start", "middle" or "end".
    """

    curve: tuple[Point, ...]
    tip: tuple[Point, Point, Point] | None
    text: str
    at: Point
    anchor: str


def routes(shown: Picture, layout: Layout) -> Iterator[Route]:
    """The route of each arrow, in their order."""
    lanes = _Lanes(layout)
    said: Counter[Box] = Counter()
    for arrow in shown.arrows:
        route = _route(arrow, layout, lanes)
        yield route._replace(at=(route.at[0], route.at[1] - _ABOVE * said[arrow.head]))
        said[arrow.head] += bool(arrow.text)


def _route(arrow: Arrow, layout: Layout, lanes: _Lanes) -> Route:
    tail, head = layout.bounds(arrow.tail), layout.bounds(arrow.head)
    own, far = layout.column[arrow.tail], layout.column[arrow.head]
    if own == far:
        return _within(arrow, tail, head, layout.edges(own)[1], lanes)
    way = 1 if far > own else -1
    start = tail[2 if way > 0 else 0], (tail[1] + tail[3]) / 2
    end = head[0 if way > 0 else 2], (head[1] + head[3]) / 2
    leaves = layout.edges(own)[1 if way > 0 else 0]
    arrives = layout.edges(far)[0 if way > 0 else 1]
    if arrow.text:  # straight under its words
        words = end[0] - way * (text_width(arrow.text) + PAD)
        arrives = min(arrives, words) if way > 0 else max(arrives, words)
    points = [start, (leaves, start[1])]
    curve = [start, *_line(*points)]
    here, between = points[-1], range(own + way, far, way)
    if len(between):
        y = lanes.free(arrow.tail, between, start[1], end[1])
        first, last = layout.edges(between[0])[0 if way > 0 else 1], layout.edges(between[-1])[1 if way > 0 else 0]
        curve += [*_bend(here, (first, y)), *_line((first, y), (last, y))]
        here = last, y
    curve += [*_bend(here, (arrives, end[1])), *_line((arrives, end[1]), end)]
    tip = end, (end[0] - _TIP * way, end[1] - 3), (end[0] - _TIP * way, end[1] + 3)
    return Route(tuple(curve), tip, arrow.text, (end[0] - 9 * way, end[1] - 5), "end" if way > 0 else "start")


def _within(arrow: Arrow, tail: Sequence[float], head: Sequence[float], edge: float, lanes: _Lanes) -> Route:
    """An arrow within a column: straight up or down where nothing stands between, else around by the right."""
    down = 1 if head[1] > tail[1] else -1
    x1, x2 = (tail[0] + tail[2]) / 2, (head[0] + head[2]) / 2
    y1, y2 = (tail[3], head[1]) if down > 0 else (tail[1], head[3])
    if lanes.neighbours(arrow.tail, arrow.head):
        straight = ((x1, y1), (x1, y1 + 12 * down), (x2, y2 - 18 * down), (x2, y2))
        tip = (x2, y2), (x2 - 3, y2 - _TIP * down), (x2 + 3, y2 - _TIP * down)
        return Route(straight, tip, arrow.text, (x2 + 6, y2 - 5 * down), "start")
    start, end = (tail[2], (tail[1] + tail[3]) / 2), (head[2], (head[1] + head[3]) / 2)
    out, back, bulge = (edge, start[1]), (edge, end[1]), edge + 0.6 * GAP
    curve = (start, *_line(start, out), (bulge, out[1]), (bulge, back[1]), back, *_line(back, end))
    tip = end, (end[0] + _TIP, end[1] - 3), (end[0] + _TIP, end[1] + 3)
    return Route(curve, tip, arrow.text, (end[0] + 9, end[1] - 5), "start")


def _line(start: Point, end: Point) -> tuple[Point, Point, Point]:
    """A straight line as a curve."""
    return start, end, end


def _bend(start: Point, end: Point) -> tuple[Point, Point, Point]:
    """From side to side in the room between two columns, level at both ends."""
    middle = (start[0] + end[0]) / 2
    return (middle, start[1]), (middle, end[1]), end


class _Lanes:
    """The heights at which arrows pass through columns: free of boxes, and of the lanes of other values."""

    def __init__(self, layout: Layout) -> None:
        self._column = layout.column
        self._taken = [sorted((layout.top[box], layout.bounds(box)[3]) for box in row) for row in layout.rows]
        self._place = [{top: i for i, (top, _) in enumerate(taken)} for taken in self._taken]
        self._layout = layout
        self._used: list[list[float]] = [[] for _ in layout.rows]
        self._owner: list[dict[float, Box]] = [{} for _ in layout.rows]
        self._below: dict[Box, float] = {}

    def neighbours(self, one: Box, other: Box) -> bool:
        """Do two boxes of a column stand one above the other, with none between?"""
        places = self._place[self._column[one]]
        return abs(places[self._layout.top[one]] - places[self._layout.top[other]]) == 1

    def free(self, tail: Box, between: range, start: float, end: float) -> float:
        """The height of a lane through the columns between, near to where the arrow leaves and arrives."""
        for y in self._candidates(between, start, end):
            if all(self._is_free(tail, i, y) for i in between):
                for i in between:
                    if y not in self._owner[i]:
                        self._owner[i][y] = tail
                        insort(self._used[i], y)
                return y
        return self._below.setdefault(tail, self._layout.lane(len(self._below)))

    def _candidates(self, between: range, start: float, end: float) -> Iterator[float]:
        if len(between) <= FAR:
            yield from (start, end)
            sides = {y for i in between for top, low in self._taken[i] for y in (top - _CLEAR, low + _CLEAR)}
            for y in sorted(sides, key=lambda y: (abs(y - start) + abs(y - end), y)):
                yield from (y, y - LANE, y + LANE)

    def _is_free(self, tail: Box, column: int, y: float) -> bool:
        taken = self._taken[column]
        i = bisect_left(taken, (y + _CLEAR,))
        if i and taken[i - 1][1] > y - _CLEAR:
            return False
        used, owner = self._used[column], self._owner[column]
        near = used[bisect_right(used, y - LANE) : bisect_left(used, y + LANE)]
        return all(owner[lane] is tail for lane in near)
