"""Labels and indices: kernels that check their range, and that take what they point at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ...ir.spec import Dim, Size
from ..kernels import DType
from ..nests import Axis, make_axes
from .places import Walk
from .site import Site
from .types import memory_type
from .writer import Kernel, Launch, Writer, launch

__all__ = ["lower_finite_check", "lower_label_check", "lower_take"]


def lower_take(
    dims: Sequence[Dim], out: np.ndarray, x: np.ndarray, index: np.ndarray, step: int, at: Site
) -> list[Launch]:
    """The launch that writes into each element of `out` the one of `x` that stands `index` steps further.

    `x` and `index` have the shape of `out`, with strides of 0 where they do not move; `step` is in bytes. Indices
    are checked beforehand.
    """
    if not out.size:
        return []
    arrays = (out, x, index)
    moved = [[a.strides[axis] for a in arrays] for axis in range(out.ndim)]
    axes, words = make_axes(dims, out.shape, moved, tuple(a.dtype for a in arrays))
    kernel = _take_kernel(axes, out.dtype, index.dtype)
    return [launch(kernel, [*map(at, arrays), *words, step], out.size)]


@cache
def _take_kernel(axes: tuple[Axis, ...], dtype: DType, labels: DType) -> Kernel:
    w = Writer()
    out, x, index = w.pointer(dtype, written=True), w.pointer(dtype), w.pointer(labels)
    walk = Walk(w, axes, [dtype.itemsize, dtype.itemsize, labels.itemsize])
    step = w.word()
    to, source, label = walk.offsets(w.thread(walk.count))
    w.line(f"*at({out}, {to}) = *at({x}, {source} + (long long)*at({index}, {label}) * {step});")
    return w.kernel()


def lower_label_check(dims: Sequence[Dim], labels: np.ndarray, classes: int, code: int, at: Site) -> list[Launch]:
    """The launch that stops the program, with a code, when a label is none of 0..classes-1."""
    if not labels.size:
        return []
    moved = [[stride] for stride in labels.strides]
    axes, words = make_axes(dims, labels.shape, moved, (labels.dtype,))
    return [launch(_check_kernel(axes, labels.dtype, "label"), [at(labels), *words, classes, code], labels.size, code)]


def lower_finite_check(array: np.ndarray, code: int, at: Site) -> list[Launch]:
    """The launch that stops the program, with a code, when an element is NaN or infinite."""
    if not array.size:
        return []
    moved = [[stride] for stride in array.strides]
    sizes = [Size(f"n{axis}") for axis in range(array.ndim)]  # any: one kernel for all batches
    axes, words = make_axes(sizes, array.shape, moved, (array.dtype,))
    return [launch(_check_kernel(axes, array.dtype, "finite"), [at(array), *words, code], array.size, code)]


@cache
def _check_kernel(axes: tuple[Axis, ...], dtype: DType, what: str) -> Kernel:
    """Every thread that finds something wrong writes the same code, so it does not matter which is last."""
    w = Writer()
    place = w.pointer(dtype)
    walk = Walk(w, axes, [dtype.itemsize])
    classes = w.word() if what == "label" else ""
    code = w.word()
    [offset] = walk.offsets(w.thread(walk.count))
    value = w.put(memory_type(dtype), f"*at({place}, {offset})")
    if what == "label":
        wrong = f"(unsigned long long){value} >= {classes}"  # as an unsigned number -1 is the largest
    elif dtype.itemsize == 2:
        wrong = f"({value} & 0x7c00) == 0x7c00"  # an exponent of ones
    else:
        wrong = f"!({value} - {value} == 0)"
    w.line(f"if ({wrong}) *status = {code};")
    return w.kernel()
