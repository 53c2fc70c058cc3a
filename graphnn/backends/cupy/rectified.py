"""Products with ReLU, or with its gradient, and the mask that links the two.

Where the library can do so, it applies ReLU before it writes the product. Else a kernel applies ReLU to the product
afterwards. The mask has a bit for each element. In the kernel, each thread writes or reads one byte of the mask, for
eight elements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from ...ir import formula as language
from ..kernels import DType
from .folds import Folded, lower_fold
from .formulas import Register, write_formula
from .layouts import Epilogue
from .maps import lower_map
from .products import lower_product
from .site import Multiply, Site
from .types import number, register_type
from .writer import Kernel, Launch, Writer, launch

__all__ = ["lower_gated", "lower_rectified"]

_BYTE = np.dtype(np.uint8)
Arrays = tuple[np.ndarray, ...]


def lower_rectified(node: Any, ins: Arrays, out: Any, declared: Any, at: Site) -> Sequence[Launch | Multiply]:
    """The launches and products that write `maximum(x @ w + b, 0)`, and its mask if there is one."""
    x, w, *bias = ins
    y, *mask = out if node.masked else (out,)
    if not y.size:
        return []
    vector, bits = bias[0][0] if bias else None, mask[0] if mask else None
    if x.size:
        asked = Epilogue.RELU | (Epilogue.BIAS if bias else 0) | (Epilogue.MASK if mask else 0)
        whole = at.multiply(x, w, y, epilogue=asked, vector=vector, mask=bits)
        if whole is not None:
            return [whole]
    return [*lower_product(x, w, y, at), *_rectify(y, vector, bits, declared, at)]


def _rectify(
    y: np.ndarray, vector: np.ndarray | None, bits: np.ndarray | None, declared: Any, at: Site
) -> Sequence[Launch]:
    """The launches that add the bias to a product and apply ReLU, in place, and write the mask if there is one."""
    if bits is not None:
        words: list[int] = [at(y), at(bits), *([] if vector is None else [at(vector), vector.strides[0]])]
        kernel = _rectify_kernel(y.dtype, vector is not None)
        return [launch(kernel, [*words, bits.shape[1], bits.size], bits.size)]
    if vector is None:
        return lower_map(language.parse("maximum(x, 0)"), ("x",), declared.shape, (y,), y, at)
    rows = np.broadcast_to(vector, y.shape)
    return lower_map(language.parse("maximum(x + b, 0)"), ("x", "b"), declared.shape, (y, rows), y, at)


def lower_gated(node: Any, ins: Arrays, out: Any, declared: Any, at: Site) -> Sequence[Launch | Multiply]:
    """The launches and products that write `x @ w` where the mask has 1, else 0, and any sums of columns."""
    x, w, mask = ins
    y, *sums = out if node.summed else (out,)
    folds: list[Launch] = []
    if sums:
        shape = (declared.x.shape[0], declared.W.shape[1])
        folds = lower_fold(Folded("add", language.name("x"), ("x",), y.dtype), shape, y.shape, (0,), [y], sums[0], at)
    if not y.size:
        return folds
    if x.size and sums:
        both = at.multiply(x, w, y, epilogue=Epilogue.DRELU | Epilogue.SUMS, vector=sums[0][0], mask=mask)
        if both is not None:
            return [both]
    masked = at.multiply(x, w, y, epilogue=Epilogue.DRELU, mask=mask) if x.size else None
    if masked is not None:
        return [masked, *folds]
    gate = launch(_gate_kernel(y.dtype), [at(y), at(mask), mask.size], mask.size)
    return [*lower_product(x, w, y, at), gate, *folds]


@cache
def _rectify_kernel(dtype: DType, biased: bool) -> Kernel:
    w = Writer()
    y, mask = w.pointer(dtype, written=True), w.pointer(_BYTE, written=True)
    bias, move = (w.pointer(dtype), w.word()) if biased else ("", "")
    across, count = w.word(), w.word()
    thread = w.thread(count)
    w.line("unsigned bits = 0;")
    with _elements(w, thread):
        values = {"x": Register(w.put(register_type(dtype), f"{y}[i]"), dtype)}
        if biased:
            place = f"*at({bias}, ({thread} % {across} * 8 + j) * {move})"
            values["b"] = Register(w.put(register_type(dtype), place), dtype)
        body = language.parse("maximum(x + b, 0)" if biased else "maximum(x, 0)")
        result = w.put(register_type(dtype), write_formula(w, body, values, dtype))
        w.line(f"bits |= (unsigned)({result} > 0) << j;")
        w.line(f"{y}[i] = {result};")
    w.line(f"{mask}[{thread}] = (unsigned char)bits;")
    return w.kernel()


@cache
def _gate_kernel(dtype: DType) -> Kernel:
    w = Writer()
    y, mask = w.pointer(dtype, written=True), w.pointer(_BYTE)
    thread = w.thread(w.word())
    bits = w.put("unsigned", f"{mask}[{thread}]")
    with _elements(w, thread):
        w.line(f"if (!({bits} >> j & 1)) {y}[i] = {number(0, dtype)};")
    return w.kernel()


@contextmanager
def _elements(w: Writer, byte: str) -> Iterator[None]:
    """A loop over the eight elements of a byte of the mask: i is the element's number in the array, j its bit."""
    with w.braces("for (int j = 0; j < 8; j++)"):
        w.line(f"const long long i = {byte} * 8 + j;")
        yield
