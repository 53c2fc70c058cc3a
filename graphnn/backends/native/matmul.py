"""Matrix products: the calls of loops or of BLAS that compute a product, for arrays of any layout.

Loops are faster for small products, and BLAS for large ones. The declared shapes tell which of the two the batches of
a program may need. If the batch size decides, both kernels are compiled for the first batch, so that a later batch of
another size does not wait for the compiler.
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
"""The number of multiplications from which a call of BLAS is faster than loops."""
LARGE_STRIDED = 24_000
"""The same, if the elements of a row of B do not lie side by side, and B is too large to be copied (`packs`)."""
USUAL, MOST = 64, 1024
"""The value that is assumed for a named size: a usual one, and the largest one to expect."""
FEW = {4: 8, 8: 4}
"""The rows up to which loops are faster however large B is, since BLAS copies all of B first.

The key is the size of an element in bytes.
"""
CACHED = 8 << 20
"""The bytes of B up to which `FEW` holds. So large a B stays in a cache from row to row."""

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
    """The calls that write `x @ w`, or `onto + alpha * (x @ w)`, into `out`.

    A vector `x` is a row, and a vector `w` a column. `alpha` is one scalar, or one for each batch. If the product is
    computed by BLAS, `onto` must be `out` itself.
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
        machine().address(call.kernel)  # so that a batch of another size does not wait for it
    return ways[0]


def by_loops(x: np.ndarray, w: np.ndarray, out: np.ndarray, x_dims: tuple[Dim, ...], w_dims: tuple[Dim, ...]) -> bool:
    """Is a product of matrices computed by loops? They can add it to any matrix, and BLAS only to the result itself."""
    return _ways(x, w, out, _sizes(x_dims, w_dims))[0] == "loops"


def _sizes(x_dims: tuple[Dim, ...], w_dims: tuple[Dim, ...]) -> Sizes:
    return (x_dims[-2] if len(x_dims) > 1 else 1, x_dims[-1], w_dims[-1] if len(w_dims) > 1 else 1)


def _ways(a: np.ndarray, b: np.ndarray, out: np.ndarray, sizes: Sizes) -> tuple[Way, ...]:
    """The way for these arrays; then the other way, if other values of the named sizes may need it."""
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
    """The number of multiplications, if every named size has the value `named`."""
    return prod(size if isinstance(size, int) else named for size in sizes)


def _unrolled(size: Dim) -> int | None:
    """The size, if it is fixed in the kernel's text. None if the kernel reads it as a word."""
    return size if isinstance(size, int) and size <= UNROLLED else None


def _suits_blas(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> bool:
    """Can BLAS read the operands as they lie, and hold all sizes and strides in 32 bits?"""
    lies_a, lies_b = _layout(a), _layout(b)
    return lies_a is not None and lies_b is not None and max(*out.shape, lies_a[1], lies_b[1], _row(out)) < 2**31


def _row(out: np.ndarray) -> int:
    """The result's stride from row to row, in elements."""
    return max(int(out.shape[-1]), int(out.strides[-2]) // out.itemsize)


def _matrices(array: np.ndarray, rows: bool, columns: bool) -> np.ndarray:
    """The result as matrices: with an axis of one row or column for an operand that is a vector."""
    if not columns:
        array = array[..., None]
    return array if rows else array[..., None, :]


def _batch_words(
    batches: tuple[int, ...], c: np.ndarray, a: np.ndarray, b: np.ndarray, plus: np.ndarray | None,
    alpha: np.ndarray | None,
) -> list[int]:  # fmt: skip
    """For each batch axis, its size, and the strides in bytes of the arrays that there are."""
    parts = [c, a, b, plus, None if alpha is None else alpha[..., None, None]]
    words: list[int] = []
    for axis, size in enumerate(batches):
        words += [size, *(_moves(part, axis, len(batches)) for part in parts if part is not None)]
    return words


def _moves(array: np.ndarray, axis: int, batches: int) -> int:
    """An array's stride in bytes along a batch axis: 0 if the array does not have that axis."""
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
    """How BLAS reads a matrix, which it sees transposed: the letter N or T, and the leading dimension in elements.

    None if BLAS cannot read it, since neither its rows nor its columns lie side by side.
    """
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
