"""Matrix products: which kernel, loops or BLAS, and its words, for arrays of any layout.

What a program knows of a product before any batch says which of the two its batches may take. Where that is both, both
are loaded with the first batch, so that none later waits for a kernel.
"""

from __future__ import annotations

from math import prod
from typing import Literal, TypeAlias

import numpy as np

from ...ir.spec import Dim, Size
from ..nests import UNROLLED
from .blas import blas_kernel
from .machine import machine
from .probe import blas
from .products import Product, packs, product_kernel
from .tape import Invocation, address_of

__all__ = ["by_loops", "lower_product"]

LARGE = 600_000
"""Multiplications from which a call of BLAS is faster than loops."""
LARGE_STRIDED = 24_000
"""The same where the elements of B's rows do not lie side by side, and are not packed."""
USUAL, MOST = 64, 1024
"""What a named size is taken for, usually and at the most."""
FEW = {4: 8, 8: 4}
"""Rows up to which loops are faster however large B is, by the bytes of a number: BLAS copies all of B first."""
CACHED = 8 << 20
"""Bytes of B up to which that holds, as it stays in a cache from row to row."""

Way: TypeAlias = Literal["loops", "blas"]

Sizes: TypeAlias = "tuple[Dim, Dim, Dim]"
"""Rows, inner size and columns, as declared."""


def lower_product(
    x: np.ndarray,
    w: np.ndarray,
    out: np.ndarray,
    x_dims: tuple[Dim, ...],
    w_dims: tuple[Dim, ...],
    onto: np.ndarray | None = None,
    alpha: np.ndarray | None = None,
) -> list[Invocation]:
    """The calls that write `x @ w` into `out`, or `onto + alpha * (x @ w)`; vectors are rows and columns.

    alpha is a scalar, or one for each batch. What is added to a product by BLAS is the result itself.
    """
    if not out.size:
        return []
    rows, columns = x.ndim > 1, w.ndim > 1
    a, b, c = x if rows else x[None], w if columns else w[:, None], _matrices(out, rows, columns)
    plus = None if onto is None else _matrices(onto, rows, columns)
    sizes = _sizes(x_dims, w_dims)
    given = a, b, c, plus, alpha, c.shape[:-2]
    ways = [_by_loops(*given, sizes) if way == "loops" else _by_blas(*given) for way in _ways(a, b, c, sizes)]
    for [call] in ways[1:]:
        machine().address(call.kernel)  # so that a batch of another size need not wait for it
    return ways[0]


def by_loops(x: np.ndarray, w: np.ndarray, out: np.ndarray, x_dims: tuple[Dim, ...], w_dims: tuple[Dim, ...]) -> bool:
    """Is a product of matrices computed by loops, which add it to any matrix on the way out?"""
    return _ways(x, w, out, _sizes(x_dims, w_dims))[0] == "loops"


def _sizes(x_dims: tuple[Dim, ...], w_dims: tuple[Dim, ...]) -> Sizes:
    return (x_dims[-2] if len(x_dims) > 1 else 1, x_dims[-1], w_dims[-1] if len(w_dims) > 1 else 1)


def _ways(a: np.ndarray, b: np.ndarray, out: np.ndarray, sizes: Sizes) -> tuple[Way, ...]:
    """How it is computed for these arrays; then how else for others, when named sizes have other values."""
    if out.dtype.kind != "f" or out.itemsize == 2 or not _suits_blas(a, b, out):
        return ("loops",)
    if b.strides[-1] != b.itemsize and not packs(*map(_unrolled, sizes[1:])):
        return ("loops" if _count(sizes, USUAL) < LARGE_STRIDED else "blas",)
    if _count(sizes, MOST) < LARGE:
        return ("loops",)
    few = FEW[b.itemsize] if b.shape[-2] * b.shape[-1] * b.itemsize <= CACHED else 0
    if isinstance(sizes[0], int) and sizes[0] > few and _count(sizes, USUAL) >= LARGE:
        return ("blas",)
    ways: tuple[Way, Way] = ("loops", "blas")
    if out.shape[-2] > few and a.shape[-2] * a.shape[-1] * b.shape[-1] >= LARGE:
        ways = ("blas", "loops")
    return ways if any(isinstance(size, Size) for size in sizes) else ways[:1]


def _count(sizes: Sizes, named: int) -> int:
    """The multiplications, when named sizes are so large."""
    return prod(size if isinstance(size, int) else named for size in sizes)


