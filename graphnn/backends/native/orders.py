"""Orders: kernels that put the best of each line in order by a heap, in memory that the plan keeps.

An element's rank is a number: what it is worth above, where it stands below, so that no two are equal, and the first of
equal elements is the better one. The heap holds the lowest ranks so far with the highest at its root; sorted, it is the
order. Source: J. W. J. Williams, Algorithm 232: Heapsort, Communications of the ACM 7, 1964.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..nests import Axis
from .maps import axis_loops
from .types import DType, number, register_type
from .writer import Writer

__all__ = ["LONGEST", "Order", "order_kernel"]

LONGEST = 1 << 32
"""Lines have fewer elements, where those have less than 64 bits: their places are the other half of a word."""

_PLACE = np.dtype(np.int64)


@dataclass(frozen=True)
class Order:
    """What the kernel of an order depends on: whether the largest come first, and which results are wanted."""

    largest: bool
    values: bool
    places: bool
    lines: tuple[Axis, ...]
    source: DType

    @property
    def results(self) -> tuple[DType, ...]:
        """The dtypes of the results that are wanted."""
        return tuple(dtype for dtype, wanted in ((self.source, self.values), (_PLACE, self.places)) if wanted)


@cache
def order_kernel(how: Order) -> str:
    """The best few of each line, in order. Arrays: the values and the places, those that are wanted; the operand.

    Words: pointers; that of the heap; elements of a line, and how many are wanted; the bytes from one to the next of
    each array; the numbers of the axes of the lines.
    """
    w = Writer()
    dtypes = (*how.results, how.source)
    pointers = [w.word("ptr") for _ in dtypes]
    memory, count, wanted = w.word("ptr"), w.word(), w.word()
    apart = [w.word() for _ in pointers]
    with axis_loops(w, how.lines, dtypes, pointers) as places:
        columns = [*zip(places, apart, dtypes, strict=True)]
        heap = _Heap(w, how, memory, wanted, columns[-1])
        heap.fill()
        heap.improve(count)
        heap.sort()
        heap.write(columns[:-1])
    return w.text()


class _Heap:
    """The best elements so far of one line: a rank is no lower than those of its children."""

    def __init__(self, w: Writer, how: Order, memory: str, size: str, operand: tuple[str, str, DType]) -> None:
        self.w, self.how, self.memory, self.size = w, how, memory, size
        self._line, self._apart, _ = operand
        self._half = 32 if how.source.itemsize <= 4 else 64
        self._kind = f"i{2 * self._half}"

    def fill(self) -> None:
        """The first elements of the line, as many as are wanted."""
        w = self.w
        with w.loop(self.size) as index:
            self._put(index, self._rank(index))
        parents = w.put(f"lshr i64 {self.size}, 1")
        with w.loop(parents) as index:
            at = w.put(f"sub nsw i64 {w.put(f'sub nsw i64 {parents}, {index}')}, 1")
            self._sift(at, self._get(at), self.size)

    def improve(self, count: str) -> None:
        """Every other element that is better than the worst goes in its place."""
        w = self.w
        with w.loop(count, 1, self.size) as index:
            rank = self._rank(index)
            with w.when(w.put(f"icmp ult {self._kind} {rank}, {self._get('0')}")):
                self._sift("0", rank, self.size)

    def sort(self) -> None:
        """The worst of all that are left goes to the end, again and again."""
        w = self.w
        with w.loop(self.size, 1, "1") as index:
            end = w.put(f"sub nsw i64 {self.size}, {index}")
            rank = self._get(end)
            self._put(end, self._get("0"))
            self._sift("0", rank, end)

    def write(self, results: Sequence[tuple[str, str, DType]]) -> None:
        """Values and places, the best first."""
        w = self.w
        with w.loop(self.size) as index:
            place = w.put(f"and {self._kind} {self._get(index)}, {(1 << self._half) - 1}")
            place = place if self._half == 32 else w.put(f"trunc i128 {place} to i64")
            found = [self._load(place)] * self.how.values + [place] * self.how.places
            for value, (pointer, apart, dtype) in zip(found, results, strict=True):
                w.store(value, w.offset(pointer, (index, apart)), dtype)

    def _sift(self, at: str, rank: str, size: str) -> None:
        """Put a rank where it belongs at or below a place of so many: its higher children move up."""
        w, kind = self.w, self._kind
        hole = w.variable("i64")
        w.do(f"store i64 {at}, ptr {hole}")
        with w.repeat() as settled:
            here = w.put(f"load i64, ptr {hole}")
            left = w.put(f"add nsw i64 {w.put(f'shl nsw i64 {here}, 1')}, 1")
            right = w.put(f"add nsw i64 {left}, 1")
            w.go_when(w.put(f"icmp sge i64 {left}, {size}"), settled)
            beyond = w.put(f"icmp sge i64 {right}, {size}")
            second = w.put(f"select i1 {beyond}, i64 {left}, i64 {right}")
            one, two = self._get(left), self._get(second)
            higher = w.put(f"icmp ugt {kind} {two}, {one}")
            child = w.put(f"select i1 {higher}, {kind} {two}, {kind} {one}")
            w.go_when(w.put(f"icmp uge {kind} {rank}, {child}"), settled)
            self._put(here, child)
            w.do(f"store i64 {w.put(f'select i1 {higher}, i64 {second}, i64 {left}')}, ptr {hole}")
        self._put(w.put(f"load i64, ptr {hole}"), rank)

    def _get(self, at: str) -> str:
        return self.w.put(f"load {self._kind}, ptr {self.w.offset(self.memory, (at, self._half // 4))}, align 8")

    def _put(self, at: str, rank: str) -> None:
        self.w.do(f"store {self._kind} {rank}, ptr {self.w.offset(self.memory, (at, self._half // 4))}, align 8")

    # Ranks -------------------------------------------------------------------------------------------------------

    def _load(self, place: str) -> str:
        return self.w.load(self.w.offset(self._line, (place, self._apart)), self.how.source)

    def _rank(self, index: str) -> str:
        """The rank of an element: unsigned, the better the lower."""
        w, kind, half = self.w, self._kind, self._half
        worth, bits = self._worth(self._load(index))
        above = w.put(f"zext i{bits} {worth} to {kind}")
        below = index if half == 32 else w.put(f"zext i64 {index} to i128")
        return w.put(f"or {kind} {w.put(f'shl {kind} {above}, {half}')}, {below}")

    def _worth(self, value: str) -> tuple[str, int]:
        """What an element is worth, as an unsigned number of so many bits: equal ones are worth the same."""
        w, dtype = self.w, self.how.source
        bits = 8 * dtype.itemsize
        lowest = -(1 << bits - 1)
        if dtype.kind == "b":
            value = w.put(f"zext i1 {value} to i8")
        elif dtype.kind == "i":
            value = w.put(f"xor i{bits} {value}, {lowest}")
        elif dtype.kind == "f":
            whole = w.put(f"bitcast {register_type(dtype)} {self._plain(value)} to i{bits}")
            negative = w.put(f"ashr i{bits} {whole}, {bits - 1}")  # of those all bits turn, of others the sign
            value = w.put(f"xor i{bits} {whole}, {w.put(f'or i{bits} {negative}, {lowest}')}")
        return (w.put(f"xor i{bits} {value}, -1") if self.how.largest else value), bits

    def _plain(self, value: str) -> str:
        """A float with one zero and one NaN, which is above all numbers."""
        w, dtype = self.w, self.how.source
        kind, zero = register_type(dtype), number(0, dtype)
        nothing = w.put(f"fcmp oeq {kind} {value}, {zero}")
        signless = w.put(f"select i1 {nothing}, {kind} {zero}, {kind} {value}")
        nan = w.put(f"fcmp uno {kind} {value}, {value}")
        return w.put(f"select i1 {nan}, {kind} {number(np.nan, dtype)}, {kind} {signless}")
