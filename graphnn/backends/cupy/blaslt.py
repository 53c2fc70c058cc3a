"""cuBLASLt, NVIDIA's library of matrix products, by ctypes: unlike CuPy's own products its calls can be captured.

Matrices lie column by column there. A matrix whose rows lie one after the other is the transpose of such a one, so
`Y = op(X) @ op(W)` is computed as `Y' = op(W)' @ op(X)'`, with W as the library's A and X as its B.
Source: NVIDIA, cuBLAS documentation, chapter "Using the cuBLASLt API"; numbers are those of its header cublasLt.h.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p, sizeof
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from ..kernels import DType
from .layouts import Epilogue, Matrix, Product
from .trial import Memory, refusal

__all__ = ["ONES_BYTES", "PRECISIONS", "BlasLt", "Workspace", "load"]

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
_TRANSPOSE_A, _TRANSPOSE_B, _POINTERS = 3, 4, 2
_EPILOGUE, _VECTOR, _MASK, _MASK_LINE = 7, 8, 11, 12
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


def load() -> Any:
    """The library, where CuPy finds it.

    Raises:
        Exception: when it is not there, in words of whoever looked for it.
    """
    pathfinder = import_module("cuda.pathfinder")
    return ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublasLt").abs_path)


class BlasLt:
    """The library, opened on the device: plans of products, each made once, and their calls."""

    def __init__(self, library: Any, workspace: Workspace, memory: Memory) -> None:
        self._library, self._workspace, self._memory = library, workspace, memory
        self._handle = c_void_p()
        self._check(library.cublasLtCreate(byref(self._handle)), "open")
        self._ones = memory.allocate(ONES_BYTES)
        memory.upload(self._ones.ptr, np.frombuffer(np.float64(1).tobytes() + np.float32(1).tobytes(), np.uint8))
        self._plans: dict[Product, _Plan | None] = {}
        self.refusals: dict[tuple[Epilogue, DType, str], str | None] = {}
        """Why an epilogue is not used for products of a dtype in a precision, of those that were asked for."""

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status:
            raise RuntimeError(f"cuBLASLt: {what}: status {status}, {_STATUS.get(status, 'of unknown meaning')}")

    def multiply(self, product: Product) -> Callable[..., None] | None:
        """What computes a product; None where no algorithm is found, or where its epilogue has not passed its trial.

        It is called with the addresses of x, w, out, of the scalar where there is one, and with the stream's.
        """
        return None if self._refused(product) else self._planned(product)

    def _refused(self, product: Product) -> bool:
        """Is it an epilogue that does not do here what it is needed for? Biases need no trial."""
        if product.epilogue in (Epilogue.NONE, Epilogue.BIAS):
            return False
        asked = product.epilogue, product.dtype, product.precision
        if asked not in self.refusals:
            self.refusals[asked] = refusal(self._planned, self._memory, *asked)
        return self.refusals[asked] is not None

    def _planned(self, product: Product) -> Callable[..., None] | None:
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
        self._set_epilogue(operation, product)
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

    def _set_epilogue(self, operation: c_void_p, product: Product) -> None:
        if product.epilogue:
            self._set("MatmulDesc", operation, _EPILOGUE, c_int32(product.epilogue))
        if product.vector:
            self._set("MatmulDesc", operation, _VECTOR, c_void_p(product.vector))
        if product.mask:
            self._set("MatmulDesc", operation, _MASK, c_void_p(product.mask))
            self._set("MatmulDesc", operation, _MASK_LINE, c_int64(product.out.columns))  # in bits

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
