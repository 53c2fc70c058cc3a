"""Windows: convolutions and pooling as folds over the taps of a window, straight from the images.

`Window` sources read images where the window lies inside and zero elsewhere. What a transposed op lays down, each
element of its result gathers: from the places whose windows have it, those where a division leaves no rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.formula import name, parse
from ..kernels import NoKernel
from .folds import Folded, lower_fold
from .maps import lower_map
from .site import Site
from .sources import Coordinate, Slide, Window
from .writer import Launch

__all__ = [
    "lower_conv",
    "lower_conv_transpose",
    "lower_conv_weight",
    "lower_max_pool",
    "lower_window_spread",
    "lower_window_sum",
]

Arrays = tuple[np.ndarray, ...]
_PRODUCT = parse("x * w")


def lower_conv(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> list[Launch]:
    """For each sample, filter and place the sum over channels and taps; and the bias."""
    x, weights, *bias = ins
    axes = _Axes(node, out, 3)
    channels, filters = x.shape[1] // node.groups, out.shape[1] // node.groups
    shape = (len(out), node.groups, filters, *out.shape[2:], channels, *axes.kernel)
    dims = (declared.shape[0], node.groups, filters, *declared.shape[2:], channels, *axes.kernel)
    seen = axes.seen(x, {0: x.strides[0], 1: channels * x.strides[1], axes.inner: x.strides[1]}, node.window)
    moves = {1: filters * weights.strides[0], 2: weights.strides[0], axes.inner: weights.strides[1]}
    launches = axes.fold(seen, axes.taps_of(weights, shape, moves), shape, dims, at)
    return launches + _biased(out, bias, declared, at)


def lower_conv_transpose(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> list[Launch]:
    """For each position of an image the sum over channels and the taps that were laid on it; and the bias."""
    x, weights, *bias = ins
    axes = _Axes(node, out, 3)
    channels, filters = x.shape[1] // node.groups, out.shape[1] // node.groups
    shape = (len(out), node.groups, filters, *out.shape[2:], channels, *axes.kernel)
    dims = (declared.shape[0], node.groups, filters, *declared.shape[2:], channels, *axes.kernel)
    moves = {0: x.strides[0], 1: channels * x.strides[1], axes.inner: x.strides[1]}
    seen = axes.laid(x, moves, node.window)
    moves = {1: channels * weights.strides[0], axes.inner: weights.strides[0], 2: weights.strides[1]}
    launches = axes.fold(seen, axes.taps_of(weights, shape, moves), shape, dims, at)
    return launches + _biased(out, bias, declared, at)


def lower_conv_weight(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> list[Launch]:
    """For each filter, channel and tap the sum over samples and places."""
    x, g = ins
    window, d = node.window, g.ndim - 2
    channels, filters = out.shape[1], out.shape[0] // node.groups
    shape = (node.groups, filters, channels, *out.shape[2:], len(x), *g.shape[2:])
    dims = (node.groups, filters, channels, *out.shape[2:], declared.x.shape[0], *declared.g.shape[2:])
    ndim, sample = len(shape), 3 + d
    slides = tuple(
        Slide(
            _steps(ndim, {3 + a: window.dilation[a], sample + 1 + a: window.stride[a]}),
            -window.padding[a][0],
            x.shape[2 + a],
            x.strides[2 + a],
        )
        for a in range(d)
    )
    moves = {0: channels * x.strides[1], 2: x.strides[1], sample: x.strides[0]}
    seen = Window(x, _steps(ndim, moves).steps, slides)
    moves = {0: filters * g.strides[1], 1: g.strides[1], sample: g.strides[0]}
    moves |= {sample + 1 + a: g.strides[2 + a] for a in range(d)}
    back = np.lib.stride_tricks.as_strided(g, shape, _steps(ndim, moves).steps, writeable=False)
    result = _split(out, (node.groups, filters, channels, *out.shape[2:], *(1,) * (1 + d)))
    how = Folded("add", _PRODUCT, ("x", "w"), out.dtype)
    return lower_fold(how, dims, shape, range(sample, ndim), [seen, back], result, at)


def lower_window_sum(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> list[Launch]:
    """For each place the sum of what the window sees."""
    return _pooled(node, "add", 0, ins[0], out, declared, at)


def lower_max_pool(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> list[Launch]:
    """For each place the largest of what the window sees; what lies outside is smaller than all."""
    lowest = -np.inf if out.dtype.kind == "f" else int(np.iinfo(out.dtype).min)
    return _pooled(node, "maximum", lowest, ins[0], out, declared, at)


def lower_window_spread(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> list[Launch]:
    """For each position the sum of what came back for the places that see it."""
    [g] = ins
    axes = _Axes(node, out, 2)
    seen = axes.laid(g, {0: g.strides[0], 1: g.strides[1]}, node.window)
    how = Folded("add", name("x"), ("x",), out.dtype)
    return _over_taps(axes, how, seen, out, declared, at)


def _pooled(
    node: Any, ufunc: str, outside: float, x: np.ndarray, out: np.ndarray, declared: Any, at: Site
) -> list[Launch]:
    axes = _Axes(node, out, 2)
    seen = axes.seen(x, {0: x.strides[0], 1: x.strides[1]}, node.window, outside)
    return _over_taps(axes, Folded(ufunc, name("x"), ("x",), out.dtype), seen, out, declared, at)


def _over_taps(axes: _Axes, how: Folded, seen: Window, out: np.ndarray, declared: Any, at: Site) -> list[Launch]:
    shape, dims = (*out.shape, *axes.kernel), (*declared.shape, *axes.kernel)
    result = out[(..., *(None,) * len(axes.kernel))]
    return lower_fold(how, dims, shape, range(out.ndim, len(shape)), [seen], result, at)


class _Axes:
    """The axes of a fold over a window: `first` of samples and channels, places, then channels, if any, and taps."""

    def __init__(self, node: Any, out: np.ndarray, first: int) -> None:
        self.kernel: tuple[int, ...] = node.window.kernel
        self.out, self.first, self.d = out, first, len(self.kernel)
        self.inner = first + self.d
        self.taps = self.inner + (1 if first == 3 else 0)
        self.ndim = self.taps + self.d

    def seen(self, x: np.ndarray, moves: dict[int, int], window: Any, outside: float = 0) -> Window:
        """Images under the window: tap k of place p is at `p * stride + k * dilation - padding`."""
        slides = tuple(
            Slide(
                _steps(self.ndim, {self.first + a: window.stride[a], self.taps + a: window.dilation[a]}),
                -window.padding[a][0],
                x.shape[2 + a],
                x.strides[2 + a],
            )
            for a in range(self.d)
        )
        return Window(x, _steps(self.ndim, moves).steps, slides, outside)

    def laid(self, x: np.ndarray, moves: dict[int, int], window: Any) -> Window:
        """Values of places as positions have them: tap k on i is of place `(i + padding - k * dilation) / stride`."""
        slides = tuple(
            Slide(
                _steps(self.ndim, {self.first + a: 1, self.taps + a: -window.dilation[a]}),
                window.padding[a][0],
                x.shape[2 + a],
                x.strides[2 + a],
                window.stride[a],
            )
            for a in range(self.d)
        )
        return Window(x, _steps(self.ndim, moves).steps, slides)

    def taps_of(self, weights: np.ndarray, shape: Sequence[int], moves: dict[int, int]) -> np.ndarray:
        """Filters seen along all axes."""
        moves = moves | {self.taps + a: weights.strides[2 + a] for a in range(self.d)}
        return np.lib.stride_tricks.as_strided(weights, shape, _steps(self.ndim, moves).steps, writeable=False)

    def fold(
        self, seen: Window, weights: np.ndarray, shape: Sequence[int], dims: Sequence[Any], at: Site
    ) -> list[Launch]:
        """The sum over channels and taps of what is seen times the filters."""
        result = _split(self.out, (*shape[: self.inner], *(1,) * (1 + self.d)))
        how = Folded("add", _PRODUCT, ("x", "w"), self.out.dtype)
        return lower_fold(how, dims, shape, range(self.inner, self.ndim), [seen, weights], result, at)


def _steps(ndim: int, moves: dict[int, int]) -> Coordinate:
    return Coordinate(tuple(moves.get(axis, 0) for axis in range(ndim)))


def _split(out: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The result with its channels in groups."""
    if not out.flags.c_contiguous:
        raise NoKernel("a convolution into a result that does not lie densely")
    return out.reshape(shape)


def _biased(out: np.ndarray, bias: Sequence[np.ndarray], declared: Any, at: Site) -> list[Launch]:
    if not bias:
        return []
    along = bias[0][(slice(None), *(None,) * (out.ndim - 2))]
    seen = np.broadcast_to(along, out.shape)
    return lower_map(parse("x + b"), ("x", "b"), declared.shape, (out, seen), out, at)
