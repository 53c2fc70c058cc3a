"""Writing a kernel over rows: its arrays, its phases and its steps; how a row is walked is that of each kernel.

Kernels differ in what a vector holds. `row_lanes` says in how many lanes a value of the row is carried, and `lanes_at`
in how many one of elements is at a place in the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from ...nests import Axis
from ...rowwise.program import Folded, Mapped, Marked, Operand, Picked, RowProgram, Summed
from ..formulas import Register, write_formula
from ..machine import machine
from ..reductions import fold_values, start_of
from ..types import LANES, DType, memory_type, number, register_type, splat
from ..writer import Writer

__all__ = ["Place", "RowWriter", "spread_number"]


@dataclass(frozen=True)
class Place:
    """A place in a row: an element, a number or the name of one, and how many from there on are treated at once."""

    element: str
    count: int


class RowWriter:
    """What kernels over rows share."""

    row_lanes: int

    def __init__(self, w: Writer, program: RowProgram) -> None:
        self.w, self.program = w, program
        item = max(array.dtype.itemsize for array in program.arrays if array.dtype.kind == "f")
        self.lanes = LANES // item
        self.index = np.dtype(f"i{item}")
        """The integers as which labels are compared with places."""

    # What a kernel says ------------------------------------------------------------------------------------------

    def walk(self, size: str, places: list[str]) -> None:
        """Go over the innermost axis of rows, and `compute` them."""
        raise NotImplementedError

    def positions(self) -> Iterator[Place]:
        """Go over a row; what is written between two of them stands in the loop."""
        raise NotImplementedError

    def lanes_at(self, place: Place) -> int:
        """The lanes of a value of elements there."""
        raise NotImplementedError

    def load_row(self, i: int) -> str:
        """An operand's value of the row."""
        raise NotImplementedError

    def load_whole(self, i: int, place: Place) -> str:
        """An operand's value of elements."""
        raise NotImplementedError

    def store_row(self, i: int, value: str) -> None:
        """Write a value of the row into an array."""
        raise NotImplementedError

    def store_whole(self, i: int, value: str, place: Place) -> None:
        """Write a value of elements into an array."""
        raise NotImplementedError

    def spread(self, value: str, dtype: DType, lanes: int) -> str:
        """A value of the row in as many lanes as one of elements has."""
        raise NotImplementedError

    def numbers(self, place: Place, lanes: int) -> str:
        """Which element each lane holds."""
        raise NotImplementedError

    def fold(self, step: Folded, total: str, value: str, place: Place) -> None:
        """Take a value of elements into a fold."""
        raise NotImplementedError

    def fold_lanes(self, step: Folded) -> int:
        """In how many lanes a fold is carried."""
        raise NotImplementedError

    def folded(self, step: Folded, total: str) -> str:
        """The row's value of a fold."""
        raise NotImplementedError

    def widened(self, value: str, dtype: DType, start: str, place: Place) -> str:
        """A value of elements in all lanes; those there are too few of begin with `start`."""
        raise NotImplementedError

    def begin_sum(self, value: int, out: str) -> str:
        """Where a fold over all rows is carried, from its start on."""
        raise NotImplementedError

    def end_sum(self, value: int, out: str) -> None:
        """Bring it to where it belongs."""
        raise NotImplementedError

    def picked(self, step: Picked, total: str) -> str:
        """The row's value of what was picked into lanes."""
        raise NotImplementedError

    # Arrays ------------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """The whole kernel."""
        w, program = self.w, self.program
        places = [w.word("ptr") for _ in program.arrays]
        axes = [self._axis(axis) for axis in program.axes] or [("1", [0] * len(places))]
        self.along: list[str | int] = [
            w.word() if a.along == "any" else a.dtype.itemsize if a.along == "dense" else 0 for a in program.arrays
        ]
        self.still = {
            i: w.load(places[i], array.dtype) for i, array in enumerate(program.operands) if array.kind == "still"
        }
        self.kept = {
            value: w.variable(memory_type(program.dtype(value)), count=program.width * self.row_lanes)
            for value in sorted(program.kept)
        }
        columns = places
        self.sums = {value: self.begin_sum(value, places[i]) for i, value in self.results("column")}
        with ExitStack() as stack:
            for size, moves in axes[:-1]:
                index = stack.enter_context(w.loop(size))
                places = [w.offset(place, (index, move)) for place, move in zip(places, moves, strict=True)]
            size, self.moves = axes[-1]
            self.walk(size, places)
        for i, value in self.results("column"):
            self.end_sum(value, columns[i])

    def _axis(self, axis: Axis) -> tuple[str, list[str | int]]:
        """The size of an axis of rows, and how each array moves along it."""
        size = str(axis.size) if axis.size is not None else self.w.word()
        return size, [
            self.w.word() if kind == "any" else self._behind(array) if kind == "dense" else 0
            for kind, array in zip(axis.strides, self.program.arrays, strict=True)
        ]

    def _behind(self, array: Operand) -> int:
        """Bytes from row to row where one lies behind the other."""
        return array.dtype.itemsize * (self.program.width if array.kind == "whole" else 1)

    # Phases and steps --------------------------------------------------------------------------------------------

    def compute(self) -> None:
        """All steps, for the rows at hand."""
        program = self.program
        self.rows = {i: self.load_row(i) for i, array in enumerate(program.operands) if array.kind == "row"}
        labelled = {step.labels for step in program.steps if isinstance(step, (Picked, Marked))}
        self.labels = {
            i: self.w.converted(self.rows[i], program.dtype(i), self.index, self.row_lanes) for i in sorted(labelled)
        }
        for phase in program.phases:
            for value in phase.rows:
                self.rows[value] = self._mapped(value, self.row_lanes, {}, None)
            totals = {value: self._begin(value) for value in phase.folds}
            for place in self.positions() if phase.wholes or totals or phase.sums else ():
                here: dict[int, str] = {}
                for value in phase.wholes:
                    here[value] = self._whole(value, place, here)
                for value in phase.folds:
                    self._fold(value, totals[value], place, here)
                for value in phase.sums:
                    self._sum(value, place, here)
            for value, total in totals.items():
                step = program.step(value)
                assert isinstance(step, (Folded, Picked))
                self.rows[value] = self.folded(step, total) if isinstance(step, Folded) else self.picked(step, total)
        for i, value in self.results("row"):
            self.store_row(i, self.rows[value])

    def results(self, kind: str) -> Iterator[tuple[int, int]]:
        """The arrays of results of a kind, by number, with the values that go there."""
        for i, (value, array) in enumerate(self.program.results, start=len(self.program.operands)):
            if array.kind == kind:
                yield i, value

    def _whole(self, value: int, place: Place, here: dict[int, str]) -> str:
        """A value of elements: computed, kept for later phases, and written where it is a result."""
        step, dtype, lanes = self.program.step(value), self.program.dtype(value), self.lanes_at(place)
        if isinstance(step, Marked):
            on, off = (splat(number(n, dtype), dtype, lanes) for n in (step.on, step.off))
            made = self._chosen(step.labels, place, lanes, on, off, dtype)
        else:
            made = self._mapped(value, lanes, here, place)
        if value in self.kept:
            self.w.store(made, self._kept_at(value, place), dtype, lanes)
        for i, result in self.results("whole"):
            if result == value:
                self.store_whole(i, made, place)
        return made

    def _kept_at(self, value: int, place: Place) -> str:
        return self.w.offset(self.kept[value], (place.element, self.row_lanes * self.program.dtype(value).itemsize))

    def _mapped(self, value: int, lanes: int, here: dict[int, str], place: Place | None) -> str:
        step = self.program.step(value)
        assert isinstance(step, Mapped)
        given = {
            name: Register(self._read(x, lanes, here, place), self.program.dtype(x))
            for name, x in zip(step.names, step.arguments, strict=True)
        }
        fused = machine().fused_multiply_add
        return write_formula(self.w, step.formula, given, lanes, step.dtype, fused).text

    def _read(self, value: int, lanes: int, here: dict[int, str], place: Place | None) -> str:
        """A value in so many lanes; one of elements as it is at a place."""
        program, dtype = self.program, self.program.dtype(value)
        if value in self.still:
            return self.w.spread(self.still[value], dtype, lanes)
        if place is None:
            return self.rows[value]
        if not program.is_whole(value):
            return self.spread(self.rows[value], dtype, lanes)
        if value not in here:
            if value in self.kept:
                here[value] = self.w.load(self._kept_at(value, place), dtype, lanes)
            else:
                here[value] = self.load_whole(value, place)
        return here[value]

    # Folds -------------------------------------------------------------------------------------------------------

    def _begin(self, value: int) -> str:
        """Where a fold, or what is picked, is carried."""
        step, dtype = self.program.step(value), self.program.dtype(value)
        start = start_of(step.how) if isinstance(step, Folded) else number(0, dtype)
        lanes = self.fold_lanes(step) if isinstance(step, Folded) else self.lanes
        return self.w.variable(register_type(dtype, lanes), splat(start, dtype, lanes))

    def _fold(self, value: int, total: str, place: Place, here: dict[int, str]) -> None:
        """Take what is here into a fold, or into what is picked."""
        step, w = self.program.step(value), self.w
        assert isinstance(step, (Folded, Picked))
        seen = self._read(step.argument, self.lanes_at(place), here, place)
        if isinstance(step, Folded):
            self.fold(step, total, seen, place)
            return
        kind = register_type(step.dtype, self.lanes)
        before = w.put(f"load {kind}, ptr {total}")
        wide = self.widened(seen, step.dtype, number(0, step.dtype), place)
        w.do(f"store {kind} {self._chosen(step.labels, place, self.lanes, wide, before, step.dtype)}, ptr {total}")

    def _sum(self, value: int, place: Place, here: dict[int, str]) -> None:
        """Take what is here into a fold over all rows."""
        step, w, lanes = self.program.step(value), self.w, self.lanes_at(place)
        assert isinstance(step, Summed)
        seen = self._read(step.argument, lanes, here, place)
        there = w.offset(self.sums[value], (place.element, step.how.carried.itemsize))
        before = w.load(there, step.how.carried, lanes)
        w.store(fold_values(w, step.how, before, seen, lanes), there, step.how.carried, lanes)

    def _chosen(self, labels: int, place: Place, lanes: int, there: str, elsewhere: str, dtype: DType) -> str:
        """One value at the element that the row's label names, another at the rest."""
        w = self.w
        label = self.spread(self.labels[labels], self.index, lanes)
        found = w.put(f"icmp eq {register_type(self.index, lanes)} {label}, {self.numbers(place, lanes)}")
        kind = register_type(dtype, lanes)
        return w.put(f"select {register_type(np.dtype(bool), lanes)} {found}, {kind} {there}, {kind} {elsewhere}")


def spread_number(w: Writer, element: str, index: DType, lanes: int) -> str:
    """The number of an element as an integer that labels are compared as, in every lane."""
    if element.isdigit():
        return splat(element, index, lanes)
    return w.spread(w.converted(element, np.dtype(np.int64), index), index, lanes)
