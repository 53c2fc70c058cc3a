"""Convolutions: sample by sample, products of matrices of which none is ever made for the whole batch.

Products find rows and steps by tables, so filters and images are read where they lie, whatever the window's movement.
Where a sample has few places, several are treated at once; where it has one, all are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import gcd, prod
from typing import Any

import numpy as np

from ...ir.formula import parse
from ...ir.node import Node
from ...ir.spec import Dim, Size
from ...ops.conv import Conv, ConvTranspose, ConvWeight
from .bands import Bands, in_one_run, lay_bands, offsets, shaped, within
from .batches import Batch, fixed_count, grouped, is_product, matrix, parts, sample_axis, zeros
from .filters import lower_weight
from .maps import copy, lower_map
from .matmul import lower_product
from .products import Product
from .samples import BLOCK
from .tape import Invocation

__all__ = ["CONVOLUTIONS"]

Arrays = tuple[np.ndarray, ...]

VECTOR = 16
"""Elements of a vector: with fewer places than that, samples are treated together, in whole vectors."""
TOGETHER = 48
"""Places that are treated at once then, at least."""
CACHE = 1 << 18
"""Bytes of columns that are made before they are added: what a core's own cache holds beside all else."""


def _lower_conv(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    if not out.size:
        return []
    x, filters, *bias = ins
    if is_product(node, x, out, x, filters):
        a, b, c = matrix(x), matrix(filters).T, matrix(out)
        dims = (declared.x.shape[0], b.shape[0]), b.shape
        return [*(_biased(out, bias, declared) if bias else ()), *lower_product(a, b, c, *dims, c if bias else None)]
    calls: list[Invocation] = []
    for part, at_once in parts(len(x), _at_once(len(x), out.shape[2:], working[0])):
        of_row = prod((*x.shape[1:2], *node.window.kernel[1:], *out.shape[3:])) * x.itemsize
        for rows in _blocks(out.shape[2], of_row):
            result = out[part, :, rows]
            calls += _conv(node, (x[part], filters, *bias), result, declared, working, at_once, rows.start)
    return calls


def _conv(
    node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays, at_once: int, start: int
) -> list[Invocation]:
    """Some samples' bands for places from a row on, and a product of the filters with what every tap sees."""
    x, filters, *bias = ins
    places = out.shape[2:]
    together = _together(places)
    first, *rest = declared.shape[2:]
    dims = (_rows(first, places[0]), sample_axis(declared, together), *rest)
    batch = Batch(len(x) // at_once)
    result, images = (batch.array(array, at_once * array.strides[0]) for array in (out, x))
    bands = lay_bands(node.window, x[:at_once], places, working[0], start, together)
    seen = batch.array(bands.array) if bands.laid else images
    batch.move(seen, images, bands.copies, (x.shape[1], *dims))
    alone = out[0] if not together else shaped(working[2], (out.shape[1], places[0], at_once, *places[1:]))
    made = result if not together else batch.array(alone)
    which = (made, batch.array(filters), seen, *map(batch.array, bias))
    _filter(batch, which, (alone, filters, *bias), bands, node.groups, fixed_count(dims, alone[0].size))
    if together:
        batch.move(result, made, [(np.moveaxis(out[:at_once], 0, 2), alone)], (out.shape[1], *dims))
    return [*(zeros(bands.array) if any(map(sum, node.window.padding)) else ()), batch.call()]


def _filter(batch: Batch, which: tuple[int, ...], arrays: Arrays, bands: Bands, groups: int, width: int | None) -> None:
    """The products, a row for each filter and a step for each tap of a channel: a block of steps on top of the bias,
    then the others on top of that."""
    out, filters, *bias = arrays
    many, channels = len(filters) // groups, filters.shape[1]
    by_row, by_filter, by_channel = out.strides[0], filters.strides[0], bands.array.strides[0]
    columns = np.add.outer(np.arange(channels) * by_channel, bands.taps).reshape(-1)
    steps = np.stack([offsets(filters.shape[1:], filters.strides[1:]), columns], axis=-1)
    how = Product(out.dtype, many, None, width, True, batches=int(groups > 1), steps_at=True)
    wide = [] if width else [out[0].size]
    moved = (many * by_row, many * by_filter, channels * by_channel)
    by_bias = [b.strides[0] for b in bias]
    words = [*grouped(groups, *moved, *(many * by for by in by_bias)), len(steps[:BLOCK]), *wide]
    begin = replace(how, onto=bool(bias), spread=bool(bias))
    batch.multiply(begin, which, [steps[:BLOCK]], [*words, by_row, by_filter, *by_bias])
    if len(steps) > BLOCK:
        made, weights, seen, *_ = which
        words = [len(steps) - BLOCK, *grouped(groups, *moved, many * by_row), *wide]
        words += [by_row, by_filter, by_row, out.itemsize]
        batch.multiply(replace(how, onto=True), (made, weights, seen, made), [steps[BLOCK:]], words, blocks=True)


def _lower_transpose(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    x, filters, *bias = ins
    if x.size and is_product(node, out, x, x, filters):
        a, b, c = map(matrix, (x, filters, out))
        dims = (declared.x.shape[0], b.shape[0]), b.shape
        return [*(_biased(out, bias, declared) if bias else ()), *lower_product(a, b, c, *dims, c if bias else None)]
    calls = _biased(out, bias, declared)
    if not (x.size and out.size):
        return calls
    for part, at_once in parts(len(x), _at_once(len(x), x.shape[2:], working[0])):
        of_row = prod((*out.shape[1:2], *node.window.kernel, *x.shape[3:])) * x.itemsize
        for rows in _blocks(x.shape[2], of_row):
            calls.append(
                _transpose(node, (x[part, :, rows], filters), out[part], declared, working, at_once, rows.start)
            )
    return calls


def _transpose(
    node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays, at_once: int, start: int
) -> Invocation:
    """Some samples' columns by a product, for places from a row on; then every tap's are added where it sees them."""
    x, filters = ins
    groups, window, places = node.groups, node.window, x.shape[2:]
    many = len(filters) // groups
    together = _together(places)
    batch = Batch(len(x) // at_once)
    result, given = (batch.array(array, at_once * array.strides[0]) for array in (out, x))
    columns = shaped(working[0], (out.shape[1], *window.kernel, at_once, *places))
    weights, made = batch.array(filters), batch.array(columns)
    first, *rest = declared.x.shape[2:]
    dims = (sample_axis(declared, together), _rows(first, places[0]), *rest)
    values, seen = x[0], given
    if together or not in_one_run(x.strides[2:], places, x.itemsize):
        values = shaped(working[2], (x.shape[1], at_once, *places))
        seen = batch.array(values)
        batch.move(seen, given, [(values, np.moveaxis(x[:at_once], 0, 1))], (x.shape[1], *dims))
    rows = offsets(filters.shape[1:], filters.strides[1:])
    width, by_row, by_value = at_once * prod(places), columns.strides[window.ndim], values.strides[0]
    how = Product(out.dtype, len(rows), None, fixed_count(dims, width), True, batches=int(groups > 1), rows_at=True)
    words = grouped(groups, len(rows) * by_row, many * filters.strides[0], many * by_value)
    words += [many, *([width] if how.columns is None else []), by_row, filters.strides[0], by_value]
    batch.multiply(how, (made, weights, seen), [rows], words)
    laid = []
    for tap in product(*map(range, window.kernel)):
        firsts = [t * d for t, d in zip(tap, window.dilation, strict=True)]
        firsts[0] += start * window.stride[0]
        seen_at = within(window, firsts, places, out.shape[2:])
        if seen_at is not None:
            at, positions = ((slice(None), slice(None), *index) for index in seen_at)
            of_tap: tuple[Any, ...] = (slice(None), *tap)
            laid.append((np.moveaxis(out[:at_once], 0, 1)[positions], columns[of_tap][at]))
    batch.move(result, made, laid, (out.shape[1], *dims), added=True)
    return batch.call()


def _together(places: tuple[int, ...]) -> bool:
    """Are samples treated together, as one's places do not fill vectors? However many there are."""
    return prod(places) < VECTOR


def _at_once(samples: int, places: tuple[int, ...], columns: np.ndarray) -> int:
    """How many samples to treat at once, whose places fill vectors."""
    if not _together(places):
        return 1
    count = prod(places)
    whole = VECTOR // gcd(VECTOR, count)
    room: int = columns.shape[1]
    return min(-(-TOGETHER // (whole * count)) * whole, room, samples)


def _blocks(rows: int, bytes_of_row: int) -> Iterator[slice]:
    """Rows of places, as many at a time as what is made of them stays in the cache."""
    many = max(1, CACHE // max(1, bytes_of_row))
    for start in range(0, rows, many):
        yield slice(start, min(start + many, rows))


def _rows(dim: Dim, rows: int) -> Dim:
    """The size of an axis of rows: one kernel serves all blocks, where there are several."""
    return dim if dim == rows else Size("rows")


def _biased(out: np.ndarray, bias: Sequence[np.ndarray], declared: Node) -> list[Invocation]:
    """The calls that write the bias, or zeros, everywhere."""
    if not bias:
        return lower_map(parse("0"), (), declared.shape, (), out)
    [b] = bias
    return copy(declared.shape, out, np.broadcast_to(b.reshape(-1, *(1,) * (out.ndim - 2)), out.shape))


CONVOLUTIONS: Mapping[type[Node], Callable[..., list[Invocation]]] = {
    Conv: _lower_conv,
    ConvTranspose: _lower_transpose,
    ConvWeight: lower_weight,
}
