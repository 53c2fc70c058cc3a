"""Reductions: kernels that fold a function over some axes, always in one order.

Along a dense innermost axis, element i goes to lane i mod L of a vector, and at the end the lanes are folded in
halves; along other axes, one element after the other. The order depends on the structure alone, so a sum has the
same bits wherever it stands. Half floats and sums of them are carried in single precision, as NumPy does.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..kernels import Fold, fold
from ..nests import Axis
from .machine import machine
from .maps import axis_numbers
from .types import NoKernel, lanes_of, number, register_type, splat, vectors_of
from .writer import Writer

__all__ = ["Fold", "fold", "fold_values", "reduction_kernel", "start_of"]

BLOCK = 4096
"""Vectors added up in one go: the sums of blocks are added apart, which keeps long sums accurate."""

TOGETHER = 4
"""Vectors of results that are folded side by side, down the columns."""

SHORT = 16
"""Rows of a fixed size up to this are folded one element after the other."""


def start_of(how: Fold) -> str:
    """The value to begin with, which changes nothing.

    Raises:
        NoKernel: for a ufunc that is not known here.
    """
    dtype = how.carried
    match how.ufunc, dtype.kind:
        case "add", _:
            return number(0, dtype)
        case "multiply", _:
            return number(1, dtype)
        case "maximum", "f":
            return number(-np.inf, dtype)
        case "minimum", "f":
            return number(np.inf, dtype)
        case (("maximum" | "logical_or"), "b"):
            return "false"
        case (("minimum" | "logical_and"), "b"):
            return "true"
        case "maximum", _:
            return str(np.iinfo(dtype).min)
        case "minimum", _:
            return str(np.iinfo(dtype).max)
    raise NoKernel(f"reduction by {how.ufunc}")


def fold_values(w: Writer, how: Fold, x: str, y: str, lanes: int) -> str:
    """The fold of two values, or vectors of them; NaN when one is."""
    dtype = how.carried
    kind = register_type(dtype, lanes)
    match how.ufunc, dtype.kind:
        case "add", "f":
            return w.put(f"fadd {kind} {x}, {y}")
        case "multiply", "f":
            return w.put(f"fmul {kind} {x}, {y}")
        case (("add" | "maximum" | "logical_or"), "b"):
            return w.put(f"or {kind} {x}, {y}")
        case (("multiply" | "minimum" | "logical_and"), "b"):
            return w.put(f"and {kind} {x}, {y}")
        case "add", _:
            return w.put(f"add {kind} {x}, {y}")
        case "multiply", _:
            return w.put(f"mul {kind} {x}, {y}")
        case ("maximum" | "minimum") as ufunc, "f":
            # Not by the intrinsic: it orders -0 before 0, which costs more than it is worth. In this order of operands
            # it is one instruction, and the test of y need not wait for x.
            better = w.put(f"fcmp {'ogt' if ufunc == 'maximum' else 'olt'} {kind} {y}, {x}")
            nan = w.put(f"fcmp uno {kind} {y}, {y}")
            truth = register_type(np.dtype(bool), lanes)
            chosen = w.put(f"select {truth} {better}, {kind} {y}, {kind} {x}")
            return w.put(f"select {truth} {nan}, {kind} {y}, {kind} {chosen}")
        case ("maximum" | "minimum") as ufunc, sign:
            return w.call(f"{'s' if sign == 'i' else 'u'}{ufunc[:3]}", dtype, lanes, x, y)
    raise NoKernel(f"reduction by {how.ufunc}")


def fold_lanes(w: Writer, how: Fold, vector: str, lanes: int) -> str:
    """The fold of a vector's lanes, in halves."""
    while lanes > 1:
        half = lanes // 2
        kind = register_type(how.carried, lanes)
        low, high = (
            w.put(
                f"shufflevector {kind} {vector}, {kind} poison, <{half} x i32> <{', '.join(f'i32 {i}' for i in part)}>"
            )
            for part in (range(half), range(half, lanes))
        )
        if half == 1:
            one = register_type(how.carried, 1)
            low, high = (w.put(f"extractelement <1 x {one}> {v}, i64 0") for v in (low, high))
        vector = fold_values(w, how, low, high, half)
        lanes = half
    return vector


