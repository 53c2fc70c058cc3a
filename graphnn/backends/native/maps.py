"""Maps: kernels that compute a formula for each element, and copies that change dtype or layout.

The innermost loop treats a vector of elements at once where every array lies densely or stays in place along it,
and what is left over as a part of a vector; else one element at a time. Of bytes alone vectors are four times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache

import numpy as np

from ...ir.formula import Formula, parse
from ...ir.spec import Dim
from ..nests import Axis, Nest, make_nest
from .formulas import Register, write_formula
from .machine import machine
from .tape import Invocation, address_of
from .types import LANES, DType, lanes_of
from .writer import Writer

__all__ = ["axis_loop", "axis_loops", "axis_numbers", "copy", "load_along", "lower_map", "map_kernel", "write_nest"]

Body = Callable[[list[str], int, str | None], None]
"""Writes what happens at one place: the pointers there, how many elements at once, and a mask of them."""


def lower_map(
    formula: Formula, names: tuple[str, ...], dims: tuple[Dim, ...], ins: Sequence[np.ndarray], out: np.ndarray
) -> list[Invocation]:
    """The call that writes the values of a formula into `out`. The formula names the arrays, all of one shape."""
    if not out.size:
        return []
    nest, words = make_nest(dims, [out, *ins])
    return [Invocation(map_kernel(nest, names, formula), [address_of(out), *map(address_of, ins), *words])]


def copy(dims: tuple[Dim, ...], out: np.ndarray, x: np.ndarray) -> list[Invocation]:
    """The call that copies an array of any layout and dtype. Its first words are the addresses of `out` and of `x`."""
    return lower_map(parse("x"), ("x",), dims, (x,), out)


@cache
def map_kernel(nest: Nest, names: tuple[str, ...], formula: Formula) -> str:
    """The kernel that writes the values of `formula` into the first array. The other arrays are its arguments.

    Its words: a pointer for each array; then the sizes and strides of the nest's axes that vary.
    """
    w = Writer()
    pointers = [w.word("ptr") for _ in nest.dtypes]
    out, *ins = nest.dtypes
    still = [all(axis.strides[i] == "none" for axis in nest.axes) for i in range(len(nest.dtypes))]
    held = {i: w.load(pointers[i], dtype) for i, dtype in enumerate(nest.dtypes) if i and still[i]}

    def body(places: list[str], lanes: int, mask: str | None) -> None:
        values = {}
        for i, (name, dtype) in enumerate(zip(names, ins, strict=True), start=1):
            text = w.spread(held[i], dtype, lanes) if i in held else load_along(w, nest, places, i, lanes, mask)
            values[name] = Register(text, dtype)
        result = write_formula(w, formula, values, lanes, out, machine().fused_multiply_add)
        w.store(result.text, places[0], out, lanes, mask)

    write_nest(w, nest, pointers, body)
    return w.text()


def write_nest(w: Writer, nest: Nest, pointers: Sequence[str], body: Body) -> None:
    """The loops of a nest around a body."""
    with axis_loops(w, nest.axes[:-1], nest.dtypes, list(pointers)) as places:
        if not nest.axes:
            body(places, 1, None)
        elif "any" in nest.axes[-1].strides:
            with axis_loop(w, nest.axes[-1], nest.dtypes, places) as inner:
                body(inner, 1, None)
        else:
            _vector_loop(w, nest.axes[-1], nest.dtypes, places, body)


def load_along(w: Writer, nest: Nest, places: Sequence[str], i: int, lanes: int, mask: str | None) -> str:
    """The elements of the i-th array at a place; one for all lanes where it stays in place along the axis."""
    dtype = nest.dtypes[i]
    if nest.axes and nest.axes[-1].strides[i] == "none":
        return w.spread(w.load(places[i], dtype), dtype, lanes)
    return w.load(places[i], dtype, lanes, mask)


@contextmanager
def axis_loops(w: Writer, axes: Sequence[Axis], dtypes: Sequence[DType], places: list[str]) -> Iterator[list[str]]:
    """Loops over some axes, one inside the other; yields the pointers inside."""
    with ExitStack() as stack:
        for axis in axes:
            places = stack.enter_context(axis_loop(w, axis, dtypes, places))
        yield places


@contextmanager
def axis_loop(w: Writer, axis: Axis, dtypes: Sequence[DType], places: list[str]) -> Iterator[list[str]]:
    """A loop over one axis; yields the pointers inside."""
    size, strides = axis_numbers(w, axis, dtypes)
    with w.loop(size) as index:
        yield [w.offset(place, (index, stride)) for place, stride in zip(places, strides, strict=True)]


def axis_numbers(w: Writer, axis: Axis, dtypes: Sequence[DType]) -> tuple[str, list[str | int]]:
    """The size of an axis, and each array's stride along it in bytes. What varies is read as a word."""
    size = str(axis.size) if axis.size is not None else w.word()
    kinds = zip(axis.strides, dtypes, strict=True)
    return size, [w.word() if kind == "any" else dtype.itemsize if kind == "dense" else 0 for kind, dtype in kinds]


def _vector_loop(w: Writer, axis: Axis, dtypes: Sequence[DType], places: list[str], body: Body) -> None:
    lanes = lanes_of(*dtypes)
    moving = [dtype.itemsize if kind == "dense" else 0 for kind, dtype in zip(axis.strides, dtypes, strict=True)]

    def at(index: str) -> list[str]:
        return [w.offset(place, (index, stride)) for place, stride in zip(places, moving, strict=True)]

    if axis.size is not None:
        whole, rest = axis.size - axis.size % lanes, axis.size % lanes
        if whole > 2 * lanes:
            with w.loop(str(whole), lanes) as index:
                body(at(index), lanes, None)
        else:
            for first in range(0, whole, lanes):
                body(at(str(first)), lanes, None)
        if rest:
            body(at(str(whole)), rest, None)
        return
    size, start = w.word(), "0"
    for step in (LANES, lanes) if all(dtype.itemsize == 1 for dtype in dtypes) else (lanes,):
        left = w.put(f"and i64 {size}, {step - 1}")
        stop = w.put(f"sub nsw i64 {size}, {left}")
        with w.loop(stop, step, start) as index:
            body(at(index), step, None)
        start = stop
    if machine().masks and all(dtype.itemsize >= 4 for dtype in dtypes):
        with w.when(w.put(f"icmp sgt i64 {left}, 0")):
            body(at(start), lanes, w.first(left, lanes))
    else:
        with w.loop(size, 1, start) as index:
            body(at(index), 1, None)
