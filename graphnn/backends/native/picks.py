"""Picks: kernels that follow labels and indices.

One checks that all are in range. The others take the slices that the indices point to, put slices there, or combine
slices with those that are there. An index is loaded once for a whole slice, which is treated a vector at a time.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..nests import Axis, Nest
from .maps import axis_loops, load_along, write_nest
from .reductions import Fold, fold_values
from .types import DType, number
from .writer import Writer

__all__ = ["check_kernel", "one_hot_kernel", "put_kernel", "take_kernel"]

_INDEX = np.dtype(np.int64)


@cache
def check_kernel(axes: tuple[Axis, ...], labels: DType) -> str:
    """The kernel that stops the program if a label is out of range.

    Its words: a pointer to the labels; the number of classes; the sizes and strides of the axes that vary.
    """
    w = Writer()
    place, classes = w.word("ptr"), w.word()
    with axis_loops(w, axes, (labels,), [place]) as [at]:
        label = _index(w, at, labels)
        w.leave(w.put(f"icmp uge i64 {label}, {classes}"), "1")  # as an unsigned number -1 is the largest
    return w.text()


@cache
def take_kernel(points: tuple[Axis, ...], slices: Nest, index: DType) -> str:
    """The kernel that copies the slices of an operand to which the indices point into the result.

    Its words, in order. Sizes and strides are words only if they vary, and strides are in bytes:

    - pointers to the result, the operand and the index array
    - the operand's stride from slice to slice, by which an index is multiplied
    - the sizes and strides of the axes of the indices, in all three arrays
    - the sizes and strides of the axes of a slice, in the result and the operand
    """
    w = Writer()
    out, x, pointing, step = w.word("ptr"), w.word("ptr"), w.word("ptr"), w.word()

    def body(places: list[str], lanes: int, mask: str | None) -> None:
        w.store(load_along(w, slices, places, 1, lanes, mask), places[0], slices.dtypes[0], lanes, mask)

    with axis_loops(w, points, (*slices.dtypes, index), [out, x, pointing]) as [to, source, at]:
        write_nest(w, slices, [to, w.offset(source, (_index(w, at, index), step))], body)
    return w.text()


@cache
def put_kernel(points: tuple[Axis, ...], slices: Nest, index: DType, how: Fold | None) -> str:
    """The kernel that writes slices of an operand to where the indices point in the result, one after the other.

    With `how` it combines a slice with the one that is there. Its words are those of `take_kernel`, but for the second:
    the stride from slice to slice is that of the result.
    """
    w = Writer()
    out, x, pointing, step = w.word("ptr"), w.word("ptr"), w.word("ptr"), w.word()
    dtype = slices.dtypes[0]

    def body(places: list[str], lanes: int, mask: str | None) -> None:
        value = load_along(w, slices, places, 1, lanes, mask)
        if how is not None:
            values = w.load(places[0], dtype, lanes, mask), value
            before, added = (w.converted(v, dtype, how.carried, lanes) for v in values)
            value = w.converted(fold_values(w, how, before, added, lanes), how.carried, dtype, lanes)
        w.store(value, places[0], dtype, lanes, mask)

    with axis_loops(w, points, (*slices.dtypes, index), [out, x, pointing]) as [to, source, at]:
        write_nest(w, slices, [w.offset(to, (_index(w, at, index), step)), source], body)
    return w.text()


@cache
def one_hot_kernel(points: tuple[Axis, ...], row: Nest, labels: DType, on: float, off: float) -> str:
    """`off` for each class, and `on` for the one that a label names. Words: result, labels; the bytes from class to
    class; the numbers of the axes of both, where a label stands at each place; those of a row of classes."""
    w = Writer()
    out, target, step = w.word("ptr"), w.word("ptr"), w.word()
    [result] = row.dtypes

    def body(places: list[str], lanes: int, mask: str | None) -> None:
        w.store(w.constant(number(off, result), result, lanes), places[0], result, lanes, mask)

    with axis_loops(w, points, (result, labels), [out, target]) as [to, at]:
        write_nest(w, row, [to], body)
        w.store(number(on, result), w.offset(to, (_index(w, at, labels), step)), result)
    return w.text()


def _index(w: Writer, place: str, dtype: DType) -> str:
    return w.converted(w.load(place, dtype), dtype, _INDEX)
