"""Convolutions: sample by sample, products of matrices of which none is ever made for the whole batch.

Products find rows and steps by tables, so filters and images are read where they lie, whatever the window's movement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ...ir.formula import parse
from ...ir.node import Node
from ...ir.spec import Dim
from ...ops.conv import Conv, ConvTranspose, ConvWeight
from .bands import in_one_run, lay_bands, offsets, shaped, within
from .maps import copy, lower_map
from .products import Product
from .samples import Batch
from .tape import Invocation

__all__ = ["CONVOLUTIONS"]

Arrays = tuple[np.ndarray, ...]


def _lower_conv(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    """For each sample its bands, and a product of the filters with what every tap sees."""
    x, filters, *bias = ins
    if not out.size:
        return []
    groups, places = node.groups, prod(out.shape[2:])
    many, channels = len(filters) // groups, filters.shape[1]
    bands = lay_bands(node.window, x[0], out.shape[2:], working[0])
    seen = (bands.array, 0 if bands.copies else x.strides[0])
    batch = Batch(len(x), [_samples(out), _samples(x), (filters, 0), seen, *((b, 0) for b in bias)])
    batch.move(3, 1, bands.copies, declared.x.shape[1:])
    by_channel = bands.array.strides[0]
    columns = np.add.outer(np.arange(channels) * by_channel, bands.taps).reshape(-1)
    steps = np.stack([offsets(filters.shape[1:], filters.strides[1:]), columns], axis=-1)
    how = Product(
        out.dtype, many, None, _fixed(declared.shape[2:]), True,
        onto=bool(bias), spread=bool(bias), batches=int(groups > 1), steps_at=True,
    )  # fmt: skip
    words = _by_group(
        groups,
        many * out.strides[1],
        many * filters.strides[0],
        channels * by_channel,
        *(many * b.strides[0] for b in bias),
    )
    words += [len(steps), *([places] if how.columns is None else [])]
    words += [out.strides[1], filters.strides[0], *(b.strides[0] for b in bias)]
    batch.multiply(how, (0, 2, 3, *(4 for _ in bias)), [steps], words)
    return [*(_zeros(bands.array) if any(map(sum, node.window.padding)) else ()), batch.call()]


def _lower_transpose(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    """For each sample its columns by a product; then every tap's columns are added to the positions it sees."""
    x, filters, *bias = ins
    begin = _biased(out, bias, declared)
    if not (x.size and out.size):
        return begin
    groups, window, places = node.groups, node.window, prod(x.shape[2:])
    many = len(filters) // groups
    columns = shaped(working[0], (out.shape[1], *window.kernel, *x.shape[2:]))
    dense = in_one_run(x.strides[2:], x.shape[2:], x.itemsize)
    values = (x[0], x.strides[0]) if dense else (shaped(working[2], x.shape[1:]), 0)
    batch = Batch(len(x), [_samples(out), _samples(x), (filters, 0), (columns, 0), values])
    if not dense:
        batch.move(4, 1, [(values[0], x[0])], declared.x.shape[1:])
    rows = offsets(filters.shape[1:], filters.strides[1:])
    how = Product(out.dtype, len(rows), None, _fixed(declared.x.shape[2:]), True, batches=int(groups > 1), rows_at=True)
    by_row, by_value = places * x.itemsize, values[0].strides[0]
    words = _by_group(groups, len(rows) * by_row, many * filters.strides[0], many * by_value)
    words += [many, *([places] if how.columns is None else []), by_row, filters.strides[0], by_value]
    batch.multiply(how, (3, 2, 4), [rows], words)
    laid = []
    for tap in product(*map(range, window.kernel)):
        firsts = [t * d for t, d in zip(tap, window.dilation, strict=True)]
        seen = within(window, firsts, x.shape[2:], out.shape[2:])
        if seen is not None:
            at, positions = seen
            of_tap: tuple[Any, ...] = (slice(None), *tap)
            laid.append((out[0][positions], columns[of_tap][at]))
    batch.move(0, 3, laid, (out.shape[1], *declared.x.shape[2:]), added=True)
    return [*begin, batch.call()]


def _lower_weight(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    """For each sample a product of what every tap sees with what came back, on top of those before."""
    x, g = ins
    if not out.size:
        return []
    groups, window, places, item = node.groups, node.window, g.shape[2:], x.itemsize
    many, channels = g.shape[1] // groups, x.shape[1] // groups
    total = shaped(working[3], (groups, channels * window.taps, many))
    landing = copy(total.shape, out.reshape(groups, many, -1), total.transpose(0, 2, 1))
    if not (x.size and g.size):
        return [*_zeros(total), *landing]
    pads = any(map(sum, window.padding))
    image = shaped(working[1], (x.shape[1], *window.padded(x.shape[2:]))) if pads else x[0]
    back = shaped(working[2], (*places, g.shape[1]))
    seen = (image, 0 if pads else x.strides[0])
    batch = Batch(len(x), [_samples(x), _samples(g), seen, (back, 0), (total, 0)])
    if pads:
        spans = zip(window.padding, x.shape[2:], strict=True)
        inside = (slice(None), *(slice(before, before + n) for (before, _), n in spans))
        batch.move(2, 0, [(image[inside], x[0])], declared.x.shape[1:])
    batch.move(3, 1, [(np.moveaxis(back, -1, 0), g[0])], declared.g.shape[1:])
    at = offsets(places, [s * by for s, by in zip(image.strides[1:], window.stride, strict=True)])
    steps = np.stack([at, np.arange(len(at)) * back.strides[-2]], axis=-1)
    apart = [s * by for s, by in zip(image.strides[1:], window.dilation, strict=True)]
    rows = offsets((channels, *window.kernel), [image.strides[0], *apart])
    how = Product(
        out.dtype, len(rows), None, many, True, onto=True, batches=int(groups > 1), steps_at=True, rows_at=True
    )
    by_row, by_group = total.strides[1], total.strides[0]
    words = _by_group(groups, by_group, channels * image.strides[0], many * item, by_group)
    words += [len(steps), by_row, by_row, item]
    batch.multiply(how, (4, 2, 3, 4), [steps, rows], words)
    return [*_zeros(total), *(_zeros(image) if pads else ()), batch.call(), *landing]


def _samples(array: np.ndarray) -> tuple[np.ndarray, int]:
    """An array's first sample, and the bytes from one to the next."""
    return array[0], array.strides[0]


def _by_group(groups: int, *moves: int) -> list[int]:
    """The words of an axis of groups, where there are several."""
    return [groups, *moves] if groups > 1 else []


def _fixed(dims: Sequence[Dim]) -> int | None:
    """The number of elements, where no size is named."""
    sizes = [dim for dim in dims if isinstance(dim, int)]
    return prod(sizes) if len(sizes) == len(dims) else None


def _zeros(array: np.ndarray) -> list[Invocation]:
    return lower_map(parse("0"), (), array.shape, (), array)


def _biased(out: np.ndarray, bias: Sequence[np.ndarray], declared: Node) -> list[Invocation]:
    """The calls that write the bias, or zeros, everywhere."""
    if not bias:
        return lower_map(parse("0"), (), declared.shape, (), out)
    [b] = bias
    return copy(declared.shape, out, np.broadcast_to(b.reshape(-1, *(1,) * (out.ndim - 2)), out.shape))


CONVOLUTIONS: Mapping[type[Node], Callable[..., list[Invocation]]] = {
    Conv: _lower_conv,
    ConvTranspose: _lower_transpose,
    ConvWeight: _lower_weight,
}
