"""Layouts: a product as cuBLASLt is asked for it: how its matrices lie, and what is done with it on its way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from ..kernels import DType

__all__ = ["Epilogue", "Matrix", "Product", "batch_stride", "even_steps", "matrix_of"]


class Epilogue(IntFlag):
    """What the library does with a product on its way out, by its own numbers."""

    NONE = 0
    RELU = 2
    BIAS = 4
    """Add a vector, an element for each column."""
    DRELU = 8 | 128
    """Keep what a mask says, and put 0 elsewhere."""
    SUMS = 16
    """Write the sums of the columns into a vector."""
    MASK = 128
    """Write, or read, a bit for each element: was it positive? Rows are whole, and take multiples of 128 bits."""

    @property
    def words(self) -> str:
        """What it does, in words."""
        both = {Epilogue.BIAS: "bias", Epilogue.RELU: "ReLU", Epilogue.RELU | Epilogue.MASK: "its mask"}
        back = {Epilogue.DRELU: "ReLU's gradient", Epilogue.SUMS: "the sums of its columns"}
        return " and ".join(word for part, word in (both | back).items() if part in self)


@dataclass(frozen=True)
class Matrix:
    """How a matrix lies: rows and columns of what is multiplied, elements from line to line, and whether lines are
    its columns; elements from a matrix to the next, and the largest power of 2 up to 256 that its address divides by.
    """

    rows: int
    columns: int
    line: int
    transposed: bool
    step: int = 0
    aligned: int = 256


@dataclass(frozen=True)
class Product:
    """`x @ w` into `out`; or `onto` it, times a scalar on the device; or with an epilogue, whose vector and mask lie at
    addresses. Of so many matrices one after the other."""

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
    """How an array lies, when the library can read it: lines of neighbouring elements at equal distances.

    Its last two axes are a matrix; it begins at an address, and the next one so many bytes further on.
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
    """How many matrices stacks of that shape have, and how many bytes each array goes on from one to the next.

    An array may have one matrix for many. None where the bytes are not always the same.
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
    """How many bytes a stack of matrices moves along one of so many axes of batches; one without it stays."""
    axis += array.ndim - 2 - batches
    return array.strides[axis] if axis >= 0 and array.shape[axis] > 1 else 0
