"""Checks of labels and of finite values, and the kernel that takes elements by index."""

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
    """The launch that writes into each element of `out` an element of `x` that `index` chooses.

    `x` and `index` are views in the shape of `out`, with strides of 0 along axes that they do not have. For each
    element of `out`, the address in `x` is that of the view's element plus `index * step`, where `step` is the stride
    in bytes of the indexed axis. The kernel does not check the range of indices: that is done before.
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
    """The launch that writes `code` into the status, which stops the program, if a label is not in 0..classes-1."""
    if not labels.size:
        return []
    moved = [[stride] for stride in labels.strides]
    axes, words = make_axes(dims, labels.shape, moved, (labels.dtype,))
    return [launch(_check_kernel(axes, labels.dtype, "label"), [at(labels), *words, classes, code], labels.size, code)]


def lower_finite_check(array: np.ndarray, code: int, at: Site) -> list[Launch]:
    """The launch that writes `code` into the status, which stops the program, if an element is NaN or infinite."""
    if not array.size:
        return []
    moved = [[stride] for stride in array.strides]
    sizes = [Size(f"n{axis}") for axis in range(array.ndim)]  # named sizes: one kernel serves all batch sizes
    axes, words = make_axes(sizes, array.shape, moved, (array.dtype,))
    return [launch(_check_kernel(axes, array.dtype, "finite"), [at(array), *words, code], array.size, code)]


@cache
def _check_kernel(axes: tuple[Axis, ...], dtype: DType, what: str) -> Kernel:
    """The kernel of a check. Threads that find something wrong write the same code, so their order has no effect."""
    w = Writer()
    place = w.pointer(dtype)
    walk = Walk(w, axes, [dtype.itemsize])
    classes = w.word() if what == "label" else ""
    code = w.word()
    [offset] = walk.offsets(w.thread(walk.count))
    value = w.put(memory_type(dtype), f"*at({place}, {offset})")
    if what == "label":
        wrong = f"(unsigned long long){value} >= {classes}"  # negative labels are large unsigned numbers
    elif dtype.itemsize == 2:
        wrong = f"({value} & 0x7c00) == 0x7c00"  # NaN and infinity have an exponent of ones only
    else:
        wrong = f"!({value} - {value} == 0)"
    w.line(f"if ({wrong}) *status = {code};")
    return w.kernel()
