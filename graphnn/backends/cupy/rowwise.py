"""Rows: one kernel for several values of the same rows, such as a softmax with its loss and its gradient.

It goes over a row in phases, from fold to fold (`rowwise/program.py`). Elements are computed anew in each phase that
needs them, rather than kept: arithmetic costs less here than memory. Short rows, and those of which there are very
many, have a thread each, others a block: as `folds` shares out a single fold, whose order each fold here has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from ...ir.spec import Shape
from ...transform.rowwise import Rows
from ..kernels import Fold, NoKernel
from ..rowwise.program import Folded, Mapped, Marked, Phase, Picked, RowProgram
from ..rowwise.reading import read_rows
from .folds import ROWS, both, neutral, shared_out
from .formulas import Register, write_formula
from .places import Walk
from .site import Site
from .types import convert, load, number, register_type, stored
from .writer import THREADS, Kernel, Launch, Writer, launch

__all__ = ["lower_rows"]

Element = Callable[[int], Register]
"""A value at one element of the row."""


def lower_rows(node: Rows, ins: Sequence[np.ndarray], outs: Sequence[np.ndarray], at: Site) -> list[Launch]:
    """The launch that computes the results of the rows.

    Raises:
        NoKernel: for a step that is none of rows, or a function that is not known here.
    """
    if not any(out.size for out in outs):
        return []
    program, numbers = read_rows(node, tuple(ins), tuple(outs))
    arrays = (*ins, *outs)
    count = max(math.prod(a.shape[:-1]) for a, kind in zip(arrays, program.arrays, strict=True) if kind.kind == "whole")
    serial = shared_out(program.width, count) == "serial"
    stands = node.body.operands
    apart = frozenset(i for i, x in enumerate(ins) if not serial and _side_by_side(x, stands[i].shape))
    words = [*map(at, arrays), *numbers]
    kernel = _rows_kernel(program, serial, apart)
    return [launch(kernel, words, count) if serial else Launch(kernel, words, count)]


def _side_by_side(array: np.ndarray, shape: Shape) -> bool:
    """Do elements of neighbouring rows lie side by side, and not those of a row? As a single fold would see them."""
    moving = [stride for dim, stride in zip(shape[:-1], array.strides, strict=False) if dim != 1]
    return bool(moving) and moving[-1] == array.itemsize != array.strides[-1]


@cache
def _rows_kernel(program: RowProgram, serial: bool, apart: frozenset[int]) -> Kernel:
    k = _Rows(program, serial, apart)
    for phase in program.phases:
        k.walk(phase)
    k.finish()
    return k.w.kernel()


class _Rows:
    """Writes the kernel, phase by phase."""

    def __init__(self, program: RowProgram, serial: bool, apart: frozenset[int]) -> None:
        w = self.w = Writer()
        self.program, self.serial, self.apart = program, serial, apart
        given = len(program.operands)
        self.pointers = [w.pointer(a.dtype, written=i >= given) for i, a in enumerate(program.arrays)]
        behind = [a.dtype.itemsize * (program.width if a.kind == "whole" else 1) for a in program.arrays]
        walk = Walk(w, program.axes, behind)
        self.along = [
            w.word() if a.along == "any" else str(a.dtype.itemsize if a.along == "dense" else 0) for a in program.arrays
        ]
        if serial:
            row = w.thread(walk.count)
        else:
            w.leave_when_stopped()
            row = "(long long)blockIdx.x"
        self.bases = [w.put("long long", offset) for offset in walk.offsets(row)]
        self.rows = {i: self._load(i, "0") for i, a in enumerate(program.operands) if a.kind in ("row", "still")}
        """The values that the whole row has in common."""

    def walk(self, phase: Phase) -> None:
        """Values of the row; then its elements, as far as they are results or folded; then what is picked of them."""
        program = self.program
        if phase.sums:
            raise NoKernel("sums over all rows beside what is done with each")
        for value in phase.rows:
            self.rows[value] = self._mapped(value, self.rows.__getitem__)
        folds = [value for value in phase.folds if isinstance(program.step(value), Folded)]
        for value in folds:
            how = self._fold_of(value)
            start = number(neutral(how.ufunc, how.carried), how.carried)
            self.w.line(f"{register_type(how.carried)} total{value} = {start};")
        results = [(i, value) for i, value in self._results("whole") if value in phase.wholes]
        apart = [value for value in folds if self._argument(value) in self.apart]
        self._elements([value for value in folds if value not in apart], results, THREADS)
        self._elements(apart, [], ROWS)
        for value in folds:
            self.rows[value] = self._folded(value, value in apart)
        for value in phase.folds:
            if value not in folds:
                self.rows[value] = self._picked(value)

    def finish(self) -> None:
        """Write the values of the row."""
        if results := self._results("row"):
            with self.w.braces("if (true)" if self.serial else "if (threadIdx.x == 0)"):
                for i, value in results:
                    self._store(i, self.rows[value], "0")

    def _results(self, kind: str) -> list[tuple[int, int]]:
        """The arrays of results of a kind, by number, with the values that go there."""
        first = len(self.program.operands)
        return [(i, v) for i, (v, array) in enumerate(self.program.results, start=first) if array.kind == kind]

    # Elements ----------------------------------------------------------------------------------------------------

    def _elements(self, folds: Sequence[int], results: Sequence[tuple[int, int]], step: int) -> None:
        """Go over the elements: write results, and take what is folded into its total, each thread every so many."""
        if not folds and not results:
            return
        first, step = (0, 1) if self.serial else ("threadIdx.x", step)
        guard = "" if self.serial or step == THREADS else f"if (threadIdx.x < {step}) "
        with self.w.braces(f"{guard}for (long long e = {first}; e < {self.program.width}; e += {step})"):
            at = self._at("e")
            for i, value in results:
                self._store(i, at(value), "e")
            for value in folds:
                how, seen = self._fold_of(value), at(self._argument(value))
                mine = self.w.put(register_type(how.carried), convert(seen.text, seen.dtype, how.carried))
                self.w.line(f"total{value} = {both(how.ufunc, how.carried, f'total{value}', mine)};")

    def _at(self, element: str) -> Element:
        """What gives values at an element, each computed once."""
        here: dict[int, Register] = {}

        def value(x: int) -> Register:
            if not self.program.is_whole(x):
                return self.rows[x]
            if x not in here:
                here[x] = self._whole(x, element, value)
            return here[x]

        return value

    def _whole(self, value: int, element: str, at: Element) -> Register:
        if value < len(self.program.operands):
            return self._load(value, element)
        step = self.program.step(value)
        if not isinstance(step, Marked):
            return self._mapped(value, at)
        on, off = (number(n, step.dtype) for n in (step.on, step.off))
        chosen = f"{self.rows[step.labels].text} == {element} ? {on} : {off}"
        return Register(self.w.put(register_type(step.dtype), chosen), step.dtype)

    def _mapped(self, value: int, at: Element) -> Register:
        step = self.program.step(value)
        assert isinstance(step, Mapped)
        given = {name: at(x) for name, x in zip(step.names, step.arguments, strict=True)}
        made = write_formula(self.w, step.formula, given, step.dtype)
        return Register(self.w.put(register_type(step.dtype), made), step.dtype)

    # Folds and picks ---------------------------------------------------------------------------------------------

    def _fold_of(self, value: int) -> Fold:
        step = self.program.step(value)
        assert isinstance(step, Folded)
        return step.how

    def _argument(self, value: int) -> int:
        step = self.program.step(value)
        assert isinstance(step, Folded)
        return step.argument

    def _folded(self, value: int, apart: bool) -> Register:
        """The row's value of a fold, for every thread: those of the threads in halves, or one after the other."""
        w, how, totals = self.w, self._fold_of(value), f"totals{value}"
        kind, total = register_type(how.carried), f"total{value}"
        if not self.serial:
            w.share(how.carried, totals, THREADS)
            w.line(f"{totals}[threadIdx.x] = {total};")
            if apart:
                w.line("__syncthreads();")
                with w.braces(f"if (threadIdx.x == 0) for (int row = 1; row < {ROWS}; row++)"):
                    w.line(f"{totals}[0] = {both(how.ufunc, how.carried, f'{totals}[0]', f'{totals}[row]')};")
            else:
                with w.braces(f"for (int half = {THREADS // 2}; half; half /= 2)"):
                    w.line("__syncthreads();")
                    mine, other = f"{totals}[threadIdx.x]", f"{totals}[threadIdx.x + half]"
                    w.line(f"if (threadIdx.x < half) {mine} = {both(how.ufunc, how.carried, mine, other)};")
            w.line("__syncthreads();")
            total = w.put(kind, f"{totals}[0]")
        made = w.put(register_type(how.result), convert(total, how.carried, how.result))
        return Register(made, how.result)

    def _picked(self, value: int) -> Register:
        """The element that the label names, which has been checked: every thread computes it."""
        step = self.program.step(value)
        assert isinstance(step, Picked)
        return self._at(self.w.put("long long", f"(long long){self.rows[step.labels].text}"))(step.argument)

    # Arrays ------------------------------------------------------------------------------------------------------

    def _place(self, i: int, element: str) -> str:
        moved = "" if element == "0" or self.along[i] == "0" else f" + {element} * {self.along[i]}"
        return f"*at({self.pointers[i]}, {self.bases[i]}{moved})"

    def _load(self, i: int, element: str) -> Register:
        dtype = self.program.arrays[i].dtype
        return Register(self.w.put(register_type(dtype), load(self._place(i, element), dtype)), dtype)

    def _store(self, i: int, value: Register, element: str) -> None:
        dtype = self.program.arrays[i].dtype
        self.w.line(f"{self._place(i, element)} = {stored(convert(value.text, value.dtype, dtype), dtype)};")
