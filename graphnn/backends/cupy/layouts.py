"""Products as they are described to cuBLASLt: the memory layout of each matrix, and the epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from ..kernels import DType

__all__ = ["Epilogue", "Matrix", "Product", "batch_stride", "even_steps", "matrix_of"]


class Epilogue(IntFlag):
    """What the library does with a product before it writes it. The numbers are those of `cublasLtEpilogue_t`."""

    NONE = 0
    RELU = 2
    BIAS = 4
    """Add a vector, which has an element for each column."""
    DRELU = 8 | 128
    """The gradient of ReLU: keep elements whose bit in the mask is 1, and write 0 elsewhere."""
    SUMS = 16
    """Write the sums of the columns into a vector."""
    MASK = 128
    """Write or read a mask: a bit for each element, 1 if it was positive. Each row of the mask has a multiple of 128
    bits."""

    @property
    def words(self) -> str:
        """The epilogue in words, for `explain()`."""
        both = {Epilogue.BIAS: "bias", Epilogue.RELU: "ReLU", Epilogue.RELU | Epilogue.MASK: "its mask"}
        back = {Epilogue.DRELU: "ReLU's gradient", Epilogue.SUMS: "the sums of its columns"}
        return " and ".join(word for part, word in (both | back).items() if part in self)


@dataclass(frozen=True)
class Matrix:
    """The memory layout of a matrix, or of a stack of matrices. Lengths are in elements.

    A matrix has `rows` and `columns`. Its lines are contiguous, and `line` apart; they are its rows, or its columns if
    `transposed`. The next matrix of a stack begins `step` further on. `aligned` is the largest power of 2 up to 256
    that divides the address of the first matrix, in bytes.
    """

    rows: int
    columns: int
    line: int
    transposed: bool
    step: int = 0
    aligned: int = 256


@dataclass(frozen=True)
class Product:
    """`out = x @ w`, for each of `batches` matrices in a stack.

    With `onto`, a scalar on the device times the product is added to `out` instead. `vector` and `mask` are the
    addresses of what the epilogue reads or writes; 0 where it needs none.
    """

    x: Matrix
    w: Matrix
    out: Matrix
    dtype: DType
    precision: str
    onto: bool = False
    batches: int = 1
    epilogue: Epilogue = Epilogue.NONE
    vector: int = 0
    mask: int = 0


def matrix_of(array: np.ndarray, address: int, step: int) -> Matrix | None:
    """The layout of an array whose last two axes are a matrix; None if the library cannot read it.

    The library reads contiguous lines at equal distances. `address` is where the first matrix begins; `step` is the
    number of bytes to the next one.
    """
    (rows, columns), item = array.shape[-2:], array.itemsize
    by_row, by_column = array.strides[-2:]
    if step < 0 or step % item:
        return None
    beside = step // item, min(256, address & -address)
    if (by_column == item or columns == 1) and (by_row >= columns * item or rows == 1) and by_row % item == 0:
        return Matrix(rows, columns, max(columns, by_row // item), False, *beside)
    if (by_row == item or rows == 1) and (by_column >= rows * item or columns == 1) and by_column % item == 0:
        return Matrix(rows, columns, max(rows, by_column // item), True, *beside)
    return None


def even_steps(shape: Sequence[int], arrays: Sequence[np.ndarray]) -> tuple[int, list[int]] | None:
    """The number of matrices in stacks of this shape, and for each array the bytes from a matrix to the next.

    The bytes are 0 for an array that has the same matrix for all. None if the distance is not always the same.
    """
    count, steps = 1, [0] * len(arrays)
    for axis, size in enumerate(shape):
        along = [batch_stride(array, axis, len(shape)) for array in arrays]
        if size == 1:
            continue
        if count > 1 and any(outer != inner * size for outer, inner in zip(steps, along, strict=True)):
            return None
        count, steps = count * size, along
    return count, steps


def batch_stride(array: np.ndarray, axis: int, batches: int) -> int:
    """The stride in bytes of a stack along one of `batches` batch axes; 0 if the array does not have this axis."""
    axis += array.ndim - 2 - batches
    return array.strides[axis] if axis >= 0 and array.shape[axis] > 1 else 0
