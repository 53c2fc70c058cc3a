"""Matrix products: which kernel, loops or BLAS, and its words, for arrays of any layout."""

from __future__ import annotations

import numpy as np

from ...ir.spec import Dim, Size
from ..nests import UNROLLED
from .blas import blas_kernel
from .probe import blas
from .products import Product, product_kernel
from .tape import Invocation, address_of

__all__ = ["by_loops", "lower_product"]

LARGE = {4: 600_000, 8: 250_000}
"""Multiplications from which a call of BLAS is faster than loops, by the bytes of a number."""
LARGE_STRIDED = 24_000
"""The same where the elements of B's rows do not lie side by side."""


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
    sizes = (x_dims[-2] if rows else 1, x_dims[-1], w_dims[-1] if columns else 1)
    batches = c.shape[:-2]
    if by_loops(a, b, c):
        if c.dtype.kind == "f" and c.itemsize > 2 and any(isinstance(size, Size) for size in sizes):
            blas(_routine(c))  # for a larger batch, so that it need not wait for the library
        return _by_loops(a, b, c, plus, alpha, batches, sizes)
    return _by_blas(a, b, c, plus, alpha, batches)


def by_loops(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> bool:
    """Is a product of matrices one of the kernels' own loops, and not a call of BLAS?"""
    if out.dtype.kind != "f" or out.itemsize == 2:
        return True
    large = LARGE[out.itemsize] if b.strides[-1] == b.itemsize else LARGE_STRIDED
    count: int = a.shape[-2] * a.shape[-1] * b.shape[-1]
    return count < large or not _suits_blas(a, b, out)


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
    batches: tuple[int, ...], sizes: tuple[Dim, Dim, Dim],
) -> list[Invocation]:  # fmt: skip
    item = c.itemsize
    m, k, n = (size if isinstance(size, int) and size <= UNROLLED else None for size in sizes)
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
