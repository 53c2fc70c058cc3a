"""Picks: kernels that read labels: one element of each row, rows with a single one, and the check of their range."""

from __future__ import annotations

from functools import cache

import numpy as np

from .types import DType, number
from .writer import Writer

__all__ = ["check_kernel", "one_hot_kernel", "pick_kernel"]

_INDEX = np.dtype(np.int64)


@cache
def check_kernel(labels: DType) -> str:
    """Stops the program when a label is out of range. Words: labels, their count and stride, the classes."""
    w = Writer()
    place, count, stride, classes = w.word("ptr"), w.word(), w.word(), w.word()
    with w.loop(count) as i:
        label = w.converted(w.load(w.offset(place, (i, stride)), labels), labels, _INDEX)
        w.leave(w.put(f"icmp uge i64 {label}, {classes}"), "1")  # as an unsigned number -1 is the largest
    return w.text()


@cache
def pick_kernel(x: DType, labels: DType) -> str:
    """One element of each row. Words: result, operand, labels; rows; bytes from row to row, from element to element,
    and from label to label."""
    w = Writer()
    out, source, target = w.word("ptr"), w.word("ptr"), w.word("ptr")
    rows, by_row, by_element, by_label = w.word(), w.word(), w.word(), w.word()
    with w.loop(rows) as i:
        label = w.converted(w.load(w.offset(target, (i, by_label)), labels), labels, _INDEX)
        value = w.load(w.offset(source, (i, by_row), (label, by_element)), x)
        w.store(value, w.offset(out, (i, x.itemsize)), x)
    return w.text()


@cache
def one_hot_kernel(labels: DType, result: DType, on: float, off: float) -> str:
    """Rows of `off` with a single `on`. Words: result, labels; rows, classes; bytes from label to label."""
    w = Writer()
    out, target = w.word("ptr"), w.word("ptr")
    rows, classes, by_label = w.word(), w.word(), w.word()
    with w.loop(rows) as i:
        row = w.offset(out, (w.put(f"mul nsw i64 {i}, {classes}"), result.itemsize))
        with w.loop(classes) as j:
            w.store(number(off, result), w.offset(row, (j, result.itemsize)), result)
        label = w.converted(w.load(w.offset(target, (i, by_label)), labels), labels, _INDEX)
        w.store(number(on, result), w.offset(row, (label, result.itemsize)), result)
    return w.text()
