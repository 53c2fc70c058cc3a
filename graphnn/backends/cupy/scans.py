"""Scans: kernels in which a thread walks along one line, for running sums and products and the places of extremes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ...ir.spec import Dim
from ..kernels import DType
from ..nests import Axis, line_axes, make_axes
from .folds import both, neutral
from .places import Walk
from .site import Site
from .types import convert, is_half, load, number, register_type, stored
from .writer import Kernel, Launch, Writer, launch

__all__ = ["lower_extreme", "lower_scan"]


def lower_scan(
    ufunc: str,
    x: np.ndarray,
    out: np.ndarray,
    axis: int,
    exclusive: bool,
    reverse: bool,
    dims: Sequence[Dim],
    at: Site,
) -> list[Launch]:
    """The launch that writes the running fold of `x` along an axis into `out`."""
    if not out.size:
        return []
    if reverse:
        turned = (*(slice(None),) * axis, slice(None, None, -1))
        x, out = x[turned], out[turned]
    axes, words, lines = line_axes(dims, out.shape, axis, (out, x))
    kernel = _scan_kernel(ufunc, exclusive, axes, out.dtype, x.dtype)
    return [launch(kernel, [at(out), at(x), *words, out.shape[axis], out.strides[axis], x.strides[axis]], lines)]


@cache
def _scan_kernel(ufunc: str, exclusive: bool, axes: tuple[Axis, ...], result: DType, source: DType) -> Kernel:
    w = Writer()
    out, x = w.pointer(result, written=True), w.pointer(source)
    walk = Walk(w, axes, [result.itemsize, source.itemsize])
    count, move_out, move_x = w.word(), w.word(), w.word()
    to, begin = walk.offsets(w.thread(walk.count))
    carried = np.dtype(np.float32) if is_half(result) else result
    kind = register_type(carried)
    w.line(f"{kind} total = {number(neutral(ufunc, carried), carried)};")
    store = f"*at({out}, {to} + i * {move_out}) = {stored(convert('total', carried, result), result)};"
    with w.braces(f"for (long long i = 0; i < {count}; i++)"):
        if exclusive:
            w.line(store)
        value = load(f"*at({x}, {begin} + i * {move_x})", source)
        w.line(f"const {kind} value = {convert(f'({value})', source, carried)};")
        w.line(f"total = {both(ufunc, carried, 'total', 'value')};")
        if not exclusive:
            w.line(store)
    return w.kernel()


def lower_extreme(
    function: str,
    last: bool,
    x: np.ndarray,
    over: Sequence[int],
    out: np.ndarray,
    dims: Sequence[Dim],
    at: Site,
) -> list[Launch]:
    """The launch that writes where the extreme of `x` over some axes stands, counted in C order; `out` keeps them."""
    if not out.size:
        return []
    dtypes = (out.dtype, x.dtype)

    def walked(chosen: list[int], move_out: bool) -> tuple[tuple[Axis, ...], list[int]]:
        strides = [[out.strides[a] if move_out else 0, x.strides[a]] for a in chosen]
        return make_axes([dims[a] for a in chosen], [x.shape[a] for a in chosen], strides, dtypes)

    kept, words = walked([a for a in range(x.ndim) if a not in over], True)
    searched, more = walked(sorted(over), False)
    kernel = _extreme_kernel(function, last, kept, searched, out.dtype, x.dtype)
    return [launch(kernel, [at(out), at(x), *words, *more], out.size)]


@cache
def _extreme_kernel(
    function: str, last: bool, kept: tuple[Axis, ...], searched: tuple[Axis, ...], result: DType, source: DType
) -> Kernel:
    w = Writer()
    out, x = w.pointer(result, written=True), w.pointer(source)
    across, along = (Walk(w, axes, [result.itemsize, source.itemsize]) for axes in (kept, searched))
    to, begin = across.offsets(w.thread(across.count))
    kind = register_type(source)
    best = "value >= best" if last else "value > best"
    if function == "argmin":
        best = best.replace(">", "<")
    if source.kind == "f":  # NaN is beyond everything
        best += " || value != value" if last else " || (value != value && best == best)"
        if last:
            best = f"({best}) && (best == best || value != value)"
    w.line(f"{kind} best = {load(f'*at({x}, {begin})', source)};")
    w.line("long long place = 0;")
    with w.braces(f"for (long long i = 1; i < {along.count}; i++)"):
        _, offset = along.offsets("i")
        w.line(f"const {kind} value = {load(f'*at({x}, {begin} + {offset})', source)};")
        w.line(f"if ({best}) {{ best = value; place = i; }}")
    w.line(f"*at({out}, {to}) = place;")
    return w.kernel()
