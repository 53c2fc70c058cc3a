"""The kernels over rows: of short ones, a vector of rows at a time, and of long ones, a vector of elements at a time.

Folds have the order that the kernel of a single fold has, so the bits are the same: short rows are folded one element
after the other; along long ones element i goes to lane i mod L, and the lanes are folded in halves at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from ...rowwise.program import Folded, Picked, RowProgram, Summed
from ..reductions import SHORT, fold_lanes, fold_values, start_of
from ..types import DType, register_type, splat
from ..writer import Writer
from .writer import Place, RowWriter, spread_number

__all__ = ["rows_kernel"]

_UNROLLED = 4
"""The most elements, or vectors, of a row that are written out one by one. Values kept of them stay in registers."""


@cache
def rows_kernel(program: RowProgram) -> str:
    """The kernel of a row program. Its words, in order:

    - for each array, a pointer
    - for each axis of rows, its size and strides, those that vary
    - for each array, its stride along a row, if that is neither 0 nor the size of an element
    """
    w = Writer()
    summed = any(isinstance(step, Summed) for step in program.steps)
    (_ShortRows if program.width <= SHORT and not summed else _LongRows)(w, program).write()
    return w.text()


class _ShortRows(RowWriter):
    """The kernel for short rows: each lane of a vector is a row. If rows are too few, the last is repeated."""

    def __init__(self, w: Writer, program: RowProgram) -> None:
        super().__init__(w, program)
        self.row_lanes = self.lanes

    def walk(self, size: str, places: list[str]) -> None:
        """Several rows at once."""
        w = self.w
        last = w.put(f"sub nsw i64 {size}, 1")
        with w.loop(size, self.lanes) as first:
            rows = [first, *(w.put(f"add nsw i64 {first}, {lane}") for lane in range(1, self.lanes))]
            rows = [w.put(f"call i64 @llvm.smin.i64(i64 {row}, i64 {last})") for row in rows]
            self.at = [[w.offset(p, (row, move)) for row in rows] for p, move in zip(places, self.moves, strict=True)]
            self.compute()

    def positions(self) -> Iterator[Place]:
        """One element after the other."""
        if self.program.width <= _UNROLLED:
            yield from (Place(str(k), 1) for k in range(self.program.width))
            return
        with self.w.loop(str(self.program.width)) as element:
            yield Place(element, 1)

    def lanes_at(self, place: Place) -> int:
        """One for each row."""
        return self.lanes

    def load_row(self, i: int) -> str:
        """From each row."""
        return self._load(i, self.at[i])

    def load_whole(self, i: int, place: Place) -> str:
        """From each row."""
        return self._load(i, [self.w.offset(row, (place.element, self.along[i])) for row in self.at[i]])

    def _load(self, i: int, places: list[str]) -> str:
        w, dtype = self.w, self.program.arrays[i].dtype
        if self.moves[i] == 0:
            return w.spread(w.load(places[0], dtype), dtype, self.lanes)
        vector = "poison"
        for lane, place in enumerate(places):
            one = f"{register_type(dtype)} {w.load(place, dtype)}"
            vector = w.put(f"insertelement {register_type(dtype, self.lanes)} {vector}, {one}, i64 {lane}")
        return vector

    def store_row(self, i: int, value: str) -> None:
        """Into each row."""
        self._store(i, value, self.at[i])

    def store_whole(self, i: int, value: str, place: Place) -> None:
        """Into each row."""
        self._store(i, value, [self.w.offset(row, (place.element, self.along[i])) for row in self.at[i]])

    def _store(self, i: int, vector: str, places: list[str]) -> None:
        w, dtype = self.w, self.program.arrays[i].dtype
        for lane, place in enumerate(places):
            one = w.put(f"extractelement {register_type(dtype, self.lanes)} {vector}, i64 {lane}")
            w.store(one, place, dtype)

    def spread(self, value: str, dtype: DType, lanes: int) -> str:
        """It has them already."""
        return value

    def numbers(self, place: Place, lanes: int) -> str:
        """The same element in each."""
        return spread_number(self.w, place.element, self.index, lanes)

    def fold(self, step: Folded, total: str, value: str, place: Place) -> None:
        """Each row's into its lane."""
        kind = register_type(step.how.carried, self.lanes)
        before = self.w.put(f"load {kind}, ptr {total}")
        self.w.do(f"store {kind} {fold_values(self.w, step.how, before, value, self.lanes)}, ptr {total}")

    def fold_lanes(self, step: Folded) -> int:
        """One for each row."""
        return self.lanes

    def folded(self, step: Folded, total: str) -> str:
        """As it is carried."""
        return self.w.put(f"load {register_type(step.how.carried, self.lanes)}, ptr {total}")

    def widened(self, value: str, dtype: DType, start: str, place: Place) -> str:
        """There are enough."""
        return value

    def picked(self, step: Picked, total: str) -> str:
        """As it is carried."""
        return self.w.put(f"load {register_type(step.dtype, self.lanes)}, ptr {total}")


