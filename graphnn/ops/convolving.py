"""Convolving: the calls by which NumPy and CuPy compute convolutions, a chunk of samples after the other.

A chunk of images becomes columns (see `graphnn.ops.im2col`), and one product of matrices does the rest. `ins` are the
arrays of an op's operands, `out` that of its result, and `scratch` those that the op's `scratch` asks for.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

from ..ir.node import Call
from .im2col import BoundColumns

__all__ = ["convolve", "convolve_transposed", "correlate"]


def convolve(
    columns: BoundColumns, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...], groups: int
) -> list[Call]:
    """Conv: the columns of the images times the filters, and the bias."""
    x, bias = ins[0], _bias(ins, out)
    if columns.window.taps == 1 and groups == 1 and out.shape[2:] == x.shape[2:] and x.flags.c_contiguous:
        return _pointwise(columns.xp, x, ins[1], bias, out)
    xp = columns.xp
    calls, weights = _matrices(xp, ins[1], groups)
    columns.need_runs(x)
    for chunk in columns.chunks():
        part, count = x[chunk], len(x[chunk])
        rows = columns.columns(count, scratch[0], groups)
        values = columns.values(out.shape[1], count, scratch[2])
        calls += columns.fill(part, rows, scratch[1])
        calls.append(_multiply(xp, weights, rows, values.reshape(len(weights), -1, rows.shape[2])))
        calls.append(_move_with(xp, columns.at_places(values), bias, out[chunk]))
    return calls


def convolve_transposed(
    columns: BoundColumns, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...], groups: int
) -> list[Call]:
    """ConvTranspose: the filters times the values make columns, and a call for each tap adds them to the images."""
    xp, x, bias = columns.xp, ins[0], _bias(ins, out)
    calls, weights = _matrices(xp, ins[1], groups)
    if not columns.chunks():
        return [partial(xp.copyto, out, 0 if bias is None else bias)]
    for chunk in columns.chunks():
        part, images = x[chunk], out[chunk]
        values = columns.values(x.shape[1], len(part), scratch[2])
        rows = columns.columns(len(part), scratch[0], groups)
        padded = columns.take(scratch[1], (len(part), columns.channels, *columns.padded)) if columns.pads else images
        calls += columns.place(part, values)
        grouped = values.reshape(len(weights), -1, rows.shape[2])
        calls.append(_multiply(xp, weights.swapaxes(1, 2), grouped, rows))
        calls += columns.scatter(rows, padded)
        if columns.pads or bias is not None:
            calls.append(_move_with(xp, columns.inside(padded) if columns.pads else padded, bias, images))
    return calls


def correlate(
    columns: BoundColumns, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...], groups: int
) -> list[Call]:
    """ConvWeight: of each chunk the columns of the images times the values, and the chunks added up."""
    xp, (x, g) = columns.xp, ins
    columns.need_runs(x)
    calls: list[Call] = []
    for i, chunk in enumerate(columns.chunks()):
        count = len(x[chunk])
        rows = columns.columns(count, scratch[0], groups)
        values = columns.values(g.shape[1], count, scratch[2])
        calls += columns.fill(x[chunk], rows, scratch[1]) + columns.place(g[chunk], values)
        grouped = values.reshape(groups, -1, rows.shape[2])
        into = scratch[3] if i else out
        calls.append(_multiply(xp, grouped, rows.swapaxes(1, 2), into.reshape(groups, -1, rows.shape[1])))
        if i:
            calls.append(partial(xp.add, out, scratch[3], out))
    return calls or [partial(out.fill, 0)]


def _bias(ins: tuple[Any, ...], out: Any) -> Any:
    """The bias with an axis of size 1 for each axis of positions; None where there is no bias."""
    return ins[2][(slice(None), *(None,) * (out.ndim - 2))] if len(ins) > 2 else None


def _multiply(xp: Any, a: Any, b: Any, out: Any) -> Call:
    """The call for a product of matrices in groups; for a single group `dot`, which is faster to call."""
    return partial(xp.dot, a[0], b[0], out[0]) if len(a) == 1 else partial(xp.matmul, a, b, out)


def _pointwise(xp: Any, x: Any, W: Any, bias: Any, out: Any) -> list[Call]:  # noqa: N803
    """Filters of one tap are a matrix that multiplies each sample, without columns."""
    if not (x.size and out.size):
        return [partial(xp.copyto, out, 0 if bias is None else bias)]
    shape = (len(x), -1, prod(x.shape[2:]))
    calls, weights = _matrices(xp, W, 1)
    calls.append(partial(xp.matmul, weights[0], x.reshape(shape), out.reshape(shape)))
    if bias is not None:
        calls.append(partial(xp.add, out, bias, out))
    return calls


def _matrices(xp: Any, W: Any, groups: int) -> tuple[list[Call], Any]:  # noqa: N803
    """The filters as a matrix for each group. If they are not dense, they are copied at every call."""
    shape = (groups, W.shape[0] // groups, prod(W.shape[1:]))
    if W.flags.c_contiguous:
        return [], W.reshape(shape)
    copy = xp.empty(W.shape, W.dtype)
    return [partial(xp.copyto, copy, W)], copy.reshape(shape)


def _move_with(xp: Any, source: Any, bias: Any, target: Any) -> Call:
    """The call that copies values into the result, and adds the bias."""
    return partial(xp.copyto, target, source) if bias is None else partial(xp.add, source, bias, target)
