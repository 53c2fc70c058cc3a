# ruff: noqa: N802 - the library has names of its own
"""A stand-in for cuBLASLt: it reads layouts and descriptors literally, column by column, and computes with NumPy."""

import ctypes
from dataclasses import dataclass, field
from functools import partial

import numpy as np

REAL = {0: np.float32, 1: np.float64, 2: np.float16}
TRANSPOSE_A, TRANSPOSE_B, POINTERS, EPILOGUE, VECTOR, MASK, MASK_LINE = 3, 4, 2, 7, 8, 11, 12
EIGHT_BYTES = (VECTOR, MASK, MASK_LINE)
BIAS, RELU, RELU_BIAS, RELU_AUX, RELU_AUX_BIAS, DRELU, DRELU_BGRAD = 4, 2, 6, 130, 134, 136, 152
WORKSPACE, ALIGNED = 1, (5, 6, 7, 8)


@dataclass
class Layout:
    """A matrix of the library: rows and columns of its own, which lie column by column."""

    real: type
    rows: int
    columns: int
    line: int
    batches: int = 1
    step: int = 0

    def at(self, address):
        """The matrices there."""
        assert self.line >= self.rows, "columns overlap"
        count = self.step * (self.batches - 1) + self.line * (self.columns - 1) + self.rows
        item = np.dtype(self.real).itemsize
        flat = np.ctypeslib.as_array((ctypes.c_uint8 * (count * item)).from_address(address)).view(self.real)
        strides = (item * self.step, item, item * self.line)
        return np.lib.stride_tricks.as_strided(flat, (self.batches, self.rows, self.columns), strides)


@dataclass
class Descriptor:
    """What a product is."""

    compute: int
    real: type
    attributes: dict[int, int] = field(default_factory=dict)


