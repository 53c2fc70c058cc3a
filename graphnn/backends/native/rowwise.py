"""Rows: kernels that compute several values of short rows at once, a vector of rows at a time.

A whole value is as many vectors as a row has elements, a value of a row is one: folds over a row are then folds of
vectors, element after element, as kernels of single reductions fold short rows. Where the rows do not fill the last
vector it begins earlier, and computes some rows twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

import numpy as np

from ...ir.formula import Formula
from ..nests import Axis, Stride
from .formulas import Register, write_formula
from .machine import machine
from .reductions import Fold, fold_values, start_of
from .types import LANES, DType, number, register_type, splat
from .writer import Writer

__all__ = ["Folded", "Mapped", "Marked", "Operand", "Picked", "RowProgram", "rows_kernel"]

FEW = 4
"""Rows of up to so many elements are treated in whole vectors, longer ones in halves: registers are few."""


@dataclass(frozen=True)
class Operand:
    """An array: a value for each element of the rows ("whole"), for each row ("row"), or one for all ("still")."""

    kind: Literal["whole", "row", "still"]
    dtype: DType
    along: Stride = "none"
    """How it moves from element to element of a row."""


@dataclass(frozen=True)
class Mapped:
    """A formula of earlier values, which it knows by names."""

    formula: Formula
    names: tuple[str, ...]
    arguments: tuple[int, ...]
    dtype: DType
    whole: bool


@dataclass(frozen=True)
class Folded:
    """A function folded over each row."""

    how: Fold
    argument: int


@dataclass(frozen=True)
class Picked:
    """The element of each row that a label names."""

    argument: int
    labels: int
    dtype: DType


@dataclass(frozen=True)
class Marked:
    """One number at the label's place, another elsewhere."""

    labels: int
    dtype: DType
    on: float
    off: float


Step: TypeAlias = "Mapped | Folded | Picked | Marked"


@dataclass(frozen=True)
class RowProgram:
    """What a kernel over rows depends on: values are numbered, operands first, then steps."""

    width: int
    operands: tuple[Operand, ...]
    steps: tuple[Step, ...]
    results: tuple[tuple[int, Operand], ...]
    """Which values come out, and how their arrays lie."""
    axes: tuple[Axis, ...]
    """The axes of rows, outermost first; an array is dense along one when row lies behind row."""

    @property
    def arrays(self) -> tuple[Operand, ...]:
        """All arrays: operands, then results."""
        return (*self.operands, *(array for _, array in self.results))


@cache
def rows_kernel(program: RowProgram) -> str:
    """The kernel of a program.

    Its words: a pointer for each array; for each axis its size and strides where they vary; for each array its stride
    along a row where that is neither none nor dense.
    """
    w = Writer()
    _Rows(w, program).write()
    return w.text()


