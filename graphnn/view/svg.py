"""Pictures as SVG, painted by graphnn itself. Nothing need be installed, and a picture always has the same bytes.

Pictures of both halves and of plans are painted here; others too, if there is no Graphviz, or a graph is too large for
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from .fold import Folded
from .layout import LID, LINE, PAD
from .picture import Box, Picture
from .routes import Point, Route
from .sheet import Sheet, sheet_of

__all__ = ["sheet_to_svg", "to_svg"]

_INK = "#333333"
_FILLS = {
    "input": "#cfe8f7", "parameter": "#fbe7a1", "constant": "#eeeeee", "forward": "#ffffff",
    "backward": "#f6c9a8", "update": "#b9a3d6", "saved": "#ffffff",
}  # fmt: skip
_FRAMES = {
    "half": 'fill="none" stroke="#bbbbbb"',
    "scope": 'fill="#888888" fill-opacity="0.08" stroke="#cccccc"',
    "adjoint": 'fill="none" stroke="#aaaaaa" stroke-dasharray="4 3"',
    "body": 'fill="none" stroke="#333333" stroke-width="1.5"',
    "step": 'stroke="#333333"',
}


def to_svg(shown: Picture, view: str) -> str:
    """A picture of a view as one SVG document, made of text and shapes, without scripts, links or references."""
    return sheet_to_svg(sheet_of(shown, view, fold=False))


def sheet_to_svg(sheet: Sheet) -> str:
    """A sheet as one SVG document."""
    width, height = f"{sheet.width:.0f}", f"{sheet.height:.0f}"
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="Helvetica,Arial,sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for shown, layout, x, y in sheet.parts:
        moved = [f'<g transform="translate({x:.0f},{y:.0f})">'] if x or y else []
        parts += [*moved, *_painted(shown, layout), *(["</g>"] if moved else [])]
    parts += [_text(x, y, text, "start", bold=True) for x, y, text in sheet.headings]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _painted(shown: Picture, layout: Folded) -> Iterator[str]:
    for frame, x, y, w, h in layout.frames():
        look = _FRAMES[frame.kind] + (f' fill="{frame.fill}"' if frame.fill else "")
        yield f'<rect x="{x:.0f}" y="{y:.0f}" width="{w:.0f}" height="{h:.0f}" rx="8" {look}/>'
    for _, route in layout.routes():
        yield from _arrow(route)
    for frame, x, y, *_ in layout.frames():
        yield _text(x + 7, y + 13, frame.text, "start")
    for box in shown.boxes:
        yield from _box(box, layout)
    for x, y, fill, text in layout.legend:
        yield f'<rect x="{x:.0f}" y="{y + 2:.0f}" width="12" height="12" fill="{fill}" stroke="{_INK}"/>'
        yield _text(x + 17, y + 12, text, "start")
    if shown.remark:
        yield _text(PAD, layout.size[1] - 6, shown.remark, "start")


def _box(box: Box, layout: Folded) -> Iterator[str]:
    left, top, right, bottom = layout.bounds(box)
    look = f'fill="{box.fill or _FILLS[box.kind]}" stroke="{_INK}"' + (' stroke-width="2.5"' if box.output else "")
    yield '<g class="node">'
    yield from _shape(box.kind, look, left, top, right, bottom)
    top += LID if box.kind == "parameter" else 0
    for i, line in enumerate(box.lines):
        yield _text((left + right) / 2, top + 5 + LINE * (i + 0.75), line, "middle", bold=not i)
    yield "</g>"


def _shape(kind: str, look: str, left: float, top: float, right: float, bottom: float) -> Iterator[str]:
    """The shapes of inputs, parameters, backward nodes and updates, which differ without colours too."""
    width, height = right - left, bottom - top
    if kind == "input":
        yield (
            f'<ellipse cx="{left + width / 2:.0f}" cy="{top + height / 2:.0f}" rx="{width / 2:.0f}" '
            f'ry="{height / 2:.0f}" {look}/>'
        )
    elif kind in ("backward", "update"):
        yield f'<polygon points="{_points(_corners(kind, left, top, right, bottom))}" {look}/>'
    else:
        extra = {"saved": ' stroke-dasharray="3 2"', "forward": ' rx="7"'}.get(kind, "")
        yield f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" {look}{extra}/>'
        if kind == "parameter":
            yield f'<path d="M{left:.0f},{top + LID:.0f}H{right:.0f}" stroke="{_INK}"/>'


def _corners(kind: str, left: float, top: float, right: float, bottom: float) -> list[Point]:
    """The corners of a backward box, cut at four of them, or of an update, slanted."""
    c = 7
    if kind == "update":
        return [(left + c, top), (right, top), (right - c, bottom), (left, bottom)]
    return [
        (left + c, top), (right - c, top), (right, top + c), (right, bottom - c),
        (right - c, bottom), (left + c, bottom), (left, bottom - c), (left, top + c),
    ]  # fmt: skip


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in points)


def _arrow(route: Route) -> Iterator[str]:
    start, rest = route.curve[0], route.curve[1:]
    parts = [f"M{_points([start])}"]
    for i in range(0, len(rest), 3):
        one, other, end = rest[i : i + 3]
        straight = one == route.curve[i] and other == end
        parts.append(f"L{_points([end])}" if straight else f"C{_points([one, other, end])}")
    yield f'<path d="{"".join(parts)}" fill="none" stroke="{_INK}"/>'
    if route.tip:
        yield f'<polygon points="{_points(route.tip)}" fill="{_INK}"/>'
    if route.text:
        yield _text(*route.at, route.text, route.anchor, halo=True)


def _text(x: float, y: float, text: str, anchor: str, bold: bool = False, halo: bool = False) -> str:
    look = ' font-weight="bold"' if bold else ""
    look += ' stroke="#ffffff" stroke-width="3" paint-order="stroke"' if halo else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{_INK}"{look}>{escape(text)}</text>'
