"""cuBLASLt, NVIDIA's library of matrix products, by ctypes: unlike CuPy's own products its calls can be captured.

Matrices lie column by column there. A matrix whose rows lie one after the other is the transpose of such a one, so
`Y = op(X) @ op(W)` is computed as `Y' = op(W)' @ op(X)'`, with W as the library's A and X as its B.
Source: NVIDIA, cuBLAS documentation, chapter "Using the cuBLASLt API"; numbers are those of its header cublasLt.h.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import byref, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p, sizeof
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from ..kernels import DType

__all__ = [
    "ONES_BYTES", "PRECISIONS", "BlasLt", "Matrix", "Product", "Workspace", "batch_stride", "even_steps", "load",
    "matrix_of",
]  # fmt: skip

PRECISIONS = {"float32": 68, "tf32": 77, "bf16": 75}
"""How products of float32 are computed: as they are; with 10, or with 7 bits of each factor's mantissa, which the
tensor cores take, and sums in float32."""

ONES_BYTES = 16
"""The factor 1 as a product reads it from the device, in float64 and in float32."""
_DOUBLE = 70
_REAL = {2: 2, 4: 0, 8: 1}
"""The library's number for a float of so many bytes."""
_BATCHES, _STEP = 5, 6
_ALIGNED = (5, 6, 7, 8)
"""Of a preference: what the addresses of A, B, C and D are multiples of; the library takes 256 unless it is told."""
_TRANSPOSE_A, _TRANSPOSE_B, _POINTERS, _EPILOGUE, _BIAS = 3, 4, 2, 7, 8
_ADD_BIAS = 4
_ON_DEVICE = 1
_WORKSPACE_LIMIT = 1
_STATUS = {
    1: "not initialised, which is what it says without a GPU", 3: "no memory", 7: "an invalid value",
    8: "not for this GPU", 13: "the GPU failed", 14: "an internal error", 15: "not supported",
}  # fmt: skip


class _Heuristic(ctypes.Structure):
    """What the library answers when it is asked for an algorithm."""

    _fields_ = (
        ("algorithm", c_uint64 * 8), ("workspace", c_size_t), ("state", c_int), ("waves", ctypes.c_float),
        ("reserved", c_int * 4),
    )  # fmt: skip


@dataclass(frozen=True)
class Workspace:
    """Memory of the device that a product may use beside its operands."""

    address: int
    size: int


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
    """`x @ w` into `out`; or `onto` it, times a scalar on the device; or plus the bias that lies at an address. Of so
    many matrices one after the other."""

    x: Matrix
    w: Matrix
    out: Matrix
    dtype: DType
    precision: str
    onto: bool = False
    bias: int = 0
    batches: int = 1


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


def load() -> Any:
    """The library, where CuPy finds it.

    Raises:
        Exception: when it is not there, in words of whoever looked for it.
    """
    pathfinder = import_module("cuda.pathfinder")
    return ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublasLt").abs_path)


