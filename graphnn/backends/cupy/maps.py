"""Maps: kernels in which each thread computes a formula for one element, and copies that change dtype or layout."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ...ir.formula import Formula
from ...ir.spec import Dim
from ..kernels import DType
from ..nests import Axis, make_axes
from .formulas import write_formula
from .places import Walk
from .site import Site
from .sources import Kind, Source, flat, item_bytes, kinds_of, layouts, moves, parameters, read, words_of
from .types import stored
from .writer import Kernel, Launch, Writer, launch

__all__ = ["lower_map"]


def lower_map(
    body: Formula, names: Sequence[str], dims: Sequence[Dim], sources: Sequence[Source], out: np.ndarray, at: Site
) -> list[Launch]:
    """The launch that writes `body` of the sources into `out`; `dims` are its sizes as declared."""
    if not out.size:
        return []
    everything = flat([out, *sources])
    kinds = kinds_of(everything)
    moved = [moves(everything, axis) for axis in range(out.ndim)]
    axes, words = make_axes(dims, out.shape, moved, layouts(kinds))
    kernel = _map_kernel(axes, out.dtype, kinds[1:], tuple(names), body)
    return [launch(kernel, [*words_of(everything, at), *words], out.size)]


@cache
def _map_kernel(
    axes: tuple[Axis, ...], result: DType, kinds: tuple[Kind, ...], names: tuple[str, ...], body: Formula
) -> Kernel:
    w = Writer()
    out = w.pointer(result, written=True)
    given = parameters(w, kinds)
    walk = Walk(w, axes, [result.itemsize, *map(item_bytes, kinds)])
    first, *offsets = walk.offsets(w.thread(walk.count))
    values = read(w, names, given, kinds, offsets)
    value = write_formula(w, body, values, result)
    w.line(f"*at({out}, {first}) = {stored(value, result)};")
    return w.kernel()
