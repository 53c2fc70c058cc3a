"""Layouts: the positions of boxes and frames of a picture, in pixels. Columns follow from longest paths.

The time is linear in the number of boxes and arrows, and a picture has the same layout on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from unicodedata import east_asian_width

from .columns import columns, in_order
from .picture import Box, Frame, Picture, outline

__all__ = ["FAR", "GAP", "LANE", "HEADING", "LID", "LINE", "PAD", "Layout", "text_width"]

LINE, PAD, HEADING, GAP, LID = 14, 9, 18, 30, 6
"""In pixels: a line of text, the space inside a frame, its heading, between columns, and the lid of a parameter."""
_LETTER = 6.4
_LEAVES = ("input", "parameter", "constant", "saved")
_LOWEST = LINE + 10.0 + PAD
"""Of a box with one line, and the space beneath."""
FAR = 40
"""Arrows over more columns than this run beneath everything: room for all of them would cost quadratic time."""
LANE = 5.0
"""Pixels between arrows of different values."""
_LANES = 20
"""So many run beneath everything side by side; more share."""


class _Group:
    """A frame during layout: its content, the columns that it spans, and its position from the top of its parent."""

    def __init__(self, frame: Frame | None) -> None:
        self.frame = frame
        self.items: list[_Group | Box] = []
        self.first, self.last = 0, 0
        self.top = self.height = 0.0
        self.depth = 0  # of frames inside


class _Room:
    """The free gaps in each column of a frame, from the top on, while its items are placed."""

    def __init__(self, columns: int, top: float) -> None:
        self.bottom = top
        self._gaps: list[list[tuple[float, float]]] = [[(top, inf)] for _ in range(columns)]

    def take(self, columns: range, height: float) -> float:
        """Take the first gap of this height in all these columns, and return its position."""
        top, settled = 0.0, False
        while not settled:
            settled = True
            for column in columns:
                start = next(max(top, low) for low, high in self._gaps[column] if max(top, low) + height <= high)
                if start > top:
                    top, settled = start, False
        for column in columns:
            self._gaps[column] = list(_without(self._gaps[column], top, top + height))
        self.bottom = max(self.bottom, top + height)
        return top


def _without(gaps: Sequence[tuple[float, float]], top: float, bottom: float) -> Iterator[tuple[float, float]]:
    """What is left of gaps, if a box fits into it."""
    for low, high in gaps:
        for start, end in ((low, min(high, top)), (max(low, bottom), high)):
            if end - start >= _LOWEST:
                yield start, end


class Layout:
    """The positions of all. Along the flow, columns decide; across it, each item takes the first gap that fits."""

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
        self._inner = self._groups[0].depth * PAD
        self._left, x = [], float(PAD + self._inner)
        self.rows = in_order(self.column)
        self._widths = [max((box_width(box) for box in row), default=0.0) for row in self.rows]
        self._room = self._gaps(shown)
        self._widen()
        for wide, gap in zip(self._widths, self._room, strict=True):
            self._left.append(x)
            x += wide + gap + 2 * self._inner
        width = x - self._room[-1] - self._inner + PAD if self._left else 2.0 * PAD
        self._beneath = self._groups[0].height + PAD
        far = {tail for tail, head, _ in shown.arrows if abs(self.column[tail] - self.column[head]) > FAR}
        self.size = width, self._beneath + LANE * min(len(far), _LANES) + PAD
        self.margin = PAD + self._inner
        """The space before the first column."""

    def _gaps(self, shown: Picture) -> list[float]:
        """The space after each column, for the texts of arrows, which are right before their ends."""
        gaps = [float(GAP)] * len(self._widths)
        for tail, head, text in shown.arrows:
            if text and self.column[tail] != self.column[head]:
                before = self.column[head] - (self.column[tail] < self.column[head])
                gaps[before] = max(gaps[before], text_width(text) + 2 * PAD)
        return gaps

    def _widen(self) -> None:
        """Make room for the headings of frames: if a frame is too narrow, its last column gets wider."""
        widths = list(self._widths)
        steps = (wide + gap + 2 * self._inner for wide, gap in zip(widths, self._room, strict=True))
        left = list(accumulate(steps, initial=0.0))
        for group in reversed(self._groups):
            if group.frame:
                last = group.last
                wide = left[last] - left[group.first] + self._widths[last] + 2 * PAD * (group.depth + 1)
                self._widths[last] += max(0.0, text_width(group.frame.text) + 2 * PAD - wide)

    def _stack(self, group: _Group) -> None:
        heading = HEADING if group.frame else 0
        if spans := [self._span(item) for item in group.items]:
            group.first, group.last = min(first for first, _ in spans), max(last for _, last in spans)
        room = _Room(group.last - group.first + 1, float(heading + PAD))
        for item, (first, last) in sorted(zip(group.items, spans, strict=True), key=self._rank):
            height = item.height if isinstance(item, _Group) else box_height(item)
            top = room.take(range(first - group.first, last - group.first + 1), height + PAD)
            if isinstance(item, _Group):
                item.top = top
                group.depth = max(group.depth, item.depth + 1)
            else:
                self.top[item] = top
        group.height = room.bottom

    def _rank(self, placed: tuple[_Group | Box, tuple[int, int]]) -> int:
        """The order in which items are placed, so that the chain is straight: frames and partners, others, leaves."""
        item, _ = placed
        return 0 if isinstance(item, _Group) or item in self._aligned else 2 if item.kind in _LEAVES else 1

    def _span(self, item: _Group | Box) -> tuple[int, int]:
        return (item.first, item.last) if isinstance(item, _Group) else self._spans[item]

    def frames(self) -> Iterator[tuple[Frame, float, float, float, float]]:
        """Each frame with its left, top, width and height, outer frames first."""
        for group in self._groups:
            if group.frame:
                inner = PAD * (group.depth + 1)
                left = self._left[group.first] - inner
                right = self._left[group.last] + self._widths[group.last] + inner
                yield group.frame, left, group.top, right - left, group.height

    def spans(self) -> Iterator[tuple[int, int]]:
        """The first and the last column of each frame."""
        return ((group.first, group.last) for group in self._groups if group.frame)

    def lane(self, number: int) -> float:
        """The position of a lane below everything."""
        return self._beneath + LANE * (number % _LANES)

    def edges(self, column: int) -> tuple[float, float]:
        """The left and right of a column."""
        return self._left[column], self._left[column] + self._widths[column]

    def bounds(self, box: Box) -> tuple[float, float, float, float]:
        """The left, top, right and bottom of a box, which is in the middle of its column."""
        column, width = self.column[box], box_width(box)
        left = self._left[column] + (self._widths[column] - width) / 2
        return left, self.top[box], left + width, self.top[box] + box_height(box)


def _with_room_for_arrows(column: Mapping[Box, int], shown: Picture) -> dict[Box, tuple[int, int]]:
    """The columns that each box occupies: its own, and those that its arrows cross to users in the same frame."""
    spans = {box: (own, own) for box, own in column.items()}
    for tail, head, _ in shown.arrows:
        own, far = column[tail], column[head]
        if tail.place == head.place and tail.kind not in _LEAVES and abs(far - own) <= FAR:
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
    """The width of a box: that of its longest line, with room for the corners."""
    return max(map(text_width, box.lines), default=0.0) + 22


def box_height(box: Box) -> float:
    """The height of a box: that of its lines, and of the lid of a parameter."""
    return len(box.lines) * LINE + 10.0 + (LID if box.kind == "parameter" else 0.0)


def text_width(text: str) -> float:
    """The approximate width of a text, in which East Asian characters count twice."""
    letters = len(text) if text.isascii() else sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
    return letters * _LETTER
