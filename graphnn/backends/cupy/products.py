"""Products: graphnn's own kernel for products of matrices, in tiles that a block holds in shared memory.

Each element of the result is a single sum in the order of the inner axis, whatever the sizes. So its bits do not
depend on its position. The result may also be `C + alpha * (A @ B)`, which updates C in place. This kernel is always
available. Large products of floats are left to cuBLASLt where that works.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..kernels import DType, NoKernel
from .layouts import batch_stride
from .site import Multiply, Site
from .types import is_half, load, number, register_type, stored
from .writer import THREADS, Kernel, Launch, Writer

__all__ = ["lower_product", "matrices"]

SIDE = 16
"""A block computes a square of the result with so many rows and columns, one element for each thread."""


@dataclass(frozen=True)
class _Product:
    """What the text of a product's kernel depends on."""

    dtype: DType
    onto: bool
    """Is the product added to a matrix C?"""
    scaled: bool
    """Is it multiplied by a scalar first?"""
    batches: int
    """The number of batch axes, before the two of the matrix."""


def lower_product(
    x: np.ndarray,
    w: np.ndarray,
    out: np.ndarray,
    at: Site,
    onto: np.ndarray | None = None,
    alpha: np.ndarray | None = None,
) -> list[Launch | Multiply]:
    """The launches that write `x @ w` into `out`, or `onto + alpha * (x @ w)`. A vector counts as a row or column.

    Raises:
        NoKernel: for a product of bools.
    """
    if not out.size:
        return []
    if out.dtype.kind == "b":
        raise NoKernel("a product of bools")
    a, b, c, plus = matrices(x, w, out, onto)
    if a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous and c.flags.c_contiguous and plus is None:
        a, c = a.reshape(-1, a.shape[-1]), c.reshape(-1, c.shape[-1])  # the rows of one product
    if a.size and (plus is None or (alpha is not None and at(plus) == at(c) and plus.strides == c.strides)):
        by_library = at.multiply(a, b, c, alpha=alpha)
        if by_library is not None:
            return [by_library]
    batches, (rows, columns), inner = c.shape[:-2], c.shape[-2:], a.shape[-1]
    given = [c, a, b, *([] if plus is None else [plus])]
    how = _Product(out.dtype, plus is not None, alpha is not None, len(batches))
    words: list[int] = [*map(at, given), *([] if alpha is None else [at(alpha)])]
    words += [rows, inner, columns, *(step for array in given for step in array.strides[-2:])]
    for axis, size in enumerate(batches):
        words += [size, *(batch_stride(array, axis, len(batches)) for array in given)]
    blocks = math.prod(batches) * -(-rows // SIDE) * -(-columns // SIDE)
    return [Launch(_product_kernel(how), words, blocks, SIDE * SIDE)]


def matrices(
    x: np.ndarray, w: np.ndarray, out: np.ndarray, onto: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Operands and results as matrices: a vector gets the axis that it lacks, of size 1."""
    rows, columns = x.ndim > 1, w.ndim > 1

    def whole(array: np.ndarray) -> np.ndarray:
        array = array if columns else array[..., None]
        return array if rows else array[..., None, :]

    return (
        x if rows else x[None], w if columns else w[:, None], whole(out), None if onto is None else whole(onto)
    )  # fmt: skip


@cache
def _product_kernel(how: _Product) -> Kernel:
    k = _Tiles(how)
    k.multiply()
    k.finish()
    return k.w.kernel()


class _Tiles:
    """Writes a product. Each thread computes one element, from squares of both factors that its block loads."""

    def __init__(self, how: _Product) -> None:
        assert SIDE * SIDE == THREADS
        w = self.w = Writer()
        self.how, self.dtype = how, how.dtype
        self.carried = np.dtype(np.float32) if is_half(how.dtype) else how.dtype
        self.arrays = [w.pointer(how.dtype, written=i == 0) for i in range(4 if how.onto else 3)]
        self.alpha = w.pointer(how.dtype) if how.scaled else ""
        self.rows, self.inner, self.columns = w.word(), w.word(), w.word()
        self.steps = [(w.word(), w.word()) for _ in self.arrays]
        batches = [(w.word(), [w.word() for _ in self.arrays]) for _ in range(how.batches)]
        w.leave_when_stopped()
        for side in ("left", "right"):
            w.share(self.carried, side, SIDE, SIDE + 1)
        w.line(f"const int y = threadIdx.x / {SIDE}, x = threadIdx.x % {SIDE};")
        across = w.put("long long", f"({self.columns} + {SIDE - 1}) / {SIDE}")
        down = w.put("long long", f"({self.rows} + {SIDE - 1}) / {SIDE}")
        self.row = w.put("long long", f"blockIdx.x / {across} % {down} * {SIDE} + y")
        self.column = w.put("long long", f"blockIdx.x % {across} * {SIDE} + x")
        self.bases = _bases(w, batches, f"blockIdx.x / ({across} * {down})", len(self.arrays))

    def multiply(self) -> None:
        """Write the loop that adds to `total`, one square of each factor at a time."""
        w, dtype, row, column, inner = self.w, self.dtype, self.row, self.column, self.inner
        zero = number(0, self.carried)
        w.line(f"{register_type(self.carried)} total = {zero};")
        with w.braces(f"for (long long k = 0; k < {inner}; k += {SIDE})"):
            a, b = load(self._element(1, row, "k + x"), dtype), load(self._element(2, "k + y", column), dtype)
            w.line(f"left[y][x] = {row} < {self.rows} && k + x < {inner} ? {a} : {zero};")
            w.line(f"right[y][x] = k + y < {inner} && {column} < {self.columns} ? {b} : {zero};")
            w.line("__syncthreads();")
            with w.braces(f"for (int i = 0; i < {SIDE} && k + i < {inner}; i++)"):
                w.line(f"total = {_added(self.carried, 'left[y][i]', 'right[i][x]', 'total')};")
            w.line("__syncthreads();")

    def finish(self) -> None:
        """Write the line that stores the result, added to C if there is one."""
        w, dtype, value = self.w, self.dtype, "total"
        with w.braces(f"if ({self.row} < {self.rows} && {self.column} < {self.columns})"):
            if self.how.onto:
                before = load(self._element(3, self.row, self.column), dtype)
                factor = load(f"*{self.alpha}", dtype) if self.how.scaled else number(1, self.carried)
                value = _added(self.carried, factor, "total", before)
            w.line(f"{self._element(0, self.row, self.column)} = {stored(value, dtype)};")

    def _element(self, which: int, i: str, j: str) -> str:
        by_row, by_step = self.steps[which]
        return f"*at({self.arrays[which]}, {self.bases[which]}({i}) * {by_row} + ({j}) * {by_step})"


def _bases(w: Writer, batches: list[tuple[str, list[str]]], batch: str, arrays: int) -> list[str]:
    """Where each array's matrix of a batch begins, in bytes."""
    terms: list[list[str]] = [[] for _ in range(arrays)]
    rest = w.put("long long", batch) if batches else ""
    for i, (size, moves) in reversed(list(enumerate(batches))):
        at = w.put("long long", f"{rest} % {size}") if i else rest
        rest = w.put("long long", f"{rest} / {size}") if i else ""
        for array, move in zip(terms, moves, strict=True):
            array.append(f"{at} * {move}")
    return [w.put("long long", " + ".join(array)) + " + " if array else "" for array in terms]


def _added(dtype: DType, x: str, y: str, z: str) -> str:
    """`x * y + z`: of floats in one rounding; of integers as they wrap."""
    if dtype.kind == "f":
        return f"fma{'' if dtype.itemsize == 8 else 'f'}({x}, {y}, {z})"
    return f"({register_type(dtype)})((unsigned long long){x} * (unsigned long long){y} + (unsigned long long){z})"