@cache
def reduction_kernel(how: Fold, kept: tuple[Axis, ...], reduced: tuple[Axis, ...]) -> str:
    """The kernel of a reduction, for the axes that are kept and those that are reduced, outermost first.

    Its words: pointers to the result and the operand; then for each axis, the kept ones first, its size and strides,
    those that vary.
    """
    w = Writer()
    out, x = w.word("ptr"), w.word("ptr")
    if not reduced or reduced[-1].strides[1] == "dense" or not kept or kept[-1].strides != ("dense", "dense"):
        _Rows(w, how).write(kept, reduced, out, x)
    else:
        _Columns(w, how).write(kept, reduced, out, x)
    return w.text()


class _Reduction:
    def __init__(self, w: Writer, how: Fold) -> None:
        self.w, self.how = w, how
        start_of(how)
        self.lanes = lanes_of(how.source, how.carried)

    def axis(self, axis: Axis) -> tuple[str, tuple[str | int, str | int]]:
        """The size of an axis, and how result and operand move along it."""
        size, (move_out, move_x) = axis_numbers(self.w, axis, (self.how.result, self.how.source))
        return size, (move_out, move_x)

    def start(self, lanes: int) -> str:
        return splat(start_of(self.how), self.how.carried, lanes)

    def load(self, place: str, lanes: int, mask: str | None = None) -> str:
        """Elements in the dtype that is carried; those a mask leaves out change nothing."""
        w, how = self.w, self.how
        value = w.converted(w.load(place, how.source, lanes, mask), how.source, how.carried, lanes)
        if mask is None:
            return value
        kind = register_type(how.carried, lanes)
        return w.put(f"select <{lanes} x i1> {mask}, {kind} {value}, {kind} {self.start(lanes)}")

    def fold_into(self, variable: str, value: str, lanes: int) -> None:
        kind = register_type(self.how.carried, lanes)
        total = self.w.put(f"load {kind}, ptr {variable}")
        self.w.do(f"store {kind} {fold_values(self.w, self.how, total, value, lanes)}, ptr {variable}")


class _Rows(_Reduction):
    """For each kept place everything that is folded into it, innermost a vector at a time."""

    def write(self, kept: tuple[Axis, ...], reduced: tuple[Axis, ...], out: str, x: str) -> None:
        if kept:
            size, (move_out, move_x) = self.axis(kept[0])
            with self.w.loop(size) as index:
                self.write(kept[1:], reduced, self.w.offset(out, (index, move_out)), self.w.offset(x, (index, move_x)))
            return
        w, how = self.w, self.how
        last = reduced[-1] if reduced else None
        short = last is not None and last.size is not None and last.size <= SHORT
        bools = how.carried.kind == "b"  # a vector of them has no lane with an address of its own
        dense = last is not None and last.strides[1] == "dense" and not short and not bools
        lanes = self.lanes if dense else 1
        kind = register_type(how.carried, lanes)
        total = w.variable(kind, self.start(lanes))
        self._outer(reduced, x, total, lanes)
        value = fold_lanes(w, how, w.put(f"load {kind}, ptr {total}"), lanes)
        w.store(w.converted(value, how.carried, how.result), out, how.result)

    def _outer(self, reduced: tuple[Axis, ...], x: str, total: str, lanes: int) -> None:
        if not reduced:
            self.fold_into(total, self.load(x, 1), 1)
            return
        size, (_, move) = self.axis(reduced[0])
        if len(reduced) == 1 and lanes > 1:
            self._inner(reduced[0], size, x, total)
            return
        with self.w.loop(size) as index:
            self._outer(reduced[1:], self.w.offset(x, (index, move)), total, lanes)

    def _inner(self, axis: Axis, size: str, x: str, total: str) -> None:
        w, lanes, item = self.w, self.lanes, self.how.source.itemsize
        if axis.size is not None:
            whole = axis.size - axis.size % lanes
            for start in range(0, whole, lanes):
                self.fold_into(total, self.load(w.offset(x, (str(start), item)), lanes), lanes)
            if axis.size > whole:
                self._rest(str(axis.size - whole), w.offset(x, (str(whole), item)), total, axis.size - whole)
            return
        left = w.put(f"and i64 {size}, {lanes - 1}")
        whole_part = w.put(f"sub nsw i64 {size}, {left}")
        kind = register_type(self.how.carried, lanes)
        block = w.variable(kind)
        with w.loop(whole_part, BLOCK * lanes) as first:
            w.do(f"store {kind} {self.start(lanes)}, ptr {block}")
            end = w.put(f"add nsw i64 {first}, {BLOCK * lanes}")
            stop = w.put(f"call i64 @llvm.smin.i64(i64 {end}, i64 {whole_part})")
            with w.loop(stop, lanes, first) as index:
                self.fold_into(block, self.load(w.offset(x, (index, item)), lanes), lanes)
            self.fold_into(total, w.put(f"load {kind}, ptr {block}"), lanes)
        with w.when(w.put(f"icmp sgt i64 {left}, 0")):
            self._rest(left, w.offset(x, (whole_part, item)), total, None)

    def _rest(self, count: str, place: str, total: str, known: int | None) -> None:
        """The elements that are left over, each into its lane."""
        w, lanes, how = self.w, self.lanes, self.how
        if machine().masks and how.source.itemsize >= 4:
            self.fold_into(total, self.load(place, lanes, w.first(count, lanes)), lanes)
            return
        one = register_type(how.carried)
        with w.loop(count) as index:
            lane = w.put(f"getelementptr {one}, ptr {total}, i64 {index}")
            self.fold_into(lane, self.load(w.offset(place, (index, how.source.itemsize)), 1), 1)


