"""Convolutions: sample by sample, products of matrices of which none is ever made for the whole batch.

Products find rows and steps by tables, so filters and images are read where they lie, whatever the window's movement.
Where a sample has few places, several are treated at once; where it has one, all are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from math import gcd, prod
from typing import Any

import numpy as np

from ...ir.formula import parse
from ...ir.node import Node
from ...ir.spec import Dim
from ...ops.conv import Conv, ConvTranspose, ConvWeight
from .bands import in_one_run, lay_bands, offsets, shaped, within
from .maps import copy, lower_map
from .matmul import lower_product
from .products import Product
from .samples import Batch
from .tape import Invocation

__all__ = ["CONVOLUTIONS"]

Arrays = tuple[np.ndarray, ...]

VECTOR = 16
"""Elements of a vector: with fewer places than that, samples are treated together, in whole vectors."""
TOGETHER = 48
"""Places that are treated at once then, at least."""
ROUND, GAP = 256, 64
"""Bytes: of rows that are laid apart, and between them."""


def _lower_conv(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    if not out.size:
        return []
    x, filters, *bias = ins
    if _is_product(node, x, out, x, filters):
        a, b, c = _matrix(x), _matrix(filters).T, _matrix(out)
        dims = (declared.x.shape[0], b.shape[0]), b.shape
        return [*(_biased(out, bias, declared) if bias else ()), *lower_product(a, b, c, *dims, c if bias else None)]
    places = prod(out.shape[2:])
    calls: list[Invocation] = []
    for part, at_once in _parts(len(x), places, working[0]):
        calls += _conv(node, (x[part], filters, *bias), out[part], declared, working, at_once)
    return calls


def _conv(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays, at_once: int) -> list[Invocation]:
    """Some samples' bands, and a product of the filters with what every tap sees."""
    x, filters, *bias = ins
    groups, places = node.groups, out.shape[2:]
    many, channels = len(filters) // groups, filters.shape[1]
    batch = Batch(len(x) // at_once)
    result, images = (batch.array(array, at_once * array.strides[0]) for array in (out, x))
    weights, biases = batch.array(filters), [batch.array(b) for b in bias]
    bands = lay_bands(node.window, x[:at_once], places, working[0])
    seen = batch.array(bands.array) if bands.laid else images
    first, *rest = declared.shape[2:]
    dims = (first, _samples(declared, at_once), *rest)
    batch.move(seen, images, bands.copies, (x.shape[1], *dims))
    alone = out[0] if at_once == 1 else shaped(working[2], (out.shape[1], places[0], at_once, *places[1:]))
    made = result if at_once == 1 else batch.array(alone)
    by_channel = bands.array.strides[0]
    columns = np.add.outer(np.arange(channels) * by_channel, bands.taps).reshape(-1)
    steps = np.stack([offsets(filters.shape[1:], filters.strides[1:]), columns], axis=-1)
    width = at_once * prod(places)
    how = Product(
        out.dtype, many, None, _fixed(dims, width), True,
        onto=bool(bias), spread=bool(bias), batches=int(groups > 1), steps_at=True,
    )  # fmt: skip
    by_bias = [b.strides[0] for b in bias]
    by_group = (many * alone.strides[0], many * filters.strides[0], channels * by_channel, *(many * b for b in by_bias))
    words = [*_grouped(groups, *by_group), len(steps), *([width] if how.columns is None else [])]
    batch.multiply(
        how, (made, weights, seen, *biases), [steps], [*words, alone.strides[0], filters.strides[0], *by_bias]
    )
    if at_once > 1:
        batch.move(result, made, [(np.moveaxis(out[:at_once], 0, 2), alone)], (out.shape[1], *dims))
    return [*(_zeros(bands.array) if any(map(sum, node.window.padding)) else ()), batch.call()]


def _lower_transpose(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    x, filters, *bias = ins
    if x.size and _is_product(node, out, x, x, filters):
        a, b, c = map(_matrix, (x, filters, out))
        dims = (declared.x.shape[0], b.shape[0]), b.shape
        return [*(_biased(out, bias, declared) if bias else ()), *lower_product(a, b, c, *dims, c if bias else None)]
    calls = _biased(out, bias, declared)
    if not (x.size and out.size):
        return calls
    for part, at_once in _parts(len(x), prod(x.shape[2:]), working[0]):
        calls.append(_transpose(node, (x[part], filters), out[part], declared, working, at_once))
    return calls


def _transpose(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays, at_once: int) -> Invocation:
    """Some samples' columns by a product; then every tap's columns are added to the positions it sees."""
    x, filters = ins
    groups, window, places = node.groups, node.window, x.shape[2:]
    many = len(filters) // groups
    batch = Batch(len(x) // at_once)
    result, given = (batch.array(array, at_once * array.strides[0]) for array in (out, x))
    columns = shaped(working[0], (out.shape[1], *window.kernel, at_once, *places))
    weights, made = batch.array(filters), batch.array(columns)
    dims = (_samples(declared, at_once), *declared.x.shape[2:])
    values, seen = x[0], given
    if at_once > 1 or not in_one_run(x.strides[2:], places, x.itemsize):
        values = shaped(working[2], (x.shape[1], at_once, *places))
        seen = batch.array(values)
        batch.move(seen, given, [(values, np.moveaxis(x[:at_once], 0, 1))], (x.shape[1], *dims))
    rows = offsets(filters.shape[1:], filters.strides[1:])
    width, by_row, by_value = at_once * prod(places), columns.strides[window.ndim], values.strides[0]
    how = Product(out.dtype, len(rows), None, _fixed(dims, width), True, batches=int(groups > 1), rows_at=True)
    words = _grouped(groups, len(rows) * by_row, many * filters.strides[0], many * by_value)
    words += [many, *([width] if how.columns is None else []), by_row, filters.strides[0], by_value]
    batch.multiply(how, (made, weights, seen), [rows], words)
    laid = []
    for tap in product(*map(range, window.kernel)):
        firsts = [t * d for t, d in zip(tap, window.dilation, strict=True)]
        seen_at = within(window, firsts, places, out.shape[2:])
        if seen_at is not None:
            at, positions = ((slice(None), slice(None), *index) for index in seen_at)
            of_tap: tuple[Any, ...] = (slice(None), *tap)
            laid.append((np.moveaxis(out[:at_once], 0, 1)[positions], columns[of_tap][at]))
    batch.move(result, made, laid, (out.shape[1], *dims), added=True)
    return batch.call()


def _lower_weight(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    x, g = ins
    if not out.size:
        return []
    if x.size and _is_product(node, x, g, x, g):
        a, b, c = _matrix(g).T, _matrix(x), _matrix(out)
        samples = declared.x.shape[0]
        return lower_product(a, b, c, (a.shape[0], samples), (samples, b.shape[1]))
    total = shaped(working[3], (node.groups, out[0].size, len(out) // node.groups))
    calls = _zeros(total)
    if x.size and g.size:
        for part, at_once in _parts(len(x), prod(g.shape[2:]), working[0]):
            calls += _weight(node, (x[part], g[part]), total, declared, working, at_once)
    return [*calls, *copy(total.shape, out.reshape(node.groups, -1, out[0].size), total.transpose(0, 2, 1))]


def _weight(
    node: Any, ins: Arrays, total: np.ndarray, declared: Any, working: Arrays, at_once: int
) -> list[Invocation]:
    """A product of what every tap sees of some samples with what came back, on top of those before."""
    x, g = ins
    window, places, item = node.window, g.shape[2:], x.itemsize
    groups, taps, many = total.shape
    batch = Batch(len(x) // at_once)
    given, back = (batch.array(array, at_once * array.strides[0]) for array in (x, g))
    sums = batch.array(total)
    samples = _samples(declared, at_once)
    pads = any(map(sum, window.padding))
    images, seen = x[:at_once], given
    if pads:
        images = shaped(working[1], (at_once, x.shape[1], *window.padded(x.shape[2:])))
        seen = batch.array(images)
        spans = zip(window.padding, x.shape[2:], strict=True)
        inside = (slice(None), slice(None), *(slice(before, before + n) for (before, _), n in spans))
        batch.move(seen, given, [(images[inside], x[:at_once])], (samples, *declared.x.shape[1:]))
    turned = _apart(working[2], (at_once, *places, g.shape[1]))
    made = batch.array(turned)
    if in_one_run(g.strides[2:], places, item):
        matrices = g[:at_once].reshape(at_once, g.shape[1], -1)
        batch.transpose(made, back, _apart(working[2], (at_once, prod(places), g.shape[1])), matrices)
    else:
        batch.move(made, back, [(np.moveaxis(turned, -1, 1), g[:at_once])], (samples, *declared.g.shape[1:]))
    apart = [s * by for s, by in zip(images.strides[2:], window.stride, strict=True)]
    at = offsets((at_once, *places), [images.strides[0], *apart])
    steps = np.stack([at, np.arange(len(at)) * turned.strides[-2]], axis=-1)
    apart = [s * by for s, by in zip(images.strides[2:], window.dilation, strict=True)]
    rows = offsets((x.shape[1] // groups, *window.kernel), [images.strides[1], *apart])
    how = Product(total.dtype, taps, None, many, True, onto=True, batches=int(groups > 1), steps_at=True, rows_at=True)
    by_group, by_row = total.strides[:2]
    words = _grouped(groups, by_group, x.shape[1] // groups * images.strides[1], many * item, by_group)
    words += [len(steps), by_row, by_row, item]
    batch.multiply(how, (sums, seen, made, sums), [steps, rows], words)
    return [*(_zeros(images) if pads else ()), batch.call()]


# Samples, groups, zeros ------------------------------------------------------------------------------------------


def _is_product(node: Any, images: np.ndarray, at_places: np.ndarray, *operands: np.ndarray) -> bool:
    """Does the window see each image as a whole, in one place, so that the batch makes one product of matrices?"""
    window = node.window
    alone = images.shape[2:] == window.kernel and prod(at_places.shape[2:]) == 1 and not any(map(sum, window.padding))
    return alone and node.groups == 1 and all(array.flags.c_contiguous for array in operands)


def _matrix(array: np.ndarray) -> np.ndarray:
    """A row for each image, or filter."""
    return array.reshape(len(array), -1)


def _parts(samples: int, places: int, columns: np.ndarray) -> Iterator[tuple[slice, int]]:
    """The samples in parts, and how many of each are treated at once: what is left over makes a part of its own."""
    at_once = 1
    if places < VECTOR:
        whole = VECTOR // gcd(VECTOR, places)
        at_once = min(-(-TOGETHER // (whole * places)) * whole, columns.shape[1], samples)
    rest = samples % at_once
    if samples > rest:
        yield slice(samples - rest), at_once
    if rest:
        yield slice(samples - rest, samples), rest


def _apart(room: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Memory for rows, with gaps between them, where there is room, if they had a round number of bytes: such rows
    share few sets of the cache."""
    *rows, width = shape
    item = room.itemsize
    apart = width + GAP // item if width * item % ROUND == 0 else width
    return shaped(room, (*rows, apart if prod(rows) * apart <= room.size else width))[..., :width]


def _samples(declared: Any, at_once: int) -> Dim:
    """The size of an axis of samples, as declared: one kernel serves whole parts and what is left over."""
    return 1 if at_once == 1 else declared.x.shape[0]


def _grouped(groups: int, *moves: int) -> list[int]:
    """The words of an axis of groups, where there are several."""
    return [groups, *moves] if groups > 1 else []


def _fixed(dims: Sequence[Dim], count: int) -> int | None:
    """The number of elements, where no size is named."""
    return count if all(isinstance(dim, int) for dim in dims) else None


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
