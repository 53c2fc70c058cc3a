"""Folded layouts: a picture that is much longer than high continues in the next row, like a text.

It is cut right before a column, where all arrows are horizontal. An arrow that leaves a row at its right continues at
the left of the next row, at the same height.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import groupby, pairwise
from math import ceil, sqrt
from typing import NamedTuple

from .layout import HEADING, PAD, Layout, text_width
from .picture import Box, Frame, Picture
from .routes import Point, Route, routes

__all__ = ["Folded", "Swatch"]

_LONG, _SLIM = 4000.0, 4.0
"""A layout that is wider than so many pixels, and so many times wider than high, is folded."""
_ROW = 2400.0
"""The least width of a row, in pixels."""
_SHAPE = 1.6
"""The approximate ratio of width to height of a folded layout."""
_SWATCH = 26
"""The width of a square of the legend, without its text."""
_Curve = tuple[Point, Point, Point, Point]


class Swatch(NamedTuple):
    """A placed entry of the legend: left, top, the colour of its square, and its meaning."""

    x: float
    y: float
    fill: str
    text: str


class Folded:
    """A layout in several rows if need be (in one, unless it is to `fold`), with legend and remark below."""

    def __init__(self, shown: Picture, layout: Layout, fold: bool) -> None:
        self._layout = layout
        self._routes = list(routes(shown, layout))
        width, self._band = layout.size
        self._cuts: list[float] = []
        if fold and width > max(_LONG, _SLIM * self._band):
            rows = ceil(width / max(_ROW, sqrt(_SHAPE * width * self._band)))
            self._cut(width / rows)  # of about one length
        ends = [*self._cuts, width]
        self._width = max(end - self._start(row) for row, end in enumerate(ends))
        if shown.remark:
            self._width = max(self._width, text_width(shown.remark) + 2 * PAD)
        self.legend = list(self._swatches(shown))
        lines = len({swatch.y for swatch in self.legend}) + bool(shown.remark)
        self.size = self._width, len(ends) * self._band + HEADING * lines

    def _cut(self, length: float) -> None:
        for column in range(1, len(self._layout.rows)):
            left = self._layout.edges(column)[0]
            if left - self._start(len(self._cuts)) > length:
                self._cuts.append(left)

    def _start(self, row: int) -> float:
        """The position at which a row begins in the layout, including its margin."""
        return self._cuts[row - 1] - self._layout.margin if row else 0.0

    def _row(self, x: float) -> int:
        return bisect_right(self._cuts, x)

    def _moved(self, point: Point, row: int) -> Point:
        return point[0] - self._start(row), point[1] + row * self._band

    def _swatches(self, shown: Picture) -> Iterator[Swatch]:
        """The legend below the picture, in lines of the same width."""
        x, y = float(PAD), (len(self._cuts) + 1) * self._band - PAD
        for fill, text in shown.legend:
            wide = text_width(text) + _SWATCH
            if x > PAD and x + wide > self._width:
                x, y = float(PAD), y + HEADING
            yield Swatch(x, y, fill, text)
            x += wide

    def frames(self) -> Iterator[tuple[Frame, float, float, float, float]]:
        """Each frame with its left, top, width and height in each row that it spans, outer frames first."""
        for (first, last), (frame, x, y, w, h) in zip(self._layout.spans(), self._layout.frames(), strict=True):
            begins, ends = (self._row(self._layout.edges(column)[0]) for column in (first, last))
            for row in range(begins, ends + 1):
                left = x if row == begins else self._start(row) + PAD / 2
                right = x + w if row == ends else self._cuts[row] - PAD / 2
                yield frame, *self._moved((left, y), row), right - left, h

    def bounds(self, box: Box) -> tuple[float, float, float, float]:
        """The left, top, right and bottom of a box."""
        left, top, right, bottom = self._layout.bounds(box)
        row = self._row(self._layout.edges(self._layout.column[box])[0])
        return *self._moved((left, top), row), *self._moved((right, bottom), row)

    def routes(self) -> Iterator[tuple[int, Route]]:
        """The pieces of each arrow's route, with its place among the arrows; only the last has a tip and words."""
        for number, route in enumerate(self._routes):
            curves = [piece for curve in _curves(route) for piece in self._pieces(curve)]
            rows = [(row, list(group)) for row, group in groupby(curves, key=self._row_of)]
            for i, (row, group) in enumerate(rows):
                start = self._moved(group[0][0], row)
                curve = (start, *(self._moved(point, row) for piece in group for point in piece[1:]))
                if i < len(rows) - 1:
                    yield number, Route(curve, None, "", start, "start")
                else:
                    assert route.tip is not None  # a whole route has one
                    one, other, third = (self._moved(point, row) for point in route.tip)
                    at = self._moved(route.at, row)
                    yield number, Route(curve, (one, other, third), route.text, at, route.anchor)

    def _row_of(self, curve: _Curve) -> int:
        return self._row((curve[0][0] + curve[3][0]) / 2)

    def _pieces(self, curve: _Curve) -> Iterator[_Curve]:
        """A straight line in pieces, cut where rows end; bends lie between two columns, before the cut."""
        start, one, other, end = curve
        straight = (start, end) == (one, other)
        low, high = sorted((start[0], end[0]))
        cuts = self._cuts[bisect_right(self._cuts, low) : bisect_left(self._cuts, high)] if straight else []
        places = [start, *((x, start[1]) for x in (cuts if start[0] <= end[0] else cuts[::-1])), end]
        if len(places) == 2:
            yield curve
        else:
            yield from ((a, a, b, b) for a, b in pairwise(places))


def _curves(route: Route) -> Iterator[_Curve]:
    for i in range(0, len(route.curve) - 1, 3):
        a, b, c, d = route.curve[i : i + 4]
        yield a, b, c, d
