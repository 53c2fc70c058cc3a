"""Pictures drawn by graphnn itself, as SVG: layers by longest path, frames that hold their own and nothing else.

It needs nothing installed and takes time linear in what is drawn; the same picture is the same bytes everywhere.
It draws the mirror, and all else where there is no Graphviz or a graph is too large for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

from .columns import columns, in_order
from .picture import Arrow, Box, Frame, Picture, outline

__all__ = ["to_svg"]

_INK = "#333333"
_FILLS = {
    "input": "#cfe8f7", "parameter": "#fbe7a1", "constant": "#eeeeee", "forward": "#ffffff",
    "backward": "#f6c9a8", "update": "#b9a3d6", "saved": "#ffffff",
}  # fmt: skip
_FRAMES = {
    "half": 'fill="none" stroke="#bbbbbb"',
    "scope": 'fill="#888888" fill-opacity="0.08" stroke="#cccccc"',
    "adjoint": 'fill="none" stroke="#aaaaaa" stroke-dasharray="4 3"',
}
_LINE, _LETTER, _PAD, _HEAD, _GAP = 14, 6.4, 9, 18, 30
"""In pixels: a line of text, the width of a letter, the space inside a frame, its heading, between columns."""
_LEAVES = ("input", "parameter", "constant", "saved")
_FAR = 40
"""An arrow over more columns than this may run behind boxes: room kept for all of them would cost quadratic time."""


def to_svg(shown: Picture, view: str) -> str:
    """A picture of a view as one SVG document, of text and shapes alone: no script, no link, no reference."""
    layout = _Layout(shown, view)
    width, height = layout.size
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica,Arial,sans-serif" font-size="11">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    for frame, x, y, w, h in layout.frames():
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{w:.0f}" height="{h:.0f}" rx="8" {_FRAMES[frame.kind]}/>')
        parts.append(_text(x + 7, y + 13, frame.text, "start"))
    parts += [line for arrow in shown.arrows for line in _arrow(arrow, layout)]
    parts += [line for box in shown.boxes for line in _box(box, layout)]
    if shown.remark:
        parts.append(_text(_PAD, height - 6, shown.remark, "start"))
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Group:
    """A frame while it is laid out: what stands in it, the columns it spans, and where, from the top of its parent."""

    def __init__(self, frame: Frame | None) -> None:
        self.frame = frame
        self.items: list[_Group | Box] = []
        self.first, self.last = 0, 0
        self.top = self.height = 0.0
        self.depth = 0  # of frames inside


class _Layout:
    """Where everything stands. Columns give the place along the flow; across it, each item takes the first room."""

    def __init__(self, shown: Picture, view: str) -> None:
        self.column = columns(shown, view)
        self.top: dict[Box, float] = {}
        self._aligned = {box for pair in shown.partners for box in pair}
        self._spans = _with_room_for_arrows(self.column, shown)
        self._groups = _grouped(shown)
        for group in reversed(self._groups):
            self._stack(group)
        for group in self._groups:  # from the top of the parent to the top of the picture
            for item in group.items:
                if isinstance(item, _Group):
                    item.top += group.top
                else:
                    self.top[item] += group.top
        self._inner = self._groups[0].depth * _PAD
        self._left, x = [], float(_PAD + self._inner)
        self._widths = [max((box_width(box) for box in row), default=0.0) for row in in_order(self.column)]
        gaps = self._gaps(shown)
        for wide, gap in zip(self._widths, gaps, strict=True):
            self._left.append(x)
            x += wide + gap + 2 * self._inner
        width = x - gaps[-1] - self._inner + _PAD if self._left else 2.0 * _PAD
        remark = _width(shown.remark) + 2 * _PAD if shown.remark else 0.0
        self.size = max(width, remark), self._groups[0].height + 2 * _PAD + (_HEAD if shown.remark else 0)

    def _gaps(self, shown: Picture) -> list[float]:
        """The room after each column: for what the arrows say, right before they arrive."""
        gaps = [float(_GAP)] * len(self._widths)
        for tail, head, text in shown.arrows:
            if text and self.column[tail] != self.column[head]:
                before = self.column[head] - (self.column[tail] < self.column[head])
                gaps[before] = max(gaps[before], _width(text) + 2 * _PAD)
        return gaps

    def _stack(self, group: _Group) -> None:
        heading = _HEAD if group.frame else 0
        if spans := [self._span(item) for item in group.items]:
            group.first, group.last = min(first for first, _ in spans), max(last for _, last in spans)
        room = [float(heading + _PAD)] * (group.last - group.first + 1)
        for item, (first, last) in sorted(zip(group.items, spans, strict=True), key=self._rank):
            covered = slice(first - group.first, last - group.first + 1)
            top = max(room[covered])
            if isinstance(item, _Group):
                item.top, height = top, item.height
                group.depth = max(group.depth, item.depth + 1)
            else:
                self.top[item], height = top, box_height(item)
            room[covered] = [top + height + _PAD] * (last - first + 1)
        group.height = max(room)

    def _rank(self, placed: tuple[_Group | Box, tuple[int, int]]) -> int:
        """Which items come first, so that the chain runs straight: frames and partners, then others, then leaves."""
        item, _ = placed
        return 0 if isinstance(item, _Group) or item in self._aligned else 2 if item.kind in _LEAVES else 1

    def _span(self, item: _Group | Box) -> tuple[int, int]:
        return (item.first, item.last) if isinstance(item, _Group) else self._spans[item]

    def frames(self) -> Iterator[tuple[Frame, float, float, float, float]]:
        """Each frame with its left, top, width and height; outer ones first."""
        for group in self._groups:
            if group.frame:
                inner = _PAD * (group.depth + 1)
                left = self._left[group.first] - inner
                right = self._left[group.last] + self._widths[group.last] + inner
                yield group.frame, left, group.top, right - left, group.height

    def edges(self, box: Box) -> tuple[float, float]:
        """Left and right of the box's column."""
        column = self.column[box]
        return self._left[column], self._left[column] + self._widths[column]

    def bounds(self, box: Box) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a box: in the middle of its column."""
        column, width = self.column[box], box_width(box)
        left = self._left[column] + (self._widths[column] - width) / 2
        return left, self.top[box], left + width, self.top[box] + box_height(box)


def _with_room_for_arrows(column: Mapping[Box, int], shown: Picture) -> dict[Box, tuple[int, int]]:
    """The columns that each box takes: its own, and those that its arrows cross to users in the same frame."""
    spans = {box: (own, own) for box, own in column.items()}
    for tail, head, _ in shown.arrows:
        own, far = column[tail], column[head]
        if tail.place == head.place and tail.kind not in _LEAVES and abs(far - own) <= _FAR:
            first, last = spans[tail]
            spans[tail] = min(first, far + 1) if far < own else first, max(last, far - 1) if far > own else last
    return spans


def _grouped(shown: Picture) -> list[_Group]:
    groups = [_Group(None)]
    path = [groups[0]]
    for item in outline(shown.boxes):
        if item is None:
            path.pop()
        elif isinstance(item, Box):
            path[-1].items.append(item)
        else:
            group = _Group(item)
            path[-1].items.append(group)
            path.append(group)
            groups.append(group)
    return groups


def box_width(box: Box) -> float:
    """How wide a box is: as its longest line, with room for the corners."""
    return max(map(_width, box.lines), default=0.0) + 22


def box_height(box: Box) -> float:
    """How high a box is: as its lines."""
    return len(box.lines) * _LINE + 10.0


def _width(text: str) -> float:
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text) * _LETTER


def _box(box: Box, layout: _Layout) -> Iterator[str]:
    left, top, right, bottom = layout.bounds(box)
    look = f'fill="{_FILLS[box.kind]}" stroke="{_INK}"' + (' stroke-width="2.5"' if box.output else "")
    yield '<g class="node">'
    yield from _shape(box.kind, look, left, top, right, bottom)
    for i, line in enumerate(box.lines):
        yield _text((left + right) / 2, top + 5 + _LINE * (i + 0.75), line, "middle", bold=not i)
    yield "</g>"


def _shape(kind: str, look: str, left: float, top: float, right: float, bottom: float) -> Iterator[str]:
    """Told apart by shape, without colours: inputs, parameters, backward nodes and updates."""
    width, height = right - left, bottom - top
    if kind == "input":
        yield (
            f'<ellipse cx="{left + width / 2:.0f}" cy="{top + height / 2:.0f}" rx="{width / 2:.0f}" '
            f'ry="{height / 2:.0f}" {look}/>'
        )
    elif kind in ("backward", "update"):
        c, d = 7, (7 if kind == "backward" else 0)  # cut at four corners, or slanted
        corners = [(left + c, top), (right - d, top), (right, top + d), (right, bottom - c)]
        if kind == "update":
            corners = [(left + c, top), (right, top), (right - c, bottom), (left, bottom)]
        else:
            corners += [(right - c, bottom), (left + c, bottom), (left, bottom - c), (left, top + c)]
        yield f'<polygon points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in corners)}" {look}/>'
    else:
        extra = {"saved": ' stroke-dasharray="3 2"', "forward": ' rx="7"'}.get(kind, "")
        yield f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" {look}{extra}/>'
        if kind == "parameter":
            yield f'<path d="M{left:.0f},{top + 3:.0f}H{right:.0f}" stroke="{_INK}"/>'


def _arrow(arrow: Arrow, layout: _Layout) -> Iterator[str]:
    """A curve from side to side, and its head; from the bottom to the top where both stand in one column."""
    tail, head = layout.bounds(arrow.tail), layout.bounds(arrow.head)
    (x1, y1), (x2, y2), forwards = _ends(tail, head)
    start, edge = layout.edges(arrow.tail), layout.edges(arrow.head)
    if forwards is None:
        down = 1 if y2 > y1 else -1
        bend = f"C{x1:.0f},{y1 + 12 * down:.0f} {x2:.0f},{y2 - 18 * down:.0f} "
        tip = [(x2, y2), (x2 - 3, y2 - 7 * down), (x2 + 3, y2 - 7 * down)]
    else:
        way = 1 if forwards else -1
        words = _width(arrow.text) + _PAD if arrow.text else 0
        # Straight within its columns, where the boxes are, and under its words.
        leaves, arrives = (max if forwards else min)(start), (min if forwards else max)(edge)
        arrives = min(arrives, x2 - words) if forwards else max(arrives, x2 + words)
        reach = way * min(_GAP * 0.7, abs(arrives - leaves) / 2)
        bend = f"H{leaves:.0f}C{leaves + reach:.0f},{y1:.0f} {arrives - reach:.0f},{y2:.0f} {arrives:.0f},{y2:.0f}L"
        tip = [(x2, y2), (x2 - 7 * way, y2 - 3), (x2 - 7 * way, y2 + 3)]
    yield f'<path d="M{x1:.0f},{y1:.0f}{bend}{x2:.0f},{y2:.0f}" fill="none" stroke="{_INK}"/>'
    yield f'<polygon points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in tip)}" fill="{_INK}"/>'
    if arrow.text:
        way = {True: -1, False: 1, None: 0}[forwards]
        yield _text(x2 + 9 * way, y2 - 5, arrow.text, ("middle", "start", "end")[way], halo=True)


def _ends(tail: Sequence[float], head: Sequence[float]) -> tuple[tuple[float, float], tuple[float, float], bool | None]:
    """Where an arrow leaves and arrives, and whether it points forwards; None when up or down."""
    middle, beside = (tail[1] + tail[3]) / 2, (head[1] + head[3]) / 2
    if tail[2] <= head[0]:
        return (tail[2], middle), (head[0], beside), True
    if head[2] <= tail[0]:
        return (tail[0], middle), (head[2], beside), False
    below = head[1] > tail[1]
    start, end = (tail[3], head[1]) if below else (tail[1], head[3])
    return ((tail[0] + tail[2]) / 2, start), ((head[0] + head[2]) / 2, end), None


def _text(x: float, y: float, text: str, anchor: str, bold: bool = False, halo: bool = False) -> str:
    look = ' font-weight="bold"' if bold else ""
    look += ' stroke="#ffffff" stroke-width="3" paint-order="stroke"' if halo else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{_INK}"{look}>{escape(text)}</text>'
