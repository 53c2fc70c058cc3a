"""Convolution by a matrix product: the elements in the window at each place become a column of a matrix (im2col).

The columns are made for a chunk of samples at a time, in scratch memory that stays in the cache. If the stride is 1,
the row of a tap in the columns is the (padded) image, shifted: it is copied in one run. The few columns that straddle
two rows of the image are computed too, and not used.

Source: K. Chellapilla, S. Puri and P. Simard, High Performance Convolutional Neural Networks for Document
Processing, 2006; the runs over whole images are this project's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..ir.node import Call
from ..ir.spec import Dim, Shape, Spec
from .window import Window

__all__ = ["BoundColumns", "Columns"]

CHUNK_BYTES = 1 << 20
"""Columns are made for as many samples at a time as fit into so many bytes: the cache of a core."""


@dataclass(frozen=True)
class Columns:
    """The layout of images (samples, channels, *image) as columns, one for each place of a window."""

    window: Window
    images: Shape
    places: Shape
    dtype: np.dtype[Any]

    @property
    def shifted(self) -> bool:
        """Is the stride 1, so that the row of a tap is the image, shifted?"""
        return all(s == 1 for s in self.window.stride)

    @property
    def rows(self) -> Dim:
        """The height of a column: an element for each channel and tap."""
        return self.images[1] * self.window.taps

    @property
    def grid(self) -> Shape:
        """The columns of one sample at most, including those that straddle two rows."""
        return (self.places[0], *self.window.padded(self.images[2:])[1:]) if self.shifted else self.places

    @property
    def chunk(self) -> Dim:
        """The number of samples in a chunk: one, if the image has a named size."""
        sizes = [dim for dim in (self.rows, *self.grid) if isinstance(dim, int)]
        if len(sizes) < 1 + len(self.grid):
            return 1
        fitting = max(1, CHUNK_BYTES // max(1, prod(sizes) * self.dtype.itemsize))
        return min(fitting, max(1, self.images[0])) if isinstance(self.images[0], int) else fitting

    def columns_spec(self) -> Spec:
        """The spec of the columns of a chunk."""
        return Spec((self.rows, self.chunk, *self.grid), self.dtype)

    def padded_spec(self) -> Spec:
        """The spec of the padded images of a chunk; empty without padding."""
        if not any(sum(pair) for pair in self.window.padding):
            return Spec((0,), self.dtype)
        return Spec((self.chunk, self.images[1], *self.window.padded(self.images[2:])), self.dtype)

    def values_spec(self, channels: Dim) -> Spec:
        """The spec of so many values for each column of a chunk."""
        return Spec((channels, self.chunk, *self.grid), self.dtype)

    def bound(self, xp: Any, images: tuple[int, ...], places: tuple[int, ...]) -> BoundColumns:
        """The layout in numbers."""
        chunk = self.chunk
        assert isinstance(chunk, int)
        return BoundColumns(xp, self.window, images, places, chunk)


class BoundColumns:
    """Columns in numbers, with the calls that fill them, and that add them back to images."""

    def __init__(self, xp: Any, window: Window, images: tuple[int, ...], places: tuple[int, ...], chunk: int) -> None:
        self.xp, self.window, self.places, self.chunk = xp, window, places, chunk
        self.samples, self.channels, self.image = images[0], images[1], images[2:]
        self.padded = tuple(n for n in window.padded(self.image) if isinstance(n, int))
        self.pads = any(sum(pair) for pair in window.padding)
        self.shifted = all(s == 1 for s in window.stride)
        self._strided = xp.lib.stride_tricks.as_strided

    @property
    def pitches(self) -> tuple[int, ...]:
        """The number of elements of a padded image from one position to the next, along each axis."""
        return tuple(prod(self.padded[a + 1 :]) for a in range(len(self.padded)))

    @property
    def grid(self) -> tuple[int, ...]:
        """The columns of one sample; with shifted rows, all from the first place to the last."""
        if not self.shifted:
            return self.places
        return (sum((n - 1) * pitch for n, pitch in zip(self.places, self.pitches, strict=True)) + 1,)

    def chunks(self) -> list[slice]:
        """The samples of each chunk."""
        if not prod(self.places):
            return []
        return [slice(i, min(i + self.chunk, self.samples)) for i in range(0, self.samples, self.chunk)]

    def need_runs(self, x: Any) -> None:
        """Shift rows only if the images are dense, or copied because they are padded."""
        dense = all(
            s == p * x.itemsize for s, p, n in zip(x.strides[2:], self.pitches, self.image, strict=True) if n > 1
        )
        self.shifted = self.shifted and (self.pads or dense)

    def pad(self, x: Any, room: Any) -> tuple[Any, list[Call]]:
        """Some samples with padding, and the calls that copy them; without padding, the samples themselves."""
        if not self.pads:
            return x, []
        padded = self.take(room, (len(x), self.channels, *self.padded))
        return padded, [partial(padded.fill, 0), partial(self.xp.copyto, self.inside(padded), x)]

    def inside(self, padded: Any) -> Any:
        """Padded images without the padding."""
        spans = zip(self.window.padding, self.image, strict=True)
        return padded[(slice(None), slice(None), *(slice(before, before + n) for (before, _), n in spans))]

    def taps(self, images: Any) -> Any:
        """The element that each tap reads at each place: a view (channels, *kernel, samples, *grid) of images."""
        n, c, *steps = images.strides
        window = self.window
        along = (steps[-1],) if self.shifted else tuple(s * by for s, by in zip(steps, window.stride, strict=True))
        taps = tuple(s * d for s, d in zip(steps, window.dilation, strict=True))
        return self._strided(images, (self.channels, *window.kernel, len(images), *self.grid), (c, *taps, n, *along))

    def columns(self, samples: int, room: Any, groups: int) -> Any:
        """Memory for the columns of some samples, as a matrix for each group of channels."""
        shape = (groups, self.channels // groups * self.window.taps, samples * prod(self.grid))
        return self.take(room, shape)

    def fill(self, x: Any, columns: Any, room: Any) -> list[Call]:
        """The calls that make the columns of some samples."""
        images, calls = self.pad(x, room)
        taps = self.taps(images)
        return [*calls, partial(self.xp.copyto, columns.reshape(taps.shape), taps)]

    def scatter(self, columns: Any, images: Any) -> list[Call]:
        """The calls that add each column to the positions of its window: the adjoint of `taps`."""
        taps = self.taps(images)
        parts = columns.reshape(taps.shape)
        calls: list[Call] = [partial(images.fill, 0)]
        for at in product(*map(range, self.window.kernel)):
            tap, part = taps[(slice(None), *at)], parts[(slice(None), *at)]
            calls.append(partial(self.xp.add, tap, part, tap))
        return calls

    def at_places(self, values: Any) -> Any:
        """A view of values (channels, samples, grid) as (samples, channels, *places), without columns that straddle."""
        channels, samples, *_ = values.shape
        if not self.shifted:
            return values.swapaxes(0, 1)
        c, n, step = values.strides
        pitches = tuple(pitch * step for pitch in self.pitches)
        return self._strided(values, (samples, channels, *self.places), (n, c, *pitches))

    def values(self, channels: int, samples: int, room: Any) -> Any:
        """Memory for so many values for each column of some samples."""
        return self.take(room, (channels, samples, *self.grid))

    def place(self, g: Any, values: Any) -> list[Call]:
        """The calls that write values (samples, channels, *places) into columns, and zeros into those that straddle."""
        straddles = self.shifted and prod(self.grid) > prod(self.places)
        clear: list[Call] = [partial(values.fill, 0)] if straddles else []
        return [*clear, partial(self.xp.copyto, self.at_places(values), g)]

    @staticmethod
    def take(room: Any, shape: tuple[int, ...]) -> Any:
        """The beginning of some memory as an array of this shape."""
        return room.reshape(-1)[: prod(shape)].reshape(shape)
