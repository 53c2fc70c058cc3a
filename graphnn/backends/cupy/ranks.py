"""Ranks: the kernel of the best few of each line: each element counts those that stand before it, and goes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from ...ir.spec import Dim
from ..kernels import DType
from ..nests import Axis, line_axes
from .places import Walk
from .site import Site
from .types import load, memory_type, register_type
from .writer import Kernel, Launch, Writer, launch

__all__ = ["lower_top_k"]


def lower_top_k(
    x: np.ndarray,
    results: Mapping[int, np.ndarray],
    axis: int,
    k: int,
    largest: bool,
    dims: Sequence[Dim],
    at: Site,
) -> list[Launch]:
    """The launch that writes the k largest, or smallest, of each line of `x`, best first, and where they stand.

    `results` are the values (0) and the places (1), or those of them that are wanted.
    """
    arrays = (*results.values(), x)
    if not arrays[0].size:
        return []
    axes, words, lines = line_axes(dims, x.shape, axis, arrays)
    kernel = _top_k_kernel(largest, tuple(results), axes, x.dtype)
    words = [*map(at, arrays), *words, x.shape[axis], k, *(array.strides[axis] for array in arrays)]
    return [launch(kernel, words, x.shape[axis] * lines)]


@cache
def _top_k_kernel(largest: bool, wanted: tuple[int, ...], axes: tuple[Axis, ...], dtype: DType) -> Kernel:
    w = Writer()
    kind, dtypes = register_type(dtype), [(dtype, np.dtype(np.int64))[result] for result in wanted]
    pointers = [w.pointer(written, written=True) for written in dtypes]
    x = w.pointer(dtype)
    walk = Walk(w, axes, [*(written.itemsize for written in dtypes), dtype.itemsize])
    count, k = w.word(), w.word()
    *moves, move = (w.word() for _ in (*dtypes, dtype))
    thread = w.thread(f"{walk.count} * {count}")
    mine = w.put("long long", f"{thread} % {count}")
    *bases, base = walk.offsets(f"({thread} / {count})")
    stored = w.put(memory_type(dtype), f"*at({x}, {base} + {mine} * {move})")
    value = w.put(kind, load(stored, dtype))
    w.line("long long rank = 0;")
    with w.braces(f"for (long long i = 0; i < {count} && rank < {k}; i++)"):
        w.line(f"const {kind} other = {load(f'*at({x}, {base} + i * {move})', dtype)};")
        w.line(f"rank += {_before(largest, dtype, 'other', value)} || ({_equal(dtype, 'other', value)} && i < {mine});")
    with w.braces(f"if (rank < {k})"):
        for result, pointer, to, apart in zip(wanted, pointers, bases, moves, strict=True):
            w.line(f"*at({pointer}, {to} + rank * {apart}) = {(stored, mine)[result]};")
    return w.kernel()


def _before(largest: bool, dtype: DType, x: str, y: str) -> str:
    """Does x come before y, whatever their places? NaN counts as the largest."""
    larger, smaller = (x, y) if largest else (y, x)
    nan = f" || ({larger} != {larger} && {smaller} == {smaller})" if dtype.kind == "f" else ""
    return f"({larger} > {smaller}{nan})"


def _equal(dtype: DType, x: str, y: str) -> str:
    nan = f" || ({x} != {x} && {y} != {y})" if dtype.kind == "f" else ""
    return f"({x} == {y}{nan})"