def _unrolled(size: Dim) -> int | None:
    """A size that the kernel has written out."""
    return size if isinstance(size, int) and size <= UNROLLED else None


def _suits_blas(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> bool:
    """Can BLAS read the operands, and count that far?"""
    lies_a, lies_b = _layout(a), _layout(b)
    return lies_a is not None and lies_b is not None and max(*out.shape, lies_a[1], lies_b[1], _row(out)) < 2**31


def _row(out: np.ndarray) -> int:
    """From row to row of the result how many elements."""
    return max(int(out.shape[-1]), int(out.strides[-2]) // out.itemsize)


def _matrices(array: np.ndarray, rows: bool, columns: bool) -> np.ndarray:
    """The result with the axes that a vector operand left out."""
    if not columns:
        array = array[..., None]
    return array if rows else array[..., None, :]


def _batch_words(
    batches: tuple[int, ...], c: np.ndarray, a: np.ndarray, b: np.ndarray, plus: np.ndarray | None,
    alpha: np.ndarray | None,
) -> list[int]:  # fmt: skip
    """For each batch axis its size, and how what there is moves along it."""
    parts = [c, a, b, plus, None if alpha is None else alpha[..., None, None]]
    words: list[int] = []
    for axis, size in enumerate(batches):
        words += [size, *(_moves(part, axis, len(batches)) for part in parts if part is not None)]
    return words


def _moves(array: np.ndarray, axis: int, batches: int) -> int:
    """How an array moves along a batch axis; operands without batches stay."""
    missing = batches - (array.ndim - 2)
    return array.strides[axis - missing] if axis >= missing else 0


def _by_loops(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, plus: np.ndarray | None, alpha: np.ndarray | None,
    batches: tuple[int, ...], sizes: Sizes,
) -> list[Invocation]:  # fmt: skip
    item = c.itemsize
    m, k, n = map(_unrolled, sizes)
    dense = b.strides[-1] == item or sizes[2] == 1
    how = Product(c.dtype, m, k, n, dense, plus is not None, alpha is not None, len(batches))
    words: list[int] = [address_of(c), address_of(a), address_of(b)]
    words += [address_of(part) for part in (plus, alpha) if part is not None]
    words += _batch_words(batches, c, a, b, plus, alpha)
    words += [number for number, fixed in zip((*a.shape[-2:], b.shape[-1]), (m, k, n), strict=True) if fixed is None]
    words += [c.strides[-2], a.strides[-2], a.strides[-1], b.strides[-2]]
    words += [] if dense else [b.strides[-1]]
    words += [] if plus is None else [plus.strides[-2], plus.strides[-1]]
    return [Invocation(product_kernel(how), words)]


def _by_blas(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, plus: np.ndarray | None, alpha: np.ndarray | None,
    batches: tuple[int, ...],
) -> list[Invocation]:  # fmt: skip
    lies_a, lies_b = _layout(a), _layout(b)
    assert lies_a is not None and lies_b is not None
    (letter_a, lda), (letter_b, ldb) = lies_a, lies_b
    n, m, k = c.shape[-1], c.shape[-2], a.shape[-1]
    ldc = _row(c)
    words: list[int] = [blas(_routine(c)), address_of(c), address_of(a), address_of(b)]
    words += [] if alpha is None else [address_of(alpha)]
    words += [ord(letter_b), ord(letter_a), n, m, k, ldb, lda, ldc, int(plus is not None)]
    words += _batch_words(batches, c, a, b, None, alpha)
    return [Invocation(blas_kernel(c.dtype, alpha is not None, len(batches)), words)]


def _routine(out: np.ndarray) -> str:
    return "dgemm" if out.itemsize == 8 else "sgemm"


def _layout(x: np.ndarray) -> tuple[str, int] | None:
    """How BLAS reads a matrix, transposed as it sees it: the letter, and from column to column how many elements."""
    rows, columns = x.shape[-2:]
    by_row, by_column = x.strides[-2:]
    item = x.itemsize
    if by_column == item or columns == 1:
        step = by_row // item if rows > 1 else columns
        if by_row % item == 0 and step >= max(1, columns):
            return "N", step
    if by_row == item or rows == 1:
        step = by_column // item if columns > 1 else rows
        if by_column % item == 0 and step >= max(1, rows):
            return "T", step
    return None