class _LongRows(RowWriter):
    """A vector holds elements of one row that lie side by side."""

    row_lanes = 1

    def walk(self, size: str, places: list[str]) -> None:
        """One row after the other."""
        w = self.w
        with w.loop(size) as row:
            self.at = [w.offset(place, (row, move)) for place, move in zip(places, self.moves, strict=True)]
            self.compute()

    def positions(self) -> Iterator[Place]:
        """As many elements as a vector holds, then the rest."""
        rest = self.program.width % self.lanes
        whole = self.program.width - rest
        if self._written_out():
            yield from (Place(str(element), self.lanes) for element in range(0, whole, self.lanes))
        else:
            with self.w.loop(str(whole), self.lanes) as element:
                yield Place(element, self.lanes)
        if rest:
            yield Place(str(whole), rest)

    def _written_out(self) -> bool:
        return self.program.width <= _UNROLLED * self.lanes

    def lanes_at(self, place: Place) -> int:
        """One for each element."""
        return place.count

    def load_row(self, i: int) -> str:
        """One number."""
        return self.w.load(self.at[i], self.program.arrays[i].dtype)

    def load_whole(self, i: int, place: Place) -> str:
        """Side by side, one by one where they do not lie so, or one for all."""
        w, array, kind = self.w, self.program.arrays[i], self.program.arrays[i].along
        first = w.offset(self.at[i], (place.element, self.along[i]))
        if kind == "dense":
            return w.load(first, array.dtype, place.count)
        if kind == "none":
            return w.spread(w.load(first, array.dtype), array.dtype, place.count)
        vector, lanes = "poison", place.count
        for lane in range(lanes):
            one = w.load(w.offset(first, (str(lane), self.along[i])), array.dtype)
            if lanes == 1:
                return one
            given = f"{register_type(array.dtype)} {one}"
            vector = w.put(f"insertelement {register_type(array.dtype, lanes)} {vector}, {given}, i64 {lane}")
        return vector

    def store_row(self, i: int, value: str) -> None:
        """One number."""
        self.w.store(value, self.at[i], self.program.arrays[i].dtype)

    def store_whole(self, i: int, value: str, place: Place) -> None:
        """Side by side."""
        first = self.w.offset(self.at[i], (place.element, self.along[i]))
        self.w.store(value, first, self.program.arrays[i].dtype, place.count)

    def spread(self, value: str, dtype: DType, lanes: int) -> str:
        """In each."""
        return self.w.spread(value, dtype, lanes)

    def numbers(self, place: Place, lanes: int) -> str:
        """One after the other."""
        first = spread_number(self.w, place.element, self.index, lanes)
        if lanes == 1:
            return first
        kind = register_type(self.index, lanes)
        steps = ", ".join(f"{register_type(self.index)} {lane}" for lane in range(lanes))
        return self.w.put(f"add {kind} {first}, <{steps}>")

    def fold(self, step: Folded, total: str, value: str, place: Place) -> None:
        """Each element into its lane; one after the other where they lie apart, as the kernel of a single fold does."""
        w, how, lanes = self.w, step.how, self.fold_lanes(step)
        kind = register_type(how.carried, lanes)
        before = w.put(f"load {kind}, ptr {total}")
        if lanes > 1:
            before = fold_values(w, how, before, self.widened(value, how.carried, start_of(how), place), lanes)
        else:
            for one in self._lanes(value, how.carried, place.count):
                before = fold_values(w, how, before, one, 1)
        w.do(f"store {kind} {before}, ptr {total}")

    def _lanes(self, vector: str, dtype: DType, lanes: int) -> list[str]:
        kind = register_type(dtype, lanes)
        return [
            vector if lanes == 1 else self.w.put(f"extractelement {kind} {vector}, i64 {lane}") for lane in range(lanes)
        ]

    def fold_lanes(self, step: Folded) -> int:
        """A vector's, or one for what lies apart."""
        operands = self.program.operands
        apart = step.argument < len(operands) and operands[step.argument].along != "dense"
        return 1 if apart else self.lanes

    def folded(self, step: Folded, total: str) -> str:
        """The lanes folded in halves."""
        lanes = self.fold_lanes(step)
        vector = self.w.put(f"load {register_type(step.how.carried, lanes)}, ptr {total}")
        return fold_lanes(self.w, step.how, vector, lanes)

    def widened(self, value: str, dtype: DType, start: str, place: Place) -> str:
        """With `start` in the lanes behind."""
        count, lanes = place.count, self.lanes
        if count == lanes:
            return value
        kind, one = register_type(dtype, lanes), register_type(dtype)
        if count == 1:
            return self.w.put(f"insertelement {kind} {splat(start, dtype, lanes)}, {one} {value}, i64 0")
        few = register_type(dtype, count)
        order = ", ".join(f"i32 {min(lane, count)}" for lane in range(lanes))
        return self.w.put(f"shufflevector {few} {value}, {few} {splat(start, dtype, count)}, <{lanes} x i32> <{order}>")

    def begin_sum(self, value: int, out: str) -> str:
        """Registers, where the row is written out, or the result itself."""
        step, w = self.program.step(value), self.w
        assert isinstance(step, Summed)
        dtype = step.how.carried
        there = w.variable(register_type(dtype), count=self.program.width) if self._written_out() else out
        for place in self.positions():
            start = splat(start_of(step.how), dtype, place.count)
            w.store(start, w.offset(there, (place.element, dtype.itemsize)), dtype, place.count)
        return there

    def end_sum(self, value: int, out: str) -> None:
        """Out of registers."""
        w, dtype = self.w, self.program.dtype(value)
        for place in self.positions() if self._written_out() else ():
            total = w.load(w.offset(self.sums[value], (place.element, dtype.itemsize)), dtype, place.count)
            w.store(total, w.offset(out, (place.element, dtype.itemsize)), dtype, place.count)

    def picked(self, step: Picked, total: str) -> str:
        """The lane in which the label's element is."""
        w = self.w
        index, kind = register_type(self.index), register_type(step.dtype, self.lanes)
        lane = w.put(f"and {index} {self.labels[step.labels]}, {self.lanes - 1}")
        vector = w.put(f"load {kind}, ptr {total}")
        return w.put(f"extractelement {kind} {vector}, {index} {lane}")