class BlasLt:
    """The library, opened on the device: plans of products, each made once, and their calls."""

    def __init__(
        self,
        library: Any,
        workspace: Workspace,
        allocate: Callable[[int], Any],
        upload: Callable[[int, np.ndarray], None],
    ) -> None:
        self._library, self._workspace = library, workspace
        self._handle = c_void_p()
        self._check(library.cublasLtCreate(byref(self._handle)), "open")
        self._ones = allocate(ONES_BYTES)
        upload(self._ones.ptr, np.frombuffer(np.float64(1).tobytes() + np.float32(1).tobytes(), np.uint8))
        self._plans: dict[Product, _Plan | None] = {}

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status:
            raise RuntimeError(f"cuBLASLt: {what}: status {status}, {_STATUS.get(status, 'of unknown meaning')}")

    def multiply(self, product: Product) -> Callable[..., None] | None:
        """What computes a product; None where no algorithm is found.

        It is called with the addresses of x, w, out, of the scalar where there is one, and with the stream's.
        """
        if product not in self._plans:
            self._plans[product] = self._plan(product)
        plan = self._plans[product]
        return None if plan is None else partial(self._call, plan, product.dtype)

    def _plan(self, product: Product) -> _Plan | None:
        dtype, x, w, out = product.dtype, product.x, product.w, product.out
        single = PRECISIONS[product.precision if dtype.itemsize == 4 else "float32"]  # in which halves are added up
        compute, scalar = (_DOUBLE, _REAL[8]) if dtype.itemsize == 8 else (single, _REAL[4])
        real = _REAL[dtype.itemsize]
        operation = self._made("MatmulDesc", c_int(compute), c_int(scalar))
        flags = ((_TRANSPOSE_A, w.transposed), (_TRANSPOSE_B, x.transposed), (_POINTERS, product.onto))
        for attribute, value in flags:
            self._set("MatmulDesc", operation, attribute, c_int32(int(value)))
        if product.bias:
            self._set("MatmulDesc", operation, _EPILOGUE, c_int32(_ADD_BIAS))
            self._set("MatmulDesc", operation, _BIAS, c_void_p(product.bias))
        layouts = [self._layout(real, matrix, product.batches) for matrix in (w, x, out)]
        preference = self._made("MatmulPreference")
        self._set("MatmulPreference", preference, _WORKSPACE_LIMIT, c_uint64(self._workspace.size))
        for attribute, matrix in zip(_ALIGNED, (w, x, out, out), strict=True):
            self._set("MatmulPreference", preference, attribute, c_uint32(matrix.aligned))
        found, count = _Heuristic(), c_int(0)
        a, b, c = layouts
        status = self._library.cublasLtMatmulAlgoGetHeuristic(
            self._handle, operation, a, b, c, c, preference, c_int(1), byref(found), byref(count)
        )
        return None if status or not count.value else _Plan(operation, a, b, c, found)

    def _layout(self, real: int, matrix: Matrix, batches: int = 1) -> c_void_p:
        """The matrix as the library has it: its columns are our lines."""
        rows, columns = matrix.columns, matrix.rows
        if matrix.transposed:
            rows, columns = columns, rows
        made = self._made("MatrixLayout", c_int(real), c_uint64(rows), c_uint64(columns), c_int64(matrix.line))
        if batches > 1:
            self._set("MatrixLayout", made, _BATCHES, c_int32(batches))
            self._set("MatrixLayout", made, _STEP, c_int64(matrix.step))
        return made

    def _made(self, kind: str, *arguments: Any) -> c_void_p:
        made = c_void_p()
        self._check(getattr(self._library, f"cublasLt{kind}Create")(byref(made), *arguments), kind)
        return made

    def _set(self, kind: str, of: c_void_p, attribute: int, value: Any) -> None:
        setter = getattr(self._library, f"cublasLt{kind}SetAttribute")
        self._check(setter(of, c_int(attribute), byref(value), c_size_t(sizeof(value))), f"attribute {attribute}")

    def _call(self, plan: _Plan, dtype: DType, x: int, w: int, out: int, *scalar_and_stream: int) -> None:
        *scalar, stream = scalar_and_stream
        if scalar:
            alpha: Any = c_void_p(scalar[0])
            beta: Any = c_void_p(self._ones.ptr + (0 if dtype.itemsize == 8 else 8))
        else:
            kind = ctypes.c_double if dtype.itemsize == 8 else ctypes.c_float
            alpha, beta = byref(kind(1)), byref(kind(0))
        status = self._library.cublasLtMatmul(
            self._handle, plan.operation, alpha, c_void_p(w), plan.a, c_void_p(x), plan.b, beta,
            c_void_p(out), plan.c, c_void_p(out), plan.c,
            byref(plan.found), c_void_p(self._workspace.address), c_size_t(self._workspace.size), c_void_p(stream),
        )  # fmt: skip
        self._check(status, "product")


@dataclass(frozen=True)
class _Plan:
    """A product as the library knows it: what it is, how its matrices lie, and the algorithm chosen."""

    operation: c_void_p
    a: c_void_p
    b: c_void_p
    c: c_void_p
    found: _Heuristic
