"""Maps: kernels in which each thread computes a formula for one element, and copies that change dtype or layout.

An operand may be a coordinate instead of an array: its value is how far the element stands along some axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np

from ...ir.formula import Formula
from ...ir.spec import Dim
from ..kernels import DType
from ..nests import Axis, make_axes
from .formulas import Register, write_formula
from .places import Walk
from .site import Site
from .types import load, register_type, stored
from .writer import Kernel, Launch, Writer, launch

__all__ = [
    "COORDINATE",
    "Coordinate",
    "Source",
    "addresses",
    "coordinate_along",
    "dtypes_of",
    "item_bytes",
    "lower_map",
    "moves",
    "pointers",
    "read",
]


@dataclass(frozen=True)
class Coordinate:
    """A number for each element: the sum over the axes of its place along each times a step."""

    steps: tuple[int, ...]


Source: TypeAlias = "np.ndarray | Coordinate"
COORDINATE = np.dtype(np.int64)


def coordinate_along(axis: int, ndim: int) -> Coordinate:
    """An element's place along one axis."""
    return Coordinate(tuple(int(a == axis) for a in range(ndim)))


def moves(sources: Sequence[Source], axis: int) -> list[int]:
    """How far each source moves along an axis: in bytes, and a coordinate by its step; scalars stay."""
    return [s.steps[axis] if isinstance(s, Coordinate) else s.strides[axis] if s.ndim else 0 for s in sources]


def item_bytes(dtype: DType | None) -> int:
    """The bytes of an element; a coordinate, which has no dtype, counts as one."""
    return 1 if dtype is None else dtype.itemsize


def dtypes_of(sources: Sequence[Source]) -> tuple[DType | None, ...]:
    """The dtype of each source, None for a coordinate."""
    return tuple(None if isinstance(s, Coordinate) else s.dtype for s in sources)


def axes_of(dims: Sequence[Dim], shape: Sequence[int], sources: Sequence[Source]) -> tuple[tuple[Axis, ...], list[int]]:
    """The axes that sources share, and their words."""
    sizes = tuple(np.dtype(np.uint8) if isinstance(s, Coordinate) else s.dtype for s in sources)
    return make_axes(dims, shape, [moves(sources, axis) for axis in range(len(shape))], sizes)


def addresses(sources: Sequence[Source], at: Site) -> list[int]:
    """Where the arrays among the sources begin."""
    return [at(s) for s in sources if not isinstance(s, Coordinate)]


def pointers(w: Writer, dtypes: Sequence[DType | None]) -> list[str]:
    """A parameter for each array that is read; nothing for a coordinate."""
    return [w.pointer(dtype) if dtype is not None else "" for dtype in dtypes]


def read(
    w: Writer, names: Sequence[str], places: Sequence[str], dtypes: Sequence[DType | None], offsets: Sequence[str]
) -> Mapping[str, Register]:
    """The operands of a formula at one element."""
    values: dict[str, Register] = {}
    for name, place, dtype, offset in zip(names, places, dtypes, offsets, strict=True):
        if dtype is None:
            values[name] = Register(w.put(register_type(COORDINATE), offset), COORDINATE)
        else:
            values[name] = Register(w.put(register_type(dtype), load(f"*at({place}, {offset})", dtype)), dtype)
    return values


def lower_map(
    body: Formula, names: Sequence[str], dims: Sequence[Dim], sources: Sequence[Source], out: np.ndarray, at: Site
) -> list[Launch]:
    """The launch that writes `body` of the sources into `out`; `dims` are its sizes as declared."""
    if not out.size:
        return []
    everything: list[Source] = [out, *sources]
    axes, words = axes_of(dims, out.shape, everything)
    kernel = _map_kernel(axes, out.dtype, dtypes_of(sources), tuple(names), body)
    return [launch(kernel, [*addresses(everything, at), *words], out.size)]


@cache
def _map_kernel(
    axes: tuple[Axis, ...], result: DType, dtypes: tuple[DType | None, ...], names: tuple[str, ...], body: Formula
) -> Kernel:
    w = Writer()
    out = w.pointer(result, written=True)
    places = pointers(w, dtypes)
    walk = Walk(w, axes, [result.itemsize, *map(item_bytes, dtypes)])
    first, *offsets = walk.offsets(w.thread(walk.count))
    values = read(w, names, places, dtypes, offsets)
    value = write_formula(w, body, values, result)
    w.line(f"*at({out}, {first}) = {stored(value, result)};")
    return w.kernel()
