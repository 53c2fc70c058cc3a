"""Folds: kernels that reduce a formula over some axes, by a sum, a product, a maximum and the like.

A `Sum` folds its operand. A contraction, such as an einsum, folds a product of its operands. The order of a fold is
fixed, so the same program on the same data gives the same bits. Sizes alone decide how the work is shared out:

- "serial": each thread folds all elements of one result. This is for few elements, or very many results.
- "block": each block folds the elements of one result. Thread t takes every element whose number is t modulo the
  number of threads. The totals of the threads are then folded in halves: 128 with 128, 64 with 64, and so on.
- "columns": each block folds 32 results that are neighbours in memory, in eight rows of threads.

If there are few blocks and very many elements, most of the device would be idle. Then each block folds only a part of
the elements into the workspace, and a second launch folds these partial results. Sums of half floats are carried in
single precision, as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal, TypeAlias

import numpy as np

from ...ir.formula import Formula, literal, name
from ...ir.spec import Dim, Size
from ..kernels import DType, NoKernel
from ..nests import Axis, make_axes
from .formulas import write_formula
from .maps import lower_map
from .places import Walk
from .site import Site
from .sources import Kind, Source, flat, item_bytes, kinds_of, layouts, moves, parameters, read, words_of
from .types import convert, is_half, number, register_type, stored
from .writer import THREADS, Kernel, Launch, Writer, launch

__all__ = ["ROWS", "Folded", "both", "lower_fold", "neutral", "shared_out"]

SERIAL = 32
"""At most so many elements of a result are folded by a single thread."""
MANY = 16384
"""With at least so many results, a thread for each result keeps the device busy."""
COLUMNS, ROWS = 32, 8
"""The results of a block, and the threads for each of them, when work is shared out by "columns"."""

BUSY, PART = 512, 1 << 14
"""The number of blocks that keeps the device busy, and the least number of elements in a part. PART is larger than
BUSY, the most parts that a result has, so the fold of partial results is not divided again. Not measured."""

Sharing: TypeAlias = Literal["serial", "block", "columns"]


@dataclass(frozen=True)
class Folded:
    """What is folded: the ufunc, the formula with the names of its sources, and the dtype of the formula."""

    ufunc: str
    body: Formula
    names: tuple[str, ...]
    dtype: DType


def lower_fold(
    how: Folded,
    dims: Sequence[Dim],
    shape: Sequence[int],
    over: Sequence[int],
    sources: Sequence[Source],
    out: np.ndarray,
    at: Site,
) -> list[Launch]:
    """The launches that fold the formula over the axes `over`, and write into `out`, where these axes have size 1.

    `dims` and `shape` are the sizes of all axes of the formula, as declared and in numbers.

    Raises:
        NoKernel: for a ufunc that is not known here.
    """
    if not out.size:
        return []
    if not math.prod(shape):  # nothing to fold: the neutral element everywhere
        return lower_map(literal(neutral(how.ufunc, out.dtype)), (), out.shape, (), out, at)
    everything = flat([out, *sources])
    kinds = kinds_of(everything)

    def walked(chosen: list[int], moved: list[list[int]]) -> tuple[tuple[Axis, ...], list[int]]:
        return make_axes([dims[a] for a in chosen], [shape[a] for a in chosen], moved, layouts(kinds))

    stay, go = [a for a in range(len(shape)) if a not in over], sorted(over)
    kept, words = walked(stay, [moves(everything, a) for a in stay])
    folded, more = walked(go, [[0, *moves(everything, a)[1:]] for a in go])
    elements = math.prod(shape[a] for a in go)
    side_by_side = bool(kept and folded) and "dense" in kept[-1].strides[1:] and "dense" not in folded[-1].strides
    sharing = shared_out(elements, out.size, side_by_side)
    kernel = partial(_fold_kernel, how, sharing, kept, folded, kinds[1:])
    words = [*words_of(everything, at), *words, *more]
    if sharing == "serial":
        return [launch(kernel(out.dtype), words, out.size)]
    blocks = out.size if sharing == "block" else -(-out.size // COLUMNS)
    parts = min(elements // PART, -(-BUSY // blocks))
    if parts < 2:
        return [Launch(kernel(out.dtype), words, blocks)]
    carried = carried_in(out.dtype)
    partials = at.partials((*(shape[a] for a in stay), parts), carried)
    words = [at(partials), *words[1:], parts, -(-elements // parts)]
    first = Launch(kernel(carried, parted=True), words, blocks * parts)
    return [first, *_fold_parts(how.ufunc, [dims[a] for a in stay], partials, out, at)]


def _fold_parts(ufunc: str, dims: Sequence[Dim], partials: np.ndarray, out: np.ndarray, at: Site) -> list[Launch]:
    """The launches that fold partial results along their last axis."""
    how = Folded(ufunc, name("x"), ("x",), partials.dtype)
    result = out.reshape(*partials.shape[:-1], 1)
    return lower_fold(how, [*dims, Size("parts")], partials.shape, [len(dims)], [partials], result, at)


def shared_out(elements: int, results: int, side_by_side: bool = False) -> Sharing:
    """How the work is shared out, for a number of elements per result and a number of results.

    `side_by_side` says that the elements of neighbouring results are neighbours in memory.
    """
    if elements <= SERIAL or results >= MANY:
        return "serial"
    return "columns" if side_by_side else "block"


@cache
def _fold_kernel(
    how: Folded,
    sharing: Sharing,
    kept: tuple[Axis, ...],
    folded: tuple[Axis, ...],
    kinds: tuple[Kind, ...],
    result: DType,
    parted: bool = False,
) -> Kernel:
    k = _Fold(how, kept, folded, kinds, result, parted)
    {"serial": k.serial, "block": k.block, "columns": k.columns}[sharing]()
    return k.w.kernel()


class _Fold:
    """Writes a fold, with the work shared out in one of three ways. If `parted`, each block writes a partial result."""

    def __init__(
        self,
        how: Folded,
        kept: tuple[Axis, ...],
        folded: tuple[Axis, ...],
        kinds: tuple[Kind, ...],
        result: DType,
        parted: bool,
    ) -> None:
        self.w, self.how, self.result, self.kinds = Writer(), how, result, kinds
        self.out, self.given = self.w.pointer(result, written=True), parameters(self.w, kinds)
        sizes = [result.itemsize, *map(item_bytes, kinds)]
        self.across, self.along = Walk(self.w, kept, sizes), Walk(self.w, folded, sizes)
        self.parts, self.length = (self.w.word(), self.w.word()) if parted else ("", "")
        self.carried = carried_in(result)
        self.kind = register_type(self.carried)

    def serial(self) -> None:
        """Write the fold with a thread for each result."""
        base = self.across.offsets(self.w.thread(self.across.count))
        self._fold("0", "1", base)
        self._finish("total", base[0])

    def block(self) -> None:
        """Write the fold with a block for each result. The totals of its threads are folded in halves."""
        w = self.w
        w.leave_when_stopped()
        w.share(self.carried, "totals", THREADS)
        block = self._block()
        base = self.across.offsets(block)
        self._fold("threadIdx.x", str(THREADS), base)
        w.line("totals[threadIdx.x] = total;")
        with w.braces(f"for (int half = {THREADS // 2}; half; half /= 2)"):
            w.line("__syncthreads();")
            w.line(f"if (threadIdx.x < half) {self._both('totals[threadIdx.x]', 'totals[threadIdx.x + half]')}")
        with w.braces("if (threadIdx.x == 0)"):
            self._finish("totals[0]", self._place(block, base[0]))

    def columns(self) -> None:
        """Write the fold with rows of threads for neighbouring results. Totals are folded row by row."""
        w = self.w
        w.leave_when_stopped()
        w.share(self.carried, "totals", THREADS)
        column = w.put("long long", f"{self._block()} * {COLUMNS} + threadIdx.x % {COLUMNS}")
        with w.braces(f"if ({column} < {self.across.count})"):
            self._fold(f"threadIdx.x / {COLUMNS}", str(ROWS), self.across.offsets(column))
            w.line("totals[threadIdx.x] = total;")
        w.line("__syncthreads();")
        with w.braces(f"if (threadIdx.x < {COLUMNS} && {column} < {self.across.count})"):
            w.line(f"{self.kind} total = totals[threadIdx.x];")
            with w.braces(f"for (int row = 1; row < {ROWS}; row++)"):
                w.line(self._both("total", f"totals[threadIdx.x + row * {COLUMNS}]"))
            self._finish("total", self._place(column, self.across.offsets(column)[0]))

    def _block(self) -> str:
        """The number of the block among all blocks for the same part."""
        return f"(long long)blockIdx.x / {self.parts}" if self.parts else "(long long)blockIdx.x"

    def _place(self, result: str, offset: str) -> str:
        """The offset in bytes at which a result is written. The partial results of one result are neighbours."""
        if not self.parts:
            return offset
        return f"(({result}) * {self.parts} + blockIdx.x % {self.parts}) * {self.carried.itemsize}"

    def _fold(self, first: str, step: str, base: list[str]) -> None:
        """Write the loop that folds the elements `first`, `first + step` ... into `total`."""
        w, how = self.w, self.how
        w.line(f"{self.kind} total = {number(neutral(how.ufunc, self.carried), self.carried)};")
        last = self.along.count
        if self.parts:
            begin = w.put("long long", f"blockIdx.x % {self.parts} * {self.length}")
            last = w.put("long long", f"{begin} + {self.length} < {last} ? {begin} + {self.length} : {last}")
            first = f"{begin} + {first}"
        with w.braces(f"for (long long i = {first}; i < {last}; i += {step})"):
            offsets = [f"{a} + {b}" for a, b in zip(base, self.along.offsets("i"), strict=True)]
            value = write_formula(w, how.body, read(w, how.names, self.given, self.kinds, offsets[1:]), how.dtype)
            w.line(self._both("total", w.put(self.kind, convert(value, how.dtype, self.carried))))

    def _both(self, mine: str, other: str) -> str:
        return f"{mine} = {both(self.how.ufunc, self.carried, mine, other)};"

    def _finish(self, total: str, base: str) -> None:
        self.w.line(f"*at({self.out}, {base}) = {stored(convert(total, self.carried, self.result), self.result)};")


def carried_in(result: DType) -> DType:
    """The dtype of the running value of a fold, for the dtype of its result."""
    return np.dtype(np.float32) if is_half(result) else result


def neutral(ufunc: str, dtype: DType) -> Any:
    """The neutral element of a ufunc: the value with which a fold begins.

    Raises:
        NoKernel: for a ufunc that is not known here.
    """
    match ufunc, dtype.kind:
        case "add", _:
            return dtype.type(0)
        case "multiply", _:
            return dtype.type(1)
        case "maximum" | "minimum", "f":
            return dtype.type(-np.inf if ufunc == "maximum" else np.inf)
        case "maximum" | "minimum" | "logical_or" | "logical_and", "b":
            return dtype.type(ufunc in ("minimum", "logical_and"))
        case "maximum" | "minimum", _:
            limits = np.iinfo(dtype)
            return dtype.type(limits.min if ufunc == "maximum" else limits.max)
    raise NoKernel(f"a reduction by {ufunc}")


def both(ufunc: str, dtype: DType, x: str, y: str) -> str:
    """The expression that folds two values. It is NaN if one of them is; sums and products of integers wrap around."""
    match ufunc, dtype.kind:
        case (("add" | "maximum" | "logical_or"), "b"):
            return f"{x} | {y}"
        case (("multiply" | "minimum" | "logical_and"), "b"):
            return f"{x} & {y}"
        case (("add" | "multiply"), kind):
            sign = "+" if ufunc == "add" else "*"
            if kind != "i":
                return f"{x} {sign} {y}"
            return f"({register_type(dtype)})((unsigned long long){x} {sign} (unsigned long long){y})"
        case (("maximum" | "minimum"), _):
            test = ">=" if ufunc == "maximum" else "<="
            nan = f" || {x} != {x}" if dtype.kind == "f" else ""
            return f"{x} {test} {y}{nan} ? {x} : {y}"
    raise NoKernel(f"a reduction by {ufunc}")