class _Rows:
    def __init__(self, w: Writer, program: RowProgram) -> None:
        self.w, self.program = w, program
        floats = [array.dtype for array in program.arrays if array.dtype.kind == "f"]
        whole = LANES // max(dtype.itemsize for dtype in floats)
        self.lanes = whole if program.width <= FEW else whole // 2

    def write(self) -> None:
        w, program = self.w, self.program
        places = [w.word("ptr") for _ in program.arrays]
        axes = [self._axis(axis) for axis in program.axes] or [("1", [0] * len(places))]
        self.along: list[str | int] = [
            w.word() if a.along == "any" else a.dtype.itemsize if a.along == "dense" else 0 for a in program.arrays
        ]
        self.held = {
            i: w.load(place, array.dtype)
            for i, (place, array) in enumerate(zip(places, program.operands, strict=False))
            if array.kind == "still"
        }
        with ExitStack() as stack:
            for size, moves in axes[:-1]:
                index = stack.enter_context(w.loop(size))
                places = [w.offset(place, (index, move)) for place, move in zip(places, moves, strict=True)]
            size, self.moves = axes[-1]
            self._walk(size, places)

    def _axis(self, axis: Axis) -> tuple[str, list[str | int]]:
        size = str(axis.size) if axis.size is not None else self.w.word()
        return size, [
            self.w.word() if kind == "any" else self._behind(array) if kind == "dense" else 0
            for kind, array in zip(axis.strides, self.program.arrays, strict=True)
        ]

    def _behind(self, array: Operand) -> int:
        """Bytes from row to row where one lies behind the other."""
        return array.dtype.itemsize * (self.program.width if array.kind == "whole" else 1)

    def _walk(self, size: str, places: list[str]) -> None:
        """Vectors of rows, the last of them up to the end; fewer rows than that one by one."""
        w, lanes = self.w, self.lanes
        enough = w.put(f"icmp sge i64 {size}, {lanes}")
        in_vectors = w.put(f"select i1 {enough}, i64 {size}, i64 0")
        last = w.put(f"sub nsw i64 {size}, {lanes}")
        with w.loop(in_vectors, lanes) as index:
            self._rows(w.put(f"call i64 @llvm.smin.i64(i64 {index}, i64 {last})"), places, lanes)
        with w.loop(size, 1, in_vectors) as index:
            self._rows(index, places, 1)

    def _rows(self, first: str, places: Sequence[str], lanes: int) -> None:
        """Some rows from the first on."""
        program, w = self.program, self.w
        moved = [w.offset(place, (first, move)) for place, move in zip(places, self.moves, strict=True)]
        values: list[list[str]] = [self._loaded(i, moved[i], lanes) for i in range(len(program.operands))]
        for step in program.steps:
            values.append(self._computed(step, values, lanes))
        for at, (value, array) in enumerate(program.results, start=len(program.operands)):
            self._store(values[value], at, array, moved[at], lanes)

    # Memory ------------------------------------------------------------------------------------------------------

    def _loaded(self, i: int, place: str, lanes: int) -> list[str]:
        """An operand's vectors: one for each element of a row, or one."""
        array, w = self.program.operands[i], self.w
        if array.kind == "still":
            return [w.spread(self.held[i], array.dtype, lanes)]
        count = self.program.width if array.kind == "whole" else 1
        elements = [w.offset(place, (str(k), self.along[i])) for k in range(count)]
        move = self.moves[i]
        if move == 0:
            return [w.spread(w.load(element, array.dtype), array.dtype, lanes) for element in elements]
        if move == array.dtype.itemsize:
            return [w.load(element, array.dtype, lanes) for element in elements]
        return [self._gathered(element, move, array.dtype, lanes) for element in elements]

    def _gathered(self, place: str, move: str | int, dtype: DType, lanes: int) -> str:
        w = self.w
        if lanes == 1:
            return w.load(place, dtype)
        kind, one, vector = register_type(dtype, lanes), register_type(dtype), "poison"
        for lane in range(lanes):
            value = w.load(w.offset(place, (str(lane), move)), dtype)
            vector = w.put(f"insertelement {kind} {vector}, {one} {value}, i64 {lane}")
        return vector

    def _store(self, vectors: list[str], at: int, array: Operand, place: str, lanes: int) -> None:
        w, move, dtype = self.w, self.moves[at], array.dtype
        kind = register_type(dtype, lanes)
        for k, vector in enumerate(vectors):
            element = w.offset(place, (str(k), self.along[at]))
            if lanes == 1 or move == dtype.itemsize:
                w.store(vector, element, dtype, lanes)
                continue
            for lane in range(lanes):
                value = w.put(f"extractelement {kind} {vector}, i64 {lane}")
                w.store(value, w.offset(element, (str(lane), move)), dtype)

    # Values ------------------------------------------------------------------------------------------------------

    def _computed(self, step: Step, values: Sequence[list[str]], lanes: int) -> list[str]:
        match step:
            case Mapped():
                return self._mapped(step, values, lanes)
            case Folded(how, argument):
                return [self._folded(how, values[argument], lanes)]
            case Picked(argument, labels, dtype):
                first, *others = values[argument]
                for k, other in enumerate(others, start=1):
                    first = self._chosen(labels, values, k, other, first, dtype, lanes)
                return [first]
            case Marked(labels, dtype, on, off):
                on_text, off_text = (splat(number(n, dtype), dtype, lanes) for n in (on, off))
                return [
                    self._chosen(labels, values, k, on_text, off_text, dtype, lanes) for k in range(self.program.width)
                ]

    def _mapped(self, step: Mapped, values: Sequence[list[str]], lanes: int) -> list[str]:
        dtypes = [self._dtype(i) for i in step.arguments]
        made = []
        for k in range(self.program.width if step.whole else 1):
            given = {
                name: Register(values[i][k if len(values[i]) > 1 else 0], dtype)
                for name, i, dtype in zip(step.names, step.arguments, dtypes, strict=True)
            }
            result = write_formula(self.w, step.formula, given, lanes, step.dtype, machine().fused_multiply_add)
            made.append(result.text)
        return made

    def _dtype(self, value: int) -> DType:
        operands = self.program.operands
        if value < len(operands):
            return operands[value].dtype
        step = self.program.steps[value - len(operands)]
        return step.how.result if isinstance(step, Folded) else step.dtype

    def _folded(self, how: Fold, vectors: list[str], lanes: int) -> str:
        total = splat(start_of(how), how.carried, lanes)
        for vector in vectors:
            total = fold_values(self.w, how, total, vector, lanes)
        return total

    def _chosen(
        self, labels: int, values: Sequence[list[str]], k: int, there: str, elsewhere: str, dtype: DType, lanes: int
    ) -> str:
        """One value in the rows whose label is k, another in the rest."""
        w, of = self.w, self._dtype(labels)
        at_k = w.put(f"icmp eq {register_type(of, lanes)} {values[labels][0]}, {splat(str(k), of, lanes)}")
        kind = register_type(dtype, lanes)
        return w.put(f"select {register_type(np.dtype(bool), lanes)} {at_k}, {kind} {there}, {kind} {elsewhere}")
