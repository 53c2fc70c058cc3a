"""Maxima: kernels of what belongs to the largest element of each window: picked there, or laid down there.

Of equal maxima the first tap counts, as `ops/maxpool.py` has it. What lies outside an image is NaN, which equals
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..kernels import DType, NoKernel
from ..nests import Axis, make_axes
from .places import Walk
from .site import Site
from .sources import (
    Coordinate,
    Kind,
    Slide,
    Source,
    Window,
    flat,
    item_bytes,
    kinds_of,
    layouts,
    moves,
    parameters,
    read,
    words_of,
)
from .types import is_half, number, register_type, rounded, stored
from .writer import Kernel, Launch, Writer, launch

__all__ = ["lower_max_pick", "lower_max_unpool"]

Arrays = tuple[np.ndarray, ...]


def lower_max_pick(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> list[Launch]:
    """For each place what stands in `v` where `x` has the maximum `y` of the window."""
    v, x, y = ins
    _require_floats(x)
    groups = _groups(out, declared, node.window.kernel, 1)
    ndim, taps = out.ndim + len(node.window.kernel), out.ndim
    slides = _slides(node.window, x, ndim, {2: node.window.stride, taps: node.window.dilation}, -1)
    values = _slides(node.window, v, ndim, {2: node.window.stride, taps: node.window.dilation}, -1)
    sources: list[Source] = [_window(x, slides, ndim, np.nan), _window(v, values, ndim, 0), _along(y, ndim)]
    return _launched(_pick_kernel, groups, sources, out, at)


def lower_max_unpool(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> list[Launch]:
    """For each position what came back for those places whose window has its maximum there, and at no earlier tap."""
    g, x, y = ins
    _require_floats(x)
    window, taps = node.window, out.ndim
    d = len(window.kernel)
    groups = _groups(out, declared, window.kernel, 2)
    ndim = out.ndim + 2 * d
    back = tuple(-n for n in window.dilation)
    laid = [_slides(window, a, ndim, {2: (1,) * d, taps: back}, 1, window.stride) for a in (g, y)]
    earlier = _slides(window, x, ndim, {2: (1,) * d, taps: back, taps + d: window.dilation}, 0)
    sources: list[Source] = [
        _window(g, laid[0], ndim, 0), _window(y, laid[1], ndim, np.nan), _along(x, ndim),
        _window(x, earlier, ndim, np.nan),
    ]  # fmt: skip
    return _launched(_unpool_kernel, groups, sources, out, at)


def _require_floats(x: np.ndarray) -> None:
    if x.dtype.kind != "f":
        raise NoKernel("the places of maxima among integers")


Group = tuple[tuple[Any, ...], tuple[int, ...]]
"""Axes: their sizes as declared, and in numbers."""


def _groups(out: np.ndarray, declared: Any, kernel: tuple[int, ...], times: int) -> list[Group]:
    return [(declared.shape, out.shape), *[(kernel, kernel)] * times]


def _slides(
    window: Any,
    x: np.ndarray,
    ndim: int,
    steps: dict[int, tuple[int, ...]],
    pads: int,
    divisors: tuple[int, ...] | None = None,
) -> tuple[Slide, ...]:
    """A slide for each axis of positions; `steps` has the first axis of a group, and how far it moves each of them."""
    found = []
    for a in range(x.ndim - 2):
        along = {first + a: moved[a] for first, moved in steps.items()}
        coordinate = Coordinate(tuple(along.get(axis, 0) for axis in range(ndim)))
        divisor = 1 if divisors is None else divisors[a]
        found.append(Slide(coordinate, pads * window.padding[a][0], x.shape[2 + a], x.strides[2 + a], divisor))
    return tuple(found)


def _window(x: np.ndarray, slides: tuple[Slide, ...], ndim: int, outside: float) -> Window:
    return Window(x, (*x.strides[:2], *(0,) * (ndim - 2)), slides, outside)


def _along(x: np.ndarray, ndim: int) -> np.ndarray:
    """An array that does not move along taps."""
    strides = (*x.strides, *(0,) * (ndim - x.ndim))
    return np.lib.stride_tricks.as_strided(x, (*x.shape, *(1,) * (ndim - x.ndim)), strides, writeable=False)


def _launched(
    kernel_of: Any, groups: Sequence[Group], sources: Sequence[Source], out: np.ndarray, at: Site
) -> list[Launch]:
    if not out.size:
        return []
    everything = flat([out, *sources])
    kinds = kinds_of(everything)
    axes, words, first = [], list(words_of(everything, at)), 0
    for dims, shape in groups:
        moved = [moves(everything[1:], first + a) for a in range(len(shape))]
        of_out = [out.strides[a] if not first else 0 for a in range(len(shape))]
        found, more = make_axes(dims, shape, [[o, *m] for o, m in zip(of_out, moved, strict=True)], layouts(kinds))
        axes.append(found)
        words += more
        first += len(shape)
    kernel = kernel_of(tuple(axes), out.dtype, kinds[1:])
    return [launch(kernel, words, math.prod(out.shape))]


class _Kernel:
    """What both kernels have: the walks over the groups of axes, and reading at a place in them."""

    def __init__(self, groups: tuple[tuple[Axis, ...], ...], result: DType, kinds: tuple[Kind, ...]) -> None:
        self.w, self.result, self.kinds = Writer(), result, kinds
        self.out, self.given = self.w.pointer(result, written=True), parameters(self.w, kinds)
        sizes = [result.itemsize, *map(item_bytes, kinds)]
        across, *self.taps = (Walk(self.w, axes, sizes) for axes in groups)
        self.base = across.offsets(self.w.thread(across.count))
        carried = np.dtype(np.float32) if is_half(result) else result
        self.w.line(f"{register_type(carried)} total = {number(0, carried)};")

    def read(self, names: Sequence[str], offsets: list[str]) -> dict[str, str]:
        """The values of all sources at a place."""
        found = read(self.w, names, self.given, self.kinds, offsets[1:])
        return {name: register.text for name, register in found.items()}

    def finish(self) -> Kernel:
        """Write the total."""
        self.w.line(f"*at({self.out}, {self.base[0]}) = {stored('total', self.result)};")
        return self.w.kernel()


def _added(one: Sequence[str], other: Sequence[str]) -> list[str]:
    return [f"{a} + {b}" for a, b in zip(one, other, strict=True)]


@cache
def _pick_kernel(groups: tuple[tuple[Axis, ...], ...], result: DType, kinds: tuple[Kind, ...]) -> Kernel:
    k = _Kernel(groups, result, kinds)
    [taps] = k.taps
    with k.w.braces(f"for (long long tap = 0; tap < {taps.count}; tap++)"):
        values = k.read(("x", "v", "y"), _added(k.base, taps.offsets("tap")))
        k.w.line(f"if ({values['x']} == {values['y']}) {{ total = {values['v']}; break; }}")
    return k.finish()


@cache
def _unpool_kernel(groups: tuple[tuple[Axis, ...], ...], result: DType, kinds: tuple[Kind, ...]) -> Kernel:
    k = _Kernel(groups, result, kinds)
    taps, before = k.taps
    names = ("g", "y", "x", "earlier")
    with k.w.braces(f"for (long long tap = 0; tap < {taps.count}; tap++)"):
        here = _added(k.base, taps.offsets("tap"))
        values = k.read(names, here)
        k.w.line(f"bool first = {values['x']} == {values['y']};")
        with k.w.braces("for (long long other = 0; first && other < tap; other++)"):
            seen = k.read(names, _added(here, before.offsets("other")))
            k.w.line(f"first = !({seen['earlier']} == {values['y']});")
        total = rounded(f"total + {values['g']}", result)
        k.w.line(f"if (first) total = {total};")
    return k.finish()
