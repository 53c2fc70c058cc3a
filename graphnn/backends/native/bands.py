"""Bands: a layout of images for convolutions, in which each tap of a window reads one run of memory.

A tap is one position inside the window, and a place is one position of the window on the image. Laying out the image
as columns, one for each tap, copies it once for every tap. Bands need fewer copies: one for each combination of taps
along all axes but the first. Such a band holds the rows of the image, shifted by the tap and cut to the places along
those axes, with zeros for the padding. A tap along the first axis needs no copy: it reads the same band, beginning
some rows further on. If one image has too few places for a vector, several images are laid side by side in each row.

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
    """The bands of one or several images, and how they are filled and read."""

    array: np.ndarray
    """The memory that is read: the bands, or the image itself."""
    taps: np.ndarray
    """For each tap of the window, the offset in bytes of its first place in `array`."""
    laid: bool = False
    """True if `array` holds bands, false if it is the image."""
    copies: list[Copy] = field(default_factory=list)
    """The copies from the images that fill the bands."""


def lay_bands(
    window: Window, images: np.ndarray, places: tuple[int, ...], room: np.ndarray, start: int, together: bool
) -> Bands:
    """The bands of images of shape (samples, channels, *positions).

    If the images are not treated together, have no padding, and lie so that each tap already reads one run, the image
    itself is read, and nothing is copied.

    Args:
        window: the window that moves over the images.
        images: the images whose bands are laid.
        places: the number of places along each axis.
        room: the memory for the bands.
        start: the first row of places.
        together: whether several images are treated together.
    """
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
    """The rows of the padded image that the taps along the first axis read, and where each tap begins among them.

    The rows are given as runs: the position of a run's first row, and its number of rows, which are a stride of the
    window apart. Second, for each tap, the number of the row of its first place, counted over all runs.
    """
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
    """The places from which a tap reads the image rather than its padding, and the positions that it reads there.

    `firsts` are the positions in the padded image that the first place reads, one for each axis. `places` and `image`
    are the numbers of places and of positions along each axis. None if every place reads padding.
    """
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
    """Do the elements along these axes lie side by side, in order? Strides and the size of an item are in bytes."""
    dense = [item * prod(sizes[a + 1 :]) for a in range(len(sizes))]
    return all(n == 1 or by == run for by, run, n in zip(strides, dense, sizes, strict=True))


def offsets(sizes: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """The offset in bytes of each element of an array with these sizes and strides, in the order of the elements."""
    total = np.zeros(1, np.int64)
    for size, stride in zip(sizes, strides, strict=True):
        total = np.add.outer(total, np.arange(size) * stride).reshape(-1)
    return total


def shaped(room: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The first elements of some memory, as an array of a shape."""
    return room.reshape(-1)[: prod(shape)].reshape(shape)