class _Columns(_Reduction):
    """Where the innermost axis stays: some vectors of results at a time, element after element folded into them."""

    def write(self, kept: tuple[Axis, ...], reduced: tuple[Axis, ...], out: str, x: str) -> None:
        w = self.w
        if len(kept) > 1:
            size, (move_out, move_x) = self.axis(kept[0])
            with w.loop(size) as index:
                self.write(kept[1:], reduced, w.offset(out, (index, move_out)), w.offset(x, (index, move_x)))
            return
        size, _ = self.axis(kept[0])
        moves = [(count, move[1]) for count, move in map(self.axis, reduced)]
        lanes, fixed = self.lanes, kept[0].size
        if fixed is not None:
            vectors = vectors_of(fixed, lanes)
            for i in range(0, len(vectors), TOGETHER):
                self._columns(out, x, "0", vectors[i : i + TOGETHER], moves)
            return
        start = "0"
        for step in (TOGETHER * lanes, lanes, 1):
            stop = size if step == 1 else w.put(f"sub nsw i64 {size}, {w.put(f'and i64 {size}, {step - 1}')}")
            with w.loop(stop, step, start) as index:
                self._columns(out, x, index, vectors_of(step, lanes), moves)
            start = stop

    def _columns(
        self, out: str, x: str, at: str, vectors: list[tuple[int, int]], moves: list[tuple[str, str | int]]
    ) -> None:
        """Some vectors of results from a place on: so many sums do not wait for one another."""
        w, how = self.w, self.how
        totals = [w.variable(register_type(how.carried, lanes), self.start(lanes)) for _, lanes in vectors]
        self._down(w.offset(x, (at, how.source.itemsize)), totals, vectors, moves)
        place = w.offset(out, (at, how.result.itemsize))
        for total, (first, lanes) in zip(totals, vectors, strict=True):
            value = w.put(f"load {register_type(how.carried, lanes)}, ptr {total}")
            result = w.converted(value, how.carried, how.result, lanes)
            w.store(result, w.offset(place, (str(first), how.result.itemsize)), how.result, lanes)

    def _down(
        self, x: str, totals: list[str], vectors: list[tuple[int, int]], moves: list[tuple[str, str | int]]
    ) -> None:
        if not moves:
            for total, (first, lanes) in zip(totals, vectors, strict=True):
                self.fold_into(total, self.load(self.w.offset(x, (str(first), self.how.source.itemsize)), lanes), lanes)
            return
        (size, move), *rest = moves
        with self.w.loop(size) as index:
            self._down(self.w.offset(x, (index, move)), totals, vectors, rest)
