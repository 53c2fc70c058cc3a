"""Pooling: the kernel calls of ops that move a window over images, for arrays of any layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...ir.formula import parse
from ...ir.node import Node
from ...ops.maxpool import MaxPick, MaxPool, MaxUnpool
from ...ops.pool import WindowSpread, WindowSum
from ...ops.window import Window
from ..nests import make_axes
from .maps import lower_map
from .tape import Invocation, address_of
from .windows import ARRAYS, Sliding, Work, window_kernel

__all__ = ["POOLS"]

Arrays = tuple[np.ndarray, ...]


def _lower(work: Work, node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    """The call of a kernel over the places of a window. If it adds to its result, a call before writes zeros."""
    if not out.size:
        return []
    kinds, arrays, dtypes = ARRAYS[work], (out, *ins), (out.dtype, *(x.dtype for x in ins))
    images = [array for array, kind in zip(arrays, kinds, strict=True) if kind == "i"]
    at, window = arrays[kinds.index("p")], node.window
    dims = (declared, *declared.operands)[kinds.index("p")].shape
    edges = node.ceil_mode or any(sum(pair) for pair in window.padding)
    alone = work == "spread" and not edges and _covers(window, out, at)
    moves = [_moves(arrays, kinds, axis, by) for axis, by in enumerate((1, 1, *window.stride))]
    loops = 2 if edges else out.ndim
    axes, words = make_axes(dims[:loops], at.shape[:loops], moves[:loops], dtypes)
    words += _edges(window, images, at, moves) if edges else []
    apart = [image.strides[2 + axis] * d for axis, d in enumerate(window.dilation) for image in images]
    kernel = window_kernel(Sliding(work, dtypes, axes, window.kernel, edges, alone))
    before = [] if kinds[0] == "p" or alone else lower_map(parse("0"), (), declared.shape, (), out)
    return [*before, Invocation(kernel, [*map(address_of, arrays), *apart, *words])]


def _moves(arrays: Sequence[np.ndarray], kinds: str, axis: int, by: int) -> list[int]:
    """The stride of each array from place to place along an axis, in bytes."""
    return [array.strides[axis] * (by if kind == "i" else 1) for array, kind in zip(arrays, kinds, strict=True)]


def _covers(window: Window, image: np.ndarray, at: np.ndarray) -> bool:
    """Do the windows lie side by side, so that each position is in exactly one?"""
    plain = all(
        k == s and (k == 1 or d == 1) for k, s, d in zip(window.kernel, window.stride, window.dilation, strict=True)
    )
    return plain and image.shape[2:] == tuple(n * s for n, s in zip(at.shape[2:], window.stride, strict=True))


def _edges(window: Window, images: list[np.ndarray], at: np.ndarray, moves: list[list[int]]) -> list[int]:
    """The words by which the kernel finds the taps that lie outside the image."""
    firsts = [-before for before, _ in window.padding]
    words = [sum(first * step for first, step in zip(firsts, image.strides[2:], strict=True)) for image in images]
    for a, first in enumerate(firsts):
        words += [at.shape[2 + a], *moves[2 + a], window.stride[a], first, window.dilation[a], images[0].shape[2 + a]]
    return words


POOLS: Mapping[type[Node], Callable[..., list[Invocation]]] = {
    MaxPool: partial(_lower, "maximum"),
    MaxUnpool: partial(_lower, "unpool"),
    MaxPick: partial(_lower, "pick"),
    WindowSum: partial(_lower, "add"),
    WindowSpread: partial(_lower, "spread"),
}
