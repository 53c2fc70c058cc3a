"""Puts: the kernel that puts elements where an index says: a thread goes along each line, so they come in order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ...ir.spec import Dim
from ..kernels import DType
from ..nests import Axis, line_axes
from .folds import both
from .places import Walk
from .site import Site
from .types import load, register_type, stored
from .writer import Kernel, Launch, Writer, launch

__all__ = ["lower_put"]


def lower_put(
    out: np.ndarray,
    index: np.ndarray,
    updates: np.ndarray,
    axis: int,
    ufunc: str | None,
    dims: Sequence[Dim],
    at: Site,
) -> list[Launch]:
    """The launch that puts `updates` into `out`, each where its index says along the axis, or combines them with what
    is there by a ufunc. Indices are checked beforehand.
    """
    if not updates.size:
        return []
    arrays = (out, index, updates)
    axes, words, lines = line_axes(dims, index.shape, axis, arrays)
    words = [*map(at, arrays), *words, index.shape[axis], *(array.strides[axis] for array in arrays)]
    return [launch(_put_kernel(ufunc, axes, out.dtype, index.dtype), words, lines)]


@cache
def _put_kernel(ufunc: str | None, axes: tuple[Axis, ...], dtype: DType, places: DType) -> Kernel:
    w = Writer()
    out, index, updates = w.pointer(dtype, written=True), w.pointer(places), w.pointer(dtype)
    walk = Walk(w, axes, [dtype.itemsize, places.itemsize, dtype.itemsize])
    count, move_out, move_index, move_update = (w.word() for _ in range(4))
    to, place, update = walk.offsets(w.thread(walk.count))
    kind = register_type(dtype)
    with w.braces(f"for (long long i = 0; i < {count}; i++)"):
        w.line(f"const long long there = {to} + (long long)*at({index}, {place} + i * {move_index}) * {move_out};")
        w.line(f"const {kind} mine = {load(f'*at({updates}, {update} + i * {move_update})', dtype)};")
        value = "mine"
        if ufunc is not None:
            w.line(f"const {kind} before = {load(f'*at({out}, there)', dtype)};")
            value = both(ufunc, dtype, "before", "mine")
        w.line(f"*at({out}, there) = {stored(f'({value})', dtype)};")
    return w.kernel()
