"""Folds: kernels that fold a formula over some axes, always in one order, so that its bits are always the same.

A sum is a fold of its operand; a contraction such as an einsum, of a product. How the work is shared out depends on
sizes alone: with few elements, or very many results, each thread folds the elements of one result, one after the
other. Else a block folds those of one result, thread t those whose number is t modulo the threads, and then halves of
the threads in turn; or, where neighbouring results lie side by side, those of 32 results in eight rows of threads.
Half floats are carried in single precision, as NumPy does.
Where so few blocks would fold so many elements that most of the device were idle, each folds a part of them into the
workspace, and a second launch folds the parts.
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
"""Up to so many elements are folded by one thread."""
MANY = 16384
"""So many results keep the device busy with one thread each."""
COLUMNS, ROWS = 32, 8
"""Results, and threads for each, that a block has where neighbouring results lie side by side."""

BUSY, PART = 512, 1 << 14
"""So many blocks keep the device busy; so many elements at least make a part, which is more, so that no part is parted
again. Not measured."""

Sharing: TypeAlias = Literal["serial", "block", "columns"]


@dataclass(frozen=True)
class Folded:
    """What is folded: a ufunc, over the formula of some sources, which has a dtype."""

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
    """The launches that fold the formula of the sources over some axes into `out`, where those have size 1.

    `dims` and `shape` are the sizes of all axes, as declared and in numbers.

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
    """The launch that folds partial results, which lie along the last axis."""
    how = Folded(ufunc, name("x"), ("x",), partials.dtype)
    result = out.reshape(*partials.shape[:-1], 1)
    return lower_fold(how, [*dims, Size("parts")], partials.shape, [len(dims)], [partials], result, at)


def shared_out(elements: int, results: int, side_by_side: bool = False) -> Sharing:
    """How the work is: by the elements of each result, and whether those of neighbouring results lie side by side."""
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
    """Writes a fold, with the work shared out in one of three ways; of a part of the elements, into partial results."""

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
        """A thread for each result."""
        base = self.across.offsets(self.w.thread(self.across.count))
        self._fold("0", "1", base)
        self._finish("total", base[0])

    def block(self) -> None:
        """A block for each result: its threads' totals are folded in halves."""
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
        """Rows of threads for neighbouring results: the rows' totals are folded from the first to the last."""
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
        """The number of the block, among those that have the same part."""
        return f"(long long)blockIdx.x / {self.parts}" if self.parts else "(long long)blockIdx.x"

    def _place(self, result: str, offset: str) -> str:
        """Where a result goes: among partial results to those of the same one."""
        if not self.parts:
            return offset
        return f"(({result}) * {self.parts} + blockIdx.x % {self.parts}) * {self.carried.itemsize}"

    def _fold(self, first: str, step: str, base: list[str]) -> None:
        """Fold every so many elements into `total`."""
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
    """The dtype in which a fold to that one is carried."""
    return np.dtype(np.float32) if is_half(result) else result


def neutral(ufunc: str, dtype: DType) -> Any:
    """The value to begin with, which changes nothing.

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
    """The fold of two values; NaN when one is. Sums of integers wrap."""
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
