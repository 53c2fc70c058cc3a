"""Pictures laid out by graphnn for Graphviz to paint: DOT in which every place is told.

What Graphviz would spend on a layout, more than linear time, is saved, and PNG and PDF look like the SVG.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

import graphviz

from .dot import FRAMES, INK, NODE, label, look
from .fold import Swatch
from .layout import HEADING, text_width
from .picture import Box, Frame
from .routes import Point, Route
from .sheet import Part, Sheet

__all__ = ["sheet_to_dot"]

_INCH = 72.0
_LONGEST, _MOST = 165.0, 1_400.0
"""Inches of a side, and square inches of all, at most: PDF has no larger pages, and bitmaps 96 dots an inch."""
_SLANTED = {"shape": "polygon", "sides": "4", "skew": "0.12"}
"""A parallelogram of which the text is not cut: Graphviz's own is made to be as large as it needs."""


def sheet_to_dot(sheet: Sheet, inches: float = _LONGEST) -> str:
    """A sheet in DOT with the places of all, for `neato -n2`, which draws what it is told; no longer than `inches`."""
    dot = graphviz.Digraph("sheet", node_attr={**NODE, "fixedsize": "true", "fontsize": "10"})
    dot.attr(bb=_numbers([(0, 0), (sheet.width, sheet.height)]), size=_limit(sheet, inches))
    dot.attr(fontname="Helvetica", fontsize="11", fontcolor=INK)
    dot.attr("edge", color=INK, arrowsize="0.6", fontname="Helvetica", fontsize="10", fontcolor=INK)
    for number, part in enumerate(sheet.parts):
        _Painter(dot, part, sheet.height, f"p{number}").paint()
    for number, (x, y, text) in enumerate(sheet.headings):
        _words(dot, f"h{number}", (x, sheet.height - y + 4), text)
    return str(dot.source)


def _limit(sheet: Sheet, inches: float) -> str:
    """The size of the page in inches: smaller than the sheet where that is too large."""
    width, height = sheet.width / _INCH, sheet.height / _INCH
    scale = min(1.0, inches / max(width, height), sqrt(_MOST / (width * height)))
    return f"{scale * width:.2f},{scale * height:.2f}"


class _Painter:
    """Writes a part of a sheet into a graph; Graphviz counts upwards."""

    def __init__(self, dot: graphviz.Digraph, part: Part, height: float, name: str) -> None:
        self._dot, self._part, self._height, self._name = dot, part, height, name

    def paint(self) -> None:
        """All of it, frames first."""
        shown, layout, *_ = self._part
        for number, (frame, *where) in enumerate(layout.frames()):
            self._frame(f"cluster{self._name}_{number}", frame, *where)
        for box in shown.boxes:
            self._box(box)
        for number, route in layout.routes():
            self._edge(self._id(shown.arrows[number].tail), self._id(shown.arrows[number].head), route)
        for number, swatch in enumerate(layout.legend):
            self._swatch(f"{self._name}l{number}", swatch)
        if shown.remark:
            _words(self._dot, f"{self._name}r", self._at((9, layout.size[1] - 10)), shown.remark)

    def _at(self, point: Point) -> Point:
        return point[0] + self._part.x, self._height - point[1] - self._part.y

    def _id(self, box: Box) -> str:
        return f"{self._name}{box.id}"

    def _frame(self, name: str, frame: Frame, x: float, y: float, w: float, h: float) -> None:
        with self._dot.subgraph(name=name) as inner:
            words = self._at((x + 7 + text_width(frame.text) / 2, y + 10))
            fill = {"fillcolor": frame.fill} if frame.fill else {}
            corners = _numbers([self._at((x, y + h)), self._at((x + w, y))])
            inner.attr(bb=corners, label=label([frame.text]), lp=_numbers([words]), **FRAMES[frame.kind] | fill)

    def _box(self, box: Box) -> None:
        left, top, right, bottom = self._part.layout.bounds(box)
        middle = self._at(((left + right) / 2, (top + bottom) / 2))
        shape = look(box) | (_SLANTED if box.kind == "update" else {})
        self._dot.node(self._id(box), label(box.lines), **shape, **_size(middle, right - left, bottom - top))

    def _edge(self, tail: str, head: str, route: Route) -> None:
        if route.tip is None:
            self._dot.edge(tail, head, pos=_spline(map(self._at, route.curve)), dir="none")
            return
        *most, _ = route.curve
        (_, one, other) = route.tip
        base = (one[0] + other[0]) / 2, (one[1] + other[1]) / 2
        places = f"e,{_numbers([self._at(route.tip[0])])} {_spline(map(self._at, [*most, base]))}"
        said = {}
        if route.text:
            aside = {"start": 0.5, "middle": 0.0, "end": -0.5}[route.anchor] * text_width(route.text)
            said = {"label": label([route.text]), "lp": _numbers([self._at((route.at[0] + aside, route.at[1] - 4))])}
        self._dot.edge(tail, head, pos=places, **said)

    def _swatch(self, name: str, swatch: Swatch) -> None:
        middle = self._at((swatch.x + 6, swatch.y + 8))
        self._dot.node(name, "", fillcolor=swatch.fill, **_size(middle, 12, 12))
        _words(self._dot, f"{name}t", self._at((swatch.x + 17, swatch.y + 8)), swatch.text)


def _words(dot: graphviz.Digraph, name: str, at: Point, text: str) -> None:
    """Text from a place to the right."""
    wide = text_width(text)
    place = _size((at[0] + wide / 2, at[1]), wide, HEADING)
    dot.node(name, f"{label([text])}\\l", shape="box", color="transparent", style="", margin="0", **place)


def _size(middle: Point, width: float, height: float) -> dict[str, str]:
    return {"pos": _numbers([middle]), "width": f"{width / _INCH:.3f}", "height": f"{height / _INCH:.3f}"}


def _numbers(points: Iterable[Point]) -> str:
    return ",".join(f"{x:.0f},{y:.0f}" for x, y in points)


def _spline(points: Iterable[Point]) -> str:
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
