"""The arena: buffers are placed in slots by their lifetimes, once for all named sizes.

The largest buffers are placed first, each where it fits best: in a slot that is free while the buffer lives, or in the
part of a slot that a smaller buffer leaves free. What fits best is decided with a typical number for every named size.
The placement is right for all sizes, since a slot is always as large as the largest buffer in it.

Source: Y. Pisarchyk and J. Lee, Efficient Memory Management for Deep Neural Net Inference, 2020, arXiv:2001.03288
(greedy by size), with the rest of a place given to others as in guillotine cutting.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from ..ir.polynomial import Polynomial

__all__ = ["ALIGNMENT", "Buffer", "Slot", "Whole", "aligned", "offsets", "place"]

ALIGNMENT = 64
"""In bytes: a cache line, and the widest vector load."""
_TYPICAL = 128
"""The number for every named size while places are chosen."""
_NEAR = 8
"""How many sizes of free places are looked at for each size of buffer. The limit keeps the time linear."""


class Buffer(NamedTuple):
    """Some bytes that are needed from one step to another, both included."""

    size: Polynomial | Whole
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A part of the arena, as large as the largest of its buffers, or of the pairs of slots that it is divided into."""

    sizes: tuple[Polynomial | Whole, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    """The slots that it is divided into, two by two: the second begins where the first ends."""
    inside: bool = False
    """True for a part of another slot. It has a higher number than that slot."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The arenas of several bodies, of which a step runs one at a time, as one buffer in the arena around them."""

    bodies: tuple[tuple[Slot, ...], ...]

    def __call__(self, sizes: Mapping[str, int]) -> int:
        """The bytes of the largest of the arenas."""
        return max(offsets(slots, sizes)[1] for slots in self.bodies)

    def __str__(self) -> str:
        return "its bodies"


def aligned(count: int) -> int:
    """The next multiple of the alignment."""
    return -(-count // ALIGNMENT) * ALIGNMENT


def offsets(slots: Sequence[Slot], sizes: Mapping[str, int]) -> tuple[list[int], int]:
    """Where each slot begins, and the bytes of all, for given sizes."""
    known: dict[Polynomial | Whole, int] = {}
    lengths = [0] * len(slots)
    for i in range(len(slots) - 1, -1, -1):
        length = 0
        for size in slots[i].sizes:
            number = known.get(size)
            if number is None:
                number = known[size] = aligned(size(sizes))
            length = max(length, number)
        for low, high in slots[i].pairs:
            length = max(length, lengths[low] + lengths[high])
        lengths[i] = length
    begins, end = [0] * len(slots), 0
    for i, slot in enumerate(slots):
        if not slot.inside:
            begins[i] = end
            end += lengths[i]
        for low, high in slot.pairs:
            begins[low] = begins[i]
            begins[high] = begins[i] + lengths[low]
    return begins, end


def place(buffers: Sequence[Buffer], end: int) -> tuple[list[Slot], list[int]]:
    """The slots, and the number of the slot of each buffer. A buffer may be needed from -1, and up to `end`."""
    return _Placing(buffers, end).run()


class _Free(NamedTuple):
    """A time during which a slot is free. Sorting orders these by their ends."""

    last: int
    first: int
    slot: int


@dataclass
class _Shelf:
    """The free places of one size: those that are free later, by their first step, and the others by their last."""

    coming: list[tuple[int, int, int]] = field(default_factory=list)
    here: list[_Free] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.coming and not self.here

    def add(self, first: int, last: int, slot: int) -> None:
        heapq.heappush(self.coming, (first, last, slot))

    def take(self, first: int, last: int) -> _Free | None:
        """Take the place that is free during these steps, and for the shortest time after them, then before them."""
        coming, here = self.coming, self.here
        while coming and coming[0][0] <= first:
            begins, ends, slot = heapq.heappop(coming)
            insort(here, _Free(ends, begins, slot))
        at = bisect_left(here, (last, -2, -1))
        if at == len(here):
            return None
        return here.pop(bisect_left(here, (here[at].last + 1, -2, -1), at) - 1)

    def rewind(self) -> None:
        """Start again at the first step, for buffers of another size."""
        self.coming = sorted([*self.coming, *((free.first, free.last, free.slot) for free in self.here)])
        self.here = []


class _Placing:
    def __init__(self, buffers: Sequence[Buffer], end: int) -> None:
        self.buffers, self.end = buffers, end
        self.sizes: list[dict[Polynomial | Whole, None]] = []
        self.pairs: list[list[tuple[int, int]]] = []
        self.inside: list[bool] = []
        self.shelves: dict[int, _Shelf] = {}
        self.slot_of = [0] * len(buffers)

    def run(self) -> tuple[list[Slot], list[int]]:
        for bytes_, members in self._by_size():
            near = sorted(size for size, shelf in self.shelves.items() if size >= bytes_ and not shelf.is_empty)
            own = self.shelves.setdefault(bytes_, _Shelf())
            shelves = [(size, self.shelves[size]) for size in near[:_NEAR]]
            if not near or near[0] != bytes_:
                shelves.insert(0, (bytes_, own))
            for _, shelf in shelves:
                shelf.rewind()
            for i in members:
                self._place(i, bytes_, shelves)
        slots = map(Slot, map(tuple, self.sizes), map(tuple, self.pairs), self.inside)
        return list(slots), self.slot_of

    def _by_size(self) -> Iterator[tuple[int, list[int]]]:
        """The numbers of the buffers by size: the largest first, and those of one size in order of their first step."""
        typical = _Typical()
        known: dict[Polynomial | Whole, int] = {}
        for buffer in self.buffers:
            if buffer.size not in known:
                known[buffer.size] = max(ALIGNMENT, aligned(buffer.size(typical)))
        order = sorted(range(len(self.buffers)), key=lambda i: (-known[self.buffers[i].size], self.buffers[i].first, i))
        for bytes_, members in groupby(order, key=lambda i: known[self.buffers[i].size]):
            yield bytes_, list(members)

    def _place(self, i: int, bytes_: int, shelves: Sequence[tuple[int, _Shelf]]) -> None:
        size, first, last = self.buffers[i]
        room, shelf, free = bytes_, self.shelves[bytes_], None
        for size_of_place, places in shelves:
            free = places.take(first, last)
            if free is not None:
                room, shelf = size_of_place, places
                break
        if free is None:
            free = _Free(self.end, -1, self._new(inside=False))
        slot = free.slot
        if room - bytes_ >= ALIGNMENT:  # the rest is free for as long as the place was
            slot, rest = self._new(inside=True), self._new(inside=True)
            self.pairs[free.slot].append((slot, rest))
            self.shelves.setdefault(room - bytes_, _Shelf()).add(free.first, free.last, rest)
            shelf = self.shelves[bytes_]
        if free.first < first:
            shelf.add(free.first, first - 1, slot)
        if free.last > last:
            shelf.add(last + 1, free.last, slot)
        self.sizes[slot].setdefault(size)
        self.slot_of[i] = slot

    def _new(self, inside: bool) -> int:
        self.sizes.append({})
        self.pairs.append([])
        self.inside.append(inside)
        return len(self.sizes) - 1


class _Typical(dict[str, int]):
    def __missing__(self, name: str) -> int:
        return _TYPICAL
