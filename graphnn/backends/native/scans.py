"""Scans: kernels of running sums and products along one axis, a vector of neighbouring lines at a time.

One element after the other is folded in, in the dtype of the result, as NumPy does: the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from ...ir.node import Node
from ...ops.scans import CumProd, CumSum
from ..nests import Nest, line_axes
from .maps import load_along, write_nest
from .reductions import Fold, fold_values
from .tape import Invocation, address_of
from .types import number, register_type, splat
from .writer import Writer

__all__ = ["SCANS"]

Arrays = tuple[np.ndarray, ...]


def _lower(node: Any, ins: Arrays, out: np.ndarray, declared: Node, working: Arrays) -> list[Invocation]:
    if not out.size:
        return []
    [x], axis = ins, node.axis
    if node.reverse:
        x, out = np.flip(x, axis), np.flip(out, axis)
    axes, words, _ = line_axes(declared.shape, out.shape, axis, (out, x))
    kernel = scan_kernel(
        Fold(node.ufunc, x.dtype, out.dtype, out.dtype), node.exclusive, Nest(axes, (out.dtype, x.dtype))
    )
    folded = out.shape[axis] - node.exclusive
    return [Invocation(kernel, [address_of(out), address_of(x), folded, out.strides[axis], x.strides[axis], *words])]


@cache
def scan_kernel(how: Fold, exclusive: bool, lines: Nest) -> str:
    """The kernel of a running fold. Arrays: result, operand.

    Words: their pointers; how many elements are folded; the bytes from one to the next of result and operand; the
    numbers of the axes of the lines. What is exclusive begins with the neutral element, and has one more.
    """
    w = Writer()
    out, x, count, by_out, by_x = w.word("ptr"), w.word("ptr"), w.word(), w.word(), w.word()

    def body(places: list[str], lanes: int, mask: str | None) -> None:
        to, source = places
        kind = register_type(how.carried, lanes)
        total = w.variable(kind, splat(_neutral(how), how.carried, lanes))
        if exclusive:
            start = number(0 if how.ufunc == "add" else 1, how.result)
            w.store(splat(start, how.result, lanes), to, how.result, lanes, mask)
            to = w.offset(to, ("1", by_out))
        with w.loop(count) as i:
            value = load_along(w, lines, [to, w.offset(source, (i, by_x))], 1, lanes, mask)
            added = w.converted(value, how.source, how.carried, lanes)
            folded = fold_values(w, how, w.put(f"load {kind}, ptr {total}"), added, lanes)
            w.do(f"store {kind} {folded}, ptr {total}")
            w.store(folded, w.offset(to, (i, by_out)), how.result, lanes, mask)

    write_nest(w, lines, [out, x], body)
    return w.text()


def _neutral(how: Fold) -> str:
    """What changes no element, -0 neither."""
    return number(1 if how.ufunc == "multiply" else -0.0 if how.carried.kind == "f" else 0, how.carried)


SCANS: Mapping[type[Node], Callable[..., list[Invocation]]] = {CumSum: _lower, CumProd: _lower}
