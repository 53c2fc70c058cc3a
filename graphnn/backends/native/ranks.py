"""Ranks: kernels that find where the largest and smallest stand, and the best few of each line, in order.

NaN is the place that both the largest and the smallest have; in order it counts as the largest. Of equal elements the
first is the better one, as in NumPy's stable sort.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from typing import Any

import numpy as np

from ...ir.node import Node
from ...ir.spec import Dim
from ...ops.ranking import ArgMax, ArgMin, TopK
from ..nests import Axis, Nest, make_axes
from .maps import axis_numbers, load_along, write_nest
from .orders import LONGEST, Order, order_kernel
from .searches import place_kernel, searchable
from .tape import Invocation, address_of
from .types import DType, NoKernel, register_type, splat
from .writer import Writer

__all__ = ["RANKS", "extreme_kernel"]

Arrays = tuple[np.ndarray, ...]

_PLACE = np.dtype(np.int64)


def _axes(
    dims: Sequence[Dim], arrays: Sequence[np.ndarray], chosen: Sequence[int], moving: Sequence[bool]
) -> tuple[tuple[Axis, ...], list[int]]:
    """Some axes of arrays of one rank, of which not all move along them; the last array has their sizes."""
    moves = [[x.strides[a] if moves else 0 for x, moves in zip(arrays, moving, strict=True)] for a in chosen]
    return make_axes([dims[a] for a in chosen], [arrays[-1].shape[a] for a in chosen], moves, [x.dtype for x in arrays])


def _extreme(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    if not out.size:
        return []
    x = np.flip(ins[0], node.axes) if node.last else ins[0]
    arrays = (out if node.keepdims else np.expand_dims(out, node.axes), x)
    dims = declared.x.shape
    lines, words = _axes(dims, arrays, [a for a in range(x.ndim) if a not in node.axes], (True, True))
    along, more = _axes(dims, arrays, node.axes, (False, True))
    how = node.function == "argmax", node.last, Nest(lines, (out.dtype, x.dtype))
    in_blocks = len(along) == 1 and searchable(lines, along[0])
    kernel = place_kernel(*how, along[0]) if in_blocks else extreme_kernel(*how, along)
    return [Invocation(kernel, [address_of(out), address_of(x), *more, *words])]


@cache
def extreme_kernel(largest: bool, last: bool, lines: Nest, along: tuple[Axis, ...]) -> str:
    """Where the largest or smallest of each line stands, the first of equal ones, counted in C order; with `last` lines
    are given from their ends, and places are counted from their beginnings.

    Arrays: result, operand. Words: their pointers; the numbers of the axes along lines; those of the lines, of which a
    vector of neighbours is searched at a time.
    """
    w = Writer()
    pointers = [w.word("ptr"), w.word("ptr")]
    source = lines.dtypes[1]
    loops = [axis_numbers(w, axis, lines.dtypes) for axis in along]

    def body(places: list[str], lanes: int, mask: str | None) -> None:
        kind, numbers, truth = (register_type(dtype, lanes) for dtype in (source, _PLACE, np.dtype(bool)))
        best = w.variable(kind, load_along(w, lines, places, 1, lanes, mask))
        place, seen = w.variable(numbers, splat("0", _PLACE, lanes)), w.variable("i64", "0")
        with ExitStack() as stack:
            here = places
            for size, moves in loops:
                index = stack.enter_context(w.loop(size))
                here = [w.offset(at, (index, move)) for at, move in zip(here, moves, strict=True)]
            value, before = load_along(w, lines, here, 1, lanes, mask), w.put(f"load {kind}, ptr {best}")
            better = _better(w, largest, source, value, before, lanes)
            count, found = w.put(f"load i64, ptr {seen}"), w.put(f"load {numbers}, ptr {place}")
            w.do(f"store {kind} {w.put(f'select {truth} {better}, {kind} {value}, {kind} {before}')}, ptr {best}")
            now = w.spread(count, _PLACE, lanes)
            w.do(
                f"store {numbers} {w.put(f'select {truth} {better}, {numbers} {now}, {numbers} {found}')}, ptr {place}"
            )
            w.do(f"store i64 {w.put(f'add nsw i64 {count}, 1')}, ptr {seen}")
        found = w.put(f"load {numbers}, ptr {place}")
        if last:
            count = w.put(f"sub i64 {w.put(f'load i64, ptr {seen}')}, 1")
            found = w.put(f"sub {numbers} {w.spread(count, _PLACE, lanes)}, {found}")
        w.store(found, places[0], _PLACE, lanes, mask)

    write_nest(w, lines, pointers, body)
    return w.text()


def _top(node: Any, ins: Arrays, outs: Any, declared: Any, working: Arrays) -> list[Invocation]:
    [x], axis = ins, node.axis
    arrays = (*outs, x)
    if not outs[0].size:
        return []
    if x.itemsize < 8 and x.shape[axis] >= LONGEST:
        raise NoKernel(f"a line of {LONGEST} elements or more")
    others = [a for a in range(x.ndim) if a != axis]
    lines, words = _axes(declared.x.shape, arrays, others, [True] * len(arrays))
    order = Order(node.largest, 0 in node.results, 1 in node.results, lines, x.dtype)
    apart = [array.strides[axis] for array in arrays]
    pointers = [address_of(array) for array in (*arrays, *working)]
    return [Invocation(order_kernel(order), [*pointers, x.shape[axis], node.k, *apart, *words])]


def _better(w: Writer, largest: bool, dtype: DType, x: str, y: str, lanes: int) -> str:
    """Is x better than y? NaN is better than every number."""
    kind, how = register_type(dtype, lanes), "gt" if largest else "lt"
    if dtype.kind != "f":
        return w.put(f"icmp {'s' if dtype.kind == 'i' else 'u'}{how} {kind} {x}, {y}")
    beyond = w.put(f"fcmp u{how} {kind} {x}, {y}")  # when one is NaN, too
    number = w.put(f"fcmp ord {kind} {y}, {y}")
    return w.put(f"and {register_type(np.dtype(bool), lanes)} {beyond}, {number}")


RANKS: Mapping[type[Node], Callable[..., list[Invocation]]] = {ArgMax: _extreme, ArgMin: _extreme, TopK: _top}
