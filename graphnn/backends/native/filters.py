"""The gradient of convolutions by filters: images against what came back, with all channels of a place side by side."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ...ir.spec import Shape
from ...ops.window import Window
from .bands import in_one_run, offsets, shaped
from .batches import Batch, grouped, is_product, matrix, parts, sample_axis, zeros
from .matmul import lower_product
from .products import Product
from .tape import Invocation

__all__ = ["lower_weight"]

Arrays = tuple[np.ndarray, ...]

STEPS = 128
"""Places of samples that are treated at once, at least: the more, the seldomer sums go to memory and back."""
ROUND, GAP = 256, 64
"""Bytes: of rows that are laid apart, and between them."""


def lower_weight(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    """Products, each on top of those before, with a row for each tap of a channel; at the end the sums transposed."""
    x, g = ins
    if not out.size:
        return []
    if x.size and is_product(node, x, g, x, g):
        a, b, c = matrix(g).T, matrix(x), matrix(out)
        samples = declared.x.shape[0]
        return lower_product(a, b, c, (a.shape[0], samples), (samples, b.shape[1]))
    total = shaped(working[3], (node.groups, out[0].size, len(out) // node.groups))
    calls = zeros(total)
    if x.size and g.size:
        image = prod(_padded(node.window, x)) if _pads(node.window) else 0
        each = image + prod(g.shape[2:]) * _width(g)
        wanted = -(-STEPS // prod(g.shape[2:]))
        at_once = max(1, min(len(x), wanted, working[0].size // each))
        room = working[0].reshape(-1)
        rooms = (room[: at_once * image], room[at_once * image :]) if at_once * each <= room.size else working[1:3]
        samples = sample_axis(declared, wanted > 1)
        axes = [(samples, *operand.shape[1:]) for operand in (declared.x, declared.g)]
        for part, many in parts(len(x), at_once):
            calls += _add_up(node, (x[part], g[part]), total, axes, rooms, many)
    landing = Batch(1)
    to, of = landing.array(out), landing.array(total)
    landing.transpose(to, of, out.reshape(node.groups, total.shape[2], total.shape[1]), total)
    return [*calls, landing.call()]


def _add_up(
    node: Any, ins: Arrays, total: np.ndarray, axes: Sequence[Shape], rooms: Arrays, at_once: int
) -> list[Invocation]:
    """A product of what every tap sees of some samples with what came back, on top of those before. `axes` are those of
    both operands, as declared."""
    x, g = ins
    window, places = node.window, g.shape[2:]
    batch = Batch(len(x) // at_once)
    given, back, sums = (batch.array(a, by) for a, by in ((x, _step(x, at_once)), (g, _step(g, at_once)), (total, 0)))
    images, seen = x[:at_once], given
    if _pads(window):
        images = shaped(rooms[0], (at_once, *_padded(window, x)))
        seen = batch.array(images)
        spans = zip(window.padding, x.shape[2:], strict=True)
        inside = (slice(None), slice(None), *(slice(before, before + n) for (before, _), n in spans))
        batch.move(seen, given, [(images[inside], x[:at_once])], axes[0])
    turned = _apart(rooms[1], (at_once, *places, g.shape[1]), _width(g))
    made = batch.array(turned)
    if in_one_run(g.strides[2:], places, g.itemsize):
        rows = _apart(rooms[1], (at_once, prod(places), g.shape[1]), _width(g))
        batch.transpose(made, back, rows, g[:at_once].reshape(at_once, g.shape[1], -1))
    else:
        batch.move(made, back, [(np.moveaxis(turned, -1, 1), g[:at_once])], axes[1])
    _multiply(batch, (sums, seen, made), (total, images, turned), window)
    return [*(zeros(images) if _pads(window) else ()), batch.call()]


def _multiply(batch: Batch, which: tuple[int, ...], arrays: Arrays, window: Window) -> None:
    """The product: a row for each tap of a channel, a step for each place of a sample, a column for each filter."""
    total, images, turned = arrays
    groups, taps, many = total.shape
    channels, by_channel = images.shape[1] // groups, images.strides[1]
    steps_by = [s * by for s, by in zip(images.strides[2:], window.stride, strict=True)]
    at = offsets(turned.shape[:-1], [images.strides[0], *steps_by])
    steps = np.stack([at, np.arange(len(at)) * turned.strides[-2]], axis=-1)
    taps_by = [s * by for s, by in zip(images.strides[2:], window.dilation, strict=True)]
    rows = offsets((channels, *window.kernel), [by_channel, *taps_by])
    how = Product(total.dtype, taps, None, many, True, onto=True, batches=int(groups > 1), steps_at=True, rows_at=True)
    by_group, by_row, item = total.strides
    moved = (by_group, channels * by_channel, many * item, by_group)
    words = [len(steps), *grouped(groups, *moved), by_row, by_row, item]
    batch.multiply(how, (*which, which[0]), [steps, rows], words, blocks=True)


def _step(array: np.ndarray, at_once: int) -> int:
    """The bytes from some samples to the next."""
    return at_once * array.strides[0]


def _pads(window: Window) -> bool:
    return any(map(sum, window.padding))


def _padded(window: Window, x: np.ndarray) -> tuple[int, ...]:
    """The channels and positions of an image with its zeros."""
    spans = zip(x.shape[2:], window.padding, strict=True)
    return x.shape[1], *(n + before + after for n, (before, after) in spans)


def _width(g: np.ndarray) -> int:
    """The channels from row to row: with a gap where rows of a round number of bytes would share few cache sets."""
    channels: int = g.shape[1]
    return channels + GAP // g.itemsize if channels * g.itemsize % ROUND == 0 else channels


def _apart(room: np.ndarray, shape: tuple[int, ...], width: int) -> np.ndarray:
    """Memory for rows so far apart, where there is room for gaps."""
    *rows, count = shape
    return shaped(room, (*rows, width if prod(rows) * width <= room.size else count))[..., :count]
