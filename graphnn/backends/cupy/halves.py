"""Halves: the kernels that round float32 to bfloat16, kept as the bits of its upper half, and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ...ir.spec import Dim
from ..nests import Axis, make_axes
from .places import Walk
from .site import Site
from .writer import Kernel, Launch, Writer, launch

__all__ = ["lower_bfloat16"]

_FLOAT, _HALF = np.dtype(np.float32), np.dtype(np.uint16)


def lower_bfloat16(dims: Sequence[Dim], x: np.ndarray, out: np.ndarray, at: Site) -> list[Launch]:
    """The launch that writes the upper halves of floats, rounded to nearest, ties to even; or from such the floats."""
    if not out.size:
        return []
    moved = [[out.strides[a], x.strides[a]] for a in range(out.ndim)]
    axes, words = make_axes(dims, out.shape, moved, (out.dtype, x.dtype))
    return [launch(_kernel(axes, out.dtype == _HALF), [at(out), at(x), *words], out.size)]


@cache
def _kernel(axes: tuple[Axis, ...], narrow: bool) -> Kernel:
    w = Writer()
    result, source = (_HALF, _FLOAT) if narrow else (_FLOAT, _HALF)
    out, x = w.pointer(result, written=True), w.pointer(source)
    walk = Walk(w, axes, [result.itemsize, source.itemsize])
    to, place = walk.offsets(w.thread(walk.count))
    if narrow:
        w.line(f"const float value = *at({x}, {place});")
        w.line("const unsigned bits = __float_as_uint(value), half = 0x7fff + (bits >> 16 & 1);")
        w.line(f"*at({out}, {to}) = value != value ? 0x7fc0 : (bits + half) >> 16;")
    else:
        w.line(f"*at({out}, {to}) = __uint_as_float((unsigned)*at({x}, {place}) << 16);")
    return w.kernel()
