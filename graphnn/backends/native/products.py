"""Products: kernels of matrix products as loops.

The loops hold a tile of the result in registers. To each element they add one product after the other, always in the
order of the inner axis. So the bits of an element do not depend on the tile it is in.

The result is `A @ B`, or `C + alpha * (A @ B)`. There C is for example a bias, or the parameter that is updated. The
places of the rows of A, and of the steps along the inner axis, may come from tables rather than from strides. A
convolution uses that for the taps of its window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np

from .machine import machine
from .mathematics import Arithmetic
from .types import DType, lanes_of, number, register_type, vectors_of
from .writer import Writer

__all__ = ["Loops", "Product", "packs", "product_kernel"]

REGISTERS = 24
"""The most registers for a tile, counted in vectors of half the width that the kernels use."""
HELD = 9
"""The most vectors of B that are kept in registers, beside the tile, while all rows are multiplied with them."""
WRITTEN = 32
"""The most steps of a tile that are written out one by one. More become a loop, which takes less time to compile.

A tile has as many steps as it has vectors, times the inner size.
"""
PACKED = 1024
"""The most elements of a B that is copied first, if its rows do not lie side by side."""
WORD = np.dtype(np.int64)
"""The dtype of the entries of tables."""


Columns: TypeAlias = "tuple[str, int, str | None]"
"""Columns that are one vector: the first column, the number of columns, and a mask if only some are in the matrix."""


@dataclass(frozen=True)
class Product:
    """What the kernel of a product depends on. A size is None if it varies, and the kernel then reads it as a word."""

    dtype: DType
    rows: int | None
    inner: int | None
    columns: int | None
    b_dense: bool
    """Do the elements of a row of B lie side by side?"""
    onto: bool = False
    """Is the product added to a matrix C?"""
    scaled: bool = False
    """Is the product multiplied by alpha, one for all batches or one for each?"""
    batches: int = 0
    """The number of axes before those of the matrices."""
    spread: bool = False
    """Has C one value for each row, the same in all columns?"""
    steps_at: bool = False
    """Does a table give the offsets in A and in B of each step along the inner axis?"""
    rows_at: bool = False
    """Does a table give the offset of each row of A?"""


def packs(inner: int | None, columns: int | None) -> bool:
    """Is a B whose rows do not lie side by side copied first, so that they do?"""
    return inner is not None and columns is not None and 0 < inner * columns <= PACKED


@cache
def product_kernel(how: Product) -> str:
    """The kernel. Its words: pointers to the result, A, B, and to C and alpha if it has them; then those of `Loops`."""
    w = Writer()
    out, a, b = (w.word("ptr") for _ in range(3))
    c = w.word("ptr") if how.onto else ""
    Loops(w, how).write(out, a, b, c, scalar=w.word("ptr") if how.scaled else "")
    return w.text()


class Loops:
    """The loops of a product, which may be a part of any kernel. Offsets and strides are in bytes.

    Their words, in order. A word is left out if what it describes is not there, fixed, or in a table:

    - for each batch axis, its size, and the strides of the result, A, B, C and alpha
    - the rows, the inner size and the columns
    - the result's stride from row to row
    - A's strides from row to row, and from element to element of a row
    - B's strides, and C's strides, likewise

    Args:
        w: the writer of the kernel.
        how: what the loops depend on.
        steps: a pointer to the table of steps: pairs of an offset in A and one in B.
        rows: a pointer to the table of rows: offsets in A.
        inner: the inner size, if neither `how` nor a word gives it.
    """

    def __init__(self, w: Writer, how: Product, steps: str = "", rows: str = "", inner: str = "") -> None:
        self.w, self.how, self.dtype = w, how, how.dtype
        self.steps_table, self.rows_table, self.in_tables = steps, rows, how.steps_at or how.rows_at
        self.given = inner
        half = how.dtype.kind == "f" and how.dtype.itemsize == 2
        self.carried = np.dtype(np.float32) if half else how.dtype
        self.lanes = lanes_of(self.dtype)

    def write(self, out: str, a: str, b: str, c: str = "", scalar: str = "") -> None:
        """Write the loops over all batches. The pointers are those of the first batch."""
        self.out, self.a, self.b, self.c, self.scalar = out, a, b, c, scalar
        self._batches(self.how.batches)

    def _batches(self, left: int) -> None:
        w = self.w
        if not left:
            self._matrix()
            return
        size = w.word()
        before = self.out, self.a, self.b, self.c, self.scalar
        moves = [w.word() if pointer else "" for pointer in before]
        with w.loop(size) as index:
            self.out, self.a, self.b, self.c, self.scalar = (
                w.offset(pointer, (index, by)) if pointer else "" for pointer, by in zip(before, moves, strict=True)
            )
            self._batches(left - 1)
        self.out, self.a, self.b, self.c, self.scalar = before

    def _matrix(self) -> None:
        w, how = self.w, self.how
        self.alpha = w.converted(w.load(self.scalar, self.dtype), self.dtype, self.carried) if how.scaled else ""
        self.rows = str(how.rows) if how.rows is not None else w.word()
        self.inner = self.given or (str(how.inner) if how.inner is not None else w.word())
        self.columns = str(how.columns) if how.columns is not None else w.word()
        item: str | int = self.dtype.itemsize
        self.out_row = w.word()
        self.a_row = "" if how.rows_at else w.word()
        self.a_step = "" if how.steps_at else w.word()
        self.b_row: str | int = "" if how.steps_at else w.word()
        self.b_step: str | int = item if how.b_dense else w.word()
        if how.onto:
            self.c_row, self.c_step = w.word(), "" if how.spread else w.word()
        if not how.b_dense and packs(how.inner, how.columns):
            self._pack(int(self.inner), int(self.columns))
        if how.columns is not None and self.in_tables:
            self._vector_by_vector(how.columns)
            return
        if how.columns is not None and (how.columns <= 2 * self.lanes or self.b_step == item):
            parts = self._fixed_parts(how.columns)
            wide = 2 if how.columns > self.lanes else 1
            for first in range(0, len(parts), wide):
                self._band(parts[first : first + wide])
            return
        self._all_columns()

    def _fixed_parts(self, columns: int) -> list[Columns]:
        lanes = self.lanes if self.b_step == self.dtype.itemsize else 1
        return [(str(first), size, None) for first, size in vectors_of(columns, lanes)]

    def _vector_by_vector(self, columns: int) -> None:
        """A fixed number of columns, in a loop over vectors. The rest are in vectors of half the width, and so on."""
        left = columns % self.lanes
        if columns > left:
            with self.w.loop(str(columns - left), self.lanes) as j:
                self._band([(j, self.lanes, None)])
        halves = [lanes for lanes in (32, 16, 8, 4, 2, 1) if left & lanes]
        if halves:
            self._band([(str(columns - left % (2 * lanes)), lanes, None) for lanes in halves])

    def _all_columns(self) -> None:
        """A number of columns that varies, one vector after the other."""
        w = self.w
        if self.b_step != self.dtype.itemsize:
            with w.loop(self.columns) as j:
                self._band([(j, 1, None)])
            return
        whole = w.put(f"and i64 {self.columns}, {-self.lanes}")
        with w.loop(whole, self.lanes) as j:
            self._band([(j, self.lanes, None)])
        left = w.put(f"sub nsw i64 {self.columns}, {whole}")
        if machine().masks and self.dtype.itemsize >= 4:
            with w.when(w.put(f"icmp sgt i64 {left}, 0")):
                self._band([(whole, self.lanes, w.first(left, self.lanes))])
        else:
            with w.loop(self.columns, 1, whole) as j:
                self._band([(j, 1, None)])

    def _pack(self, inner: int, columns: int) -> None:
        """Copy B so that the elements of a row lie side by side."""
        w, item = self.w, self.dtype.itemsize
        packed = w.variable(register_type(self.dtype), count=inner * columns)
        with w.loop(str(inner)) as k:
            source, target = w.offset(self.b, (k, self.b_row)), w.offset(packed, (k, columns * item))
            for j in range(columns) if columns <= 16 else ():
                w.store(
                    w.load(w.offset(source, (str(j), self.b_step)), self.dtype),
                    w.offset(target, (str(j), item)),
                    self.dtype,
                )
            if columns > 16:
                with w.loop(str(columns)) as at:
                    value = w.load(w.offset(source, (at, self.b_step)), self.dtype)
                    w.store(value, w.offset(target, (at, item)), self.dtype)
        self.b, self.b_row, self.b_step = packed, columns * item, item

    # A band of columns, then a tile of it ------------------------------------------------------------------------

    def _band(self, parts: list[Columns]) -> None:
        """All rows of the result, for some vectors of columns."""
        w = self.w
        vectors = sum(max(1, 2 * lanes // self.lanes) for _, lanes, _ in parts)
        rows = self.how.rows
        tall = 1 << (max(1, min(8, REGISTERS // vectors // 2)).bit_length() - 1)
        if self.in_tables and rows is not None and rows <= REGISTERS // vectors // 2:
            tall = rows  # so that the steps of the table are read only once
        inner = self.how.inner
        held = None
        if inner is not None and inner * vectors <= HELD:
            held = [[self._load_b(part, self._step(str(k))[1]) for part in parts] for k in range(inner)]
        if rows is not None:
            tall = min(tall, rows)
            whole = rows - rows % tall if tall else 0
            if whole > tall:
                with w.loop(str(whole), tall) as i:
                    self._tile(parts, i, tall, held)
            elif whole:
                self._tile(parts, "0", tall, held)
            if rows > whole:
                self._tile(parts, str(whole), rows - whole, held)
            return
        if tall == 1:
            with w.loop(self.rows) as i:
                self._tile(parts, i, 1, held)
            return
        whole_part = w.put(f"sub nsw i64 {self.rows}, {w.put(f'and i64 {self.rows}, {tall - 1}')}")
        with w.loop(whole_part, tall) as i:
            self._tile(parts, i, tall, held)
        with w.loop(self.rows, 1, whole_part) as i:
            self._tile(parts, i, 1, held)

    def _tile(self, parts: list[Columns], first: str, tall: int, held: list[list[str]] | None) -> None:
        """`tall` rows, beginning with the first."""
        w = self.w
        kinds = [register_type(self.carried, lanes) for _, lanes, _ in parts]
        totals = [
            [
                w.variable(kind, "zeroinitializer" if lanes > 1 else number(0, self.carried))
                for kind, (_, lanes, _) in zip(kinds, parts, strict=True)
            ]
            for _ in range(tall)
        ]
        starts = [self._row_of_a(self._row(first, t)) for t in range(tall)]
        inner = self.how.inner
        if inner is not None and (held or inner * tall * len(parts) <= WRITTEN):
            for k in range(inner):
                self._accumulate(parts, starts, totals, kinds, str(k), held[k] if held else None)
        else:
            with w.loop(self.inner) as index:
                self._accumulate(parts, starts, totals, kinds, index, None)
        for t in range(tall):
            row = self._row(first, t)
            for part, kind, total in zip(parts, kinds, totals[t], strict=True):
                self._finish(part, row, w.put(f"load {kind}, ptr {total}"))

    def _row(self, first: str, t: int) -> str:
        if t == 0:
            return first
        return str(int(first) + t) if first.isdigit() else self.w.put(f"add nsw i64 {first}, {t}")

    def _row_of_a(self, row: str) -> str:
        w = self.w
        if not self.how.rows_at:
            return w.offset(self.a, (row, self.a_row))
        return w.offset(self.a, (w.load(w.offset(self.rows_table, (row, WORD.itemsize)), WORD), 1))

    def _step(self, k: str) -> tuple[tuple[str, str | int], tuple[str, str | int]]:
        """Where a step along the inner axis lies in A and in B: for each an index, and the stride in bytes."""
        w = self.w
        if not self.how.steps_at:
            return (k, self.a_step), (k, self.b_row)
        pair = w.offset(self.steps_table, (k, 2 * WORD.itemsize))
        return (w.load(pair, WORD), 1), (w.load(w.offset(pair, ("1", WORD.itemsize)), WORD), 1)

    def _load_b(self, part: Columns, step: tuple[str, str | int]) -> str:
        column, lanes, mask = part
        w = self.w
        value = w.load(w.offset(self.b, step, (column, self.b_step)), self.dtype, lanes, mask)
        return w.converted(value, self.dtype, self.carried, lanes)

    def _accumulate(
        self,
        parts: list[Columns],
        starts: list[str],
        totals: list[list[str]],
        kinds: list[str],
        k: str,
        held: list[str] | None,
    ) -> None:
        w = self.w
        in_a, in_b = self._step(k)
        b = held or [self._load_b(part, in_b) for part in parts]
        for t, start in enumerate(starts):
            one = w.converted(w.load(w.offset(start, in_a), self.dtype), self.dtype, self.carried)
            for (_, lanes, _), kind, x, total in zip(parts, kinds, b, totals[t], strict=True):
                before = w.put(f"load {kind}, ptr {total}")
                w.do(f"store {kind} {self._fma(w.spread(one, self.carried, lanes), x, before, lanes)}, ptr {total}")

    def _fma(self, x: str, y: str, z: str, lanes: int) -> str:
        if self.carried.kind == "f":
            return Arithmetic(self.w, self.carried, lanes, machine().fused_multiply_add).fma(x, y, z)
        add = "or" if self.carried.kind == "b" else "add"
        return self.w.put(f"{add} {register_type(self.carried, lanes)} {self._times(x, y, lanes)}, {z}")

    def _times(self, x: str, y: str, lanes: int) -> str:
        times = {"f": "fmul", "b": "and"}.get(self.carried.kind, "mul")
        return self.w.put(f"{times} {register_type(self.carried, lanes)} {x}, {y}")

    def _finish(self, part: Columns, row: str, value: str) -> None:
        w, (column, lanes, mask) = self.w, part
        if self.how.onto:
            place = w.offset(self.c, (row, self.c_row))
            if self.how.spread:
                before = w.spread(w.load(place, self.dtype), self.dtype, lanes)
            else:
                before = w.load(w.offset(place, (column, self.c_step)), self.dtype, lanes, mask)
            before = w.converted(before, self.dtype, self.carried, lanes)
            one = number(1, self.carried)
            value = self._fma(w.spread(self.alpha or one, self.carried, lanes), value, before, lanes)
        elif self.how.scaled:
            value = self._times(value, w.spread(self.alpha, self.carried, lanes), lanes)
        place = w.offset(self.out, (row, self.out_row), (column, self.dtype.itemsize))
        w.store(w.converted(value, self.carried, self.dtype, lanes), place, self.dtype, lanes, mask)