class Lt:
    """The functions that the backend calls, over objects that are found by number.

    It can be each kind of library: `epilogues` are those that it has algorithms for; its ReLU makes NaN or 0 of NaN,
    its mask has 0 or 1 where a number is 0, and its bits in one order or the other; its gradient of ReLU makes 0 or NaN
    of NaN where the mask has 0.
    """

    def __init__(self, world):
        self.world, self.algorithms = world, 1
        self.epilogues = {BIAS, RELU, RELU_BIAS, RELU_AUX, RELU_AUX_BIAS, DRELU, DRELU_BGRAD}
        self.hides_nan, self.zero_is_positive, self.selects, self.order = False, False, True, "little"
        self.objects, self.products = {}, []
        self.fused = []
        """The epilogues of products that ran."""

    def _new(self, place, made):
        self.objects[len(self.objects) + 1] = made
        place._obj.value = len(self.objects)
        return 0

    def _of(self, handle):
        return self.objects[handle.value]

    def cublasLtCreate(self, place):
        return self._new(place, "handle")

    def cublasLtMatrixLayoutCreate(self, place, real, rows, columns, line):
        return self._new(place, Layout(REAL[real.value], rows.value, columns.value, line.value))

    def cublasLtMatrixLayoutSetAttribute(self, of, attribute, value, size):
        name, expected = {5: ("batches", 4), 6: ("step", 8)}[attribute.value]
        assert size.value == expected
        setattr(self._of(of), name, value._obj.value)
        return 0

    def cublasLtMatmulDescCreate(self, place, compute, real):
        return self._new(place, Descriptor(compute.value, REAL[real.value]))

    def cublasLtMatmulDescSetAttribute(self, of, attribute, value, size):
        assert size.value == (8 if attribute.value in EIGHT_BYTES else 4)
        self._of(of).attributes[attribute.value] = value._obj.value
        return 0

    def cublasLtMatmulPreferenceCreate(self, place):
        return self._new(place, {})

    def cublasLtMatmulPreferenceSetAttribute(self, of, attribute, value, size):
        preference = self._of(of)
        assert size.value == (8 if attribute.value == WORKSPACE else 4)
        preference[attribute.value] = value._obj.value
        return 0

    def cublasLtMatmulAlgoGetHeuristic(self, handle, operation, a, b, c, d, preference, wanted, found, count):
        how = self._of(preference)
        assert self._of(handle) == "handle" and how.keys() == {WORKSPACE, *ALIGNED}
        assert ctypes.sizeof(found._obj) == 96
        epilogue = self._of(operation).attributes.get(EPILOGUE)
        found._obj.algorithm[:4] = [how[attribute] for attribute in ALIGNED]
        count._obj.value = min(wanted.value, self.algorithms) * (epilogue is None or epilogue in self.epilogues)
        return 0

    def cublasLtMatmul(self, handle, operation, alpha, a, la, b, lb, beta, c, lc, d, ld, found, space, size, stream):
        how = self._of(operation)
        real = ctypes.c_float if how.real is np.float32 else ctypes.c_double
        for place, aligned in zip((a, b, c, d), found._obj.algorithm, strict=False):
            assert place.value % aligned == 0, "the algorithm wants addresses that are aligned"

        def scalar(pointer):
            if how.attributes[POINTERS]:
                return real.from_address(pointer.value).value  # when it runs, from the device
            return pointer._obj.value

        by_value = None if how.attributes[POINTERS] else (scalar(alpha), scalar(beta))
        self.products.append(how.compute)
        self.world.launch(partial(self._run, how, alpha, beta, by_value, scalar, a, la, b, lb, c, lc, d, ld))
        return 0

    def _run(self, how, alpha, beta, by_value, scalar, a, la, b, lb, c, lc, d, ld):
        x, y, onto, out = (self._of(layout).at(p.value) for layout, p in ((la, a), (lb, b), (lc, c), (ld, d)))
        x, y = (
            m.transpose(0, 2, 1) if how.attributes[which] else m for m, which in ((x, TRANSPOSE_A), (y, TRANSPOSE_B))
        )
        factor, share = by_value or (scalar(alpha), scalar(beta))
        x, y = (m.astype(np.result_type(how.real, m.dtype), copy=False) for m in (x, y))  # halves in single precision
        with np.errstate(invalid="ignore"):
            out[...] = factor * (x @ y) + (share * onto if share else 0)
        if EPILOGUE in how.attributes:
            self.fused.append(how.attributes[EPILOGUE])
            self._finish(how.attributes, out[0])

    def _finish(self, given, out):
        """An epilogue, on a matrix of the library, whose columns are our rows; a vector has a number for each row."""
        epilogue, vector, mask = given[EPILOGUE], None, None
        if VECTOR in given:
            vector = np.ctypeslib.as_array((ctypes.c_uint8 * (len(out) * out.itemsize)).from_address(given[VECTOR]))
            vector = vector.view(out.dtype)
        if MASK in given:
            line = given[MASK_LINE]
            assert line % 128 == 0 and line >= len(out) and given[MASK] % 16 == 0
            bits = (ctypes.c_uint8 * (line // 8 * out.shape[1])).from_address(given[MASK])
            mask = np.ctypeslib.as_array(bits).reshape(out.shape[1], line // 8)
        if epilogue in (BIAS, RELU_BIAS, RELU_AUX_BIAS):
            out += vector[:, None]
        if epilogue in (RELU_AUX, RELU_AUX_BIAS):
            mask[...] = np.packbits((out > 0) | (self.zero_is_positive & (out == 0)), axis=0, bitorder=self.order).T
        if epilogue in (RELU, RELU_BIAS, RELU_AUX, RELU_AUX_BIAS):
            out[...] = np.fmax(out, 0) if self.hides_nan else np.maximum(out, 0)
        if epilogue in (DRELU, DRELU_BGRAD):
            kept = np.unpackbits(mask.T, axis=0, bitorder=self.order, count=len(out))
            out[...] = np.where(kept, out, 0) if self.selects else out * kept
        if epilogue == DRELU_BGRAD:
            vector[...] = out.sum(axis=1)
