"""Ranks: kernels that find where the largest and smallest stand, and the best few of each line, in order.

NaN is the place that both the largest and the smallest have; in order it counts as the largest. Of equal elements the
first is the better one, as in NumPy's stable sort.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ...ir.node import Node
from ...ir.spec import Dim
from ...ops.ranking import ArgMax, ArgMin, TopK
from ..nests import Axis, Nest, make_axes
from .maps import axis_loops, axis_numbers, load_along, write_nest
from .searches import place_kernel, searchable
from .tape import Invocation, address_of
from .types import DType, NoKernel, register_type, splat
from .writer import Writer

__all__ = ["RANKS", "extreme_kernel", "top_kernel"]

Arrays = tuple[np.ndarray, ...]

_PLACE = np.dtype(np.int64)
FEW = 256
"""So many of a line are kept in order one by one; of more, NumPy's sort is faster."""


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
            better = _better(w, largest, True, source, value, before, lanes)
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


@dataclass(frozen=True)
class Top:
    """What the kernel of the best few depends on: whether they are the largest, and which results are wanted."""

    largest: bool
    values: bool
    places: bool
    lines: tuple[Axis, ...]
    source: DType


def _top(node: Any, ins: Arrays, outs: Any, declared: Any, working: Arrays) -> list[Invocation]:
    [x], axis = ins, node.axis
    arrays = (*outs, x)
    if not outs[0].size:
        return []
    if node.k > FEW:
        raise NoKernel(f"more than {FEW} elements of a line in order")
    others = [a for a in range(x.ndim) if a != axis]
    lines, words = _axes(declared.x.shape, arrays, others, [True] * len(arrays))
    kernel = top_kernel(Top(node.largest, 0 in node.results, 1 in node.results, lines, x.dtype))
    apart = [array.strides[axis] for array in arrays]
    return [Invocation(kernel, [*map(address_of, arrays), x.shape[axis], node.k, *apart, *words])]


@cache
def top_kernel(how: Top) -> str:
    """The best few of each line, the best first: an element goes behind those that are no worse, and moves the others
    on. Arrays: the values and the places, those that are wanted; the operand.

    Words: pointers; elements of a line, and how many are wanted; the bytes from one to the next of each array; the
    numbers of the axes of the lines.
    """
    w = Writer()
    dtypes = [dtype for dtype, wanted in ((how.source, how.values), (_PLACE, how.places)) if wanted]
    pointers = [w.word("ptr") for _ in (*dtypes, how.source)]
    count, k = w.word(), w.word()
    apart = [w.word() for _ in pointers]
    with axis_loops(w, how.lines, (*dtypes, how.source), pointers) as line:
        kept = _Kept(w, how, [*zip(line, apart, (*dtypes, how.source), strict=True)])
        with w.loop(count) as index:
            kept.insert(index, k)
    return w.text()


class _Kept:
    """The best elements so far of one line."""

    def __init__(self, w: Writer, how: Top, columns: list[tuple[str, str, DType]]) -> None:
        self.w, self.how = w, how
        *self.results, self.operand = columns

    def insert(self, index: str, k: str) -> None:
        """Bring the element there in, if it is among the best k."""
        w = self.w
        value = self._load(self.operand, index)
        at = w.variable("i64")
        w.do(f"store i64 {w.put(f'call i64 @llvm.smin.i64(i64 {index}, i64 {k})')}, ptr {at}")
        with w.repeat() as found:
            here = w.put(f"load i64, ptr {at}")
            w.go_when(w.put(f"icmp eq i64 {here}, 0"), found)
            before = w.put(f"sub nsw i64 {here}, 1")
            better = _better(w, self.how.largest, self.how.largest, self.how.source, value, self._value(before))
            w.go_when(w.put(f"xor i1 {better}, true"), found)
            with w.when(w.put(f"icmp slt i64 {here}, {k}")):
                self._write(here, [self._load(column, before) for column in self.results])
            w.do(f"store i64 {before}, ptr {at}")
        here = w.put(f"load i64, ptr {at}")
        with w.when(w.put(f"icmp slt i64 {here}, {k}")):
            self._write(here, [value] * self.how.values + [index] * self.how.places)

    def _value(self, rank: str) -> str:
        """The kept element of a rank; without the values it is where its place says."""
        at = rank if self.how.values else self._load(self.results[0], rank)
        return self._load(self.results[0] if self.how.values else self.operand, at)

    def _load(self, column: tuple[str, str, DType], at: str) -> str:
        pointer, apart, dtype = column
        return self.w.load(self.w.offset(pointer, (at, apart)), dtype)

    def _write(self, at: str, values: list[str]) -> None:
        for (pointer, apart, dtype), value in zip(self.results, values, strict=True):
            self.w.store(value, self.w.offset(pointer, (at, apart)), dtype)


def _better(w: Writer, largest: bool, nan: bool, dtype: DType, x: str, y: str, lanes: int = 1) -> str:
    """Is x better than y? NaN is either better than every number, or worse."""
    kind, how = register_type(dtype, lanes), "gt" if largest else "lt"
    if dtype.kind != "f":
        return w.put(f"icmp {'s' if dtype.kind == 'i' else 'u'}{how} {kind} {x}, {y}")
    beyond = w.put(f"fcmp u{how} {kind} {x}, {y}")  # when one is NaN, too
    number = w.put(f"fcmp ord {kind} {y if nan else x}, {y if nan else x}")
    return w.put(f"and {register_type(np.dtype(bool), lanes)} {beyond}, {number}")


RANKS: Mapping[type[Node], Callable[..., list[Invocation]]] = {ArgMax: _extreme, ArgMin: _extreme, TopK: _top}
