"""Bands: images so laid out that every tap of a window sees its places in one run.

There is a band for each tap along all axes but the first: the image shifted by that tap and cut to the window's
places along those axes, row after row, zeros around. A tap along the first axis begins some rows further on. That is
a copy for each tap along one axis, where columns have one for each tap along all. Several images share a band row by
row, where one has too few places for a vector.

Source: M. Cho and D. Brand, MEC: Memory-efficient Convolution for Deep Neural Network, ICML 2017,
https://arxiv.org/abs/1706.06873. The runs of rows for windows that move by several are this project's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ...ops.window import Window
from .batches import Copy

__all__ = ["Bands", "in_one_run", "lay_bands", "offsets", "shaped", "within"]

Index = tuple[slice, ...]


@dataclass
class Bands:
    """Images' bands, where each tap's places begin in them, and the copies that fill them."""

    array: np.ndarray
    taps: np.ndarray
    laid: bool = False
    """Are they made, or is it the image?"""
    copies: list[Copy] = field(default_factory=list)


def lay_bands(
    window: Window, images: np.ndarray, places: tuple[int, ...], room: np.ndarray, start: int, together: bool
) -> Bands:
    """The bands of images (samples, channels, *positions) in some memory, for places from a row on; unless they are
    treated together, an image itself where it serves as it lies."""
    image, [samples, channels, *_] = images[0], images.shape
    strides = [s * by for s, by in zip(image.strides[1:], window.stride, strict=True)]
    if not together and not any(map(sum, window.padding)) and in_one_run(strides, places, image.itemsize):
        apart = [s * by for s, by in zip(image.strides[1:], window.dilation, strict=True)]
        return Bands(image, offsets(window.kernel, apart) + start * strides[0])
    runs, first_rows = _runs(window, places[0])
    kernel = window.kernel[1:]
    height = sum(count for _, count in runs)
    array = shaped(room, (channels, *kernel, height, samples, *places[1:]))
    by_row = array.strides[1 + len(kernel)]
    others = offsets(kernel, array.strides[1 : 1 + len(kernel)])
    bands = Bands(array, np.add.outer(np.array(first_rows) * by_row, others).reshape(-1), True)
    base = 0
    for begin, count in runs:
        for tap in product(*map(range, kernel)):
            of_tap: tuple[Any, ...] = (slice(None), *tap, slice(base, base + count))
            firsts = [start * window.stride[0] + begin, *(t * d for t, d in zip(tap, window.dilation[1:], strict=True))]
            seen = within(window, firsts, (count, *places[1:]), image.shape[1:])
            if seen is not None:
                (rows, *at), (lines, *positions) = seen
                band = array[of_tap][(slice(None), rows, slice(None), *at)]
                bands.copies.append((band, np.moveaxis(images, 0, 2)[(slice(None), lines, slice(None), *positions)]))
        base += count
    return bands


def _runs(window: Window, places: int) -> tuple[list[tuple[int, int]], list[int]]:
    """The rows that the taps along the first axis see, as runs: their first position, and how many, a stride apart.
    And for each tap with which of all these rows its places begin."""
    kernel, stride, dilation = window.kernel[0], window.stride[0], window.dilation[0]
    runs: list[tuple[int, int]] = []
    first_rows = {}
    for at, tap in sorted(((tap * dilation % stride, tap * dilation), tap) for tap in range(kernel)):
        position = at[1]
        begin, count = runs[-1] if runs else (0, 0)
        apart, rest = divmod(position - begin, stride)
        if runs and not rest and apart <= count:
            runs[-1] = begin, apart + places
        else:
            runs.append((position, places))
            apart = 0
        first_rows[tap] = sum(count for _, count in runs[:-1]) + apart
    return runs, [first_rows[tap] for tap in range(kernel)]


def within(
    window: Window, firsts: Sequence[int], places: tuple[int, ...], image: tuple[int, ...]
) -> tuple[Index, Index] | None:
    """Which of so many places along each axis see the image, and which positions of it, when the first place sees such
    a position of the padded image; None where no place does."""
    at, positions = [], []
    for first, count, size, step, (before, _) in zip(firsts, places, image, window.stride, window.padding, strict=True):
        shift = first - before
        start, stop = max(0, -(shift // step)), min(count, (size - 1 - shift) // step + 1)
        if start >= stop:
            return None
        at.append(slice(start, stop))
        positions.append(slice(start * step + shift, (stop - 1) * step + shift + 1, step))
    return tuple(at), tuple(positions)


def in_one_run(strides: Sequence[int], sizes: Sequence[int], item: int) -> bool:
    """Do elements along these axes lie side by side, in order?"""
    dense = [item * prod(sizes[a + 1 :]) for a in range(len(sizes))]
    return all(n == 1 or by == run for by, run, n in zip(strides, dense, sizes, strict=True))


def offsets(sizes: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """The bytes to each element of an array with these sizes and strides, in order."""
    total = np.zeros(1, np.int64)
    for size, stride in zip(sizes, strides, strict=True):
        total = np.add.outer(total, np.arange(size) * stride).reshape(-1)
    return total


def shaped(room: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The beginning of some memory, in a shape."""
    return room.reshape(-1)[: prod(shape)].reshape(shape)
