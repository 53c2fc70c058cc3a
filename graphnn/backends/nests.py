"""Loop nests: the axes that several arrays share, merged into as few loops as their strides allow.

A nest holds no sizes and strides, except the sizes of axes that are short and fixed in the program: loops over those
are unrolled. So there is one kernel for a nest whatever the named sizes are. Sizes and strides that vary are arguments
of the kernel, its "words".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal, TypeAlias

import numpy as np

from ..ir.spec import Dim
from .kernels import DType

__all__ = ["Axis", "Nest", "Stride", "line_axes", "make_axes", "make_nest"]

Stride: TypeAlias = Literal["none", "dense", "any"]
"""How an array moves along an axis: not at all, from an element to its neighbour, or by any number of bytes."""

UNROLLED = 64
"""Loops over fixed axes of at most so many elements are unrolled."""


@dataclass(frozen=True)
class Axis:
    """One loop: its size if that is fixed and small, else None; and how each array moves along it."""

    size: int | None
    strides: tuple[Stride, ...]


@dataclass(frozen=True)
class Nest:
    """The axes of several arrays, outermost first, and the dtypes of the arrays."""

    axes: tuple[Axis, ...]
    dtypes: tuple[DType, ...]


@dataclass
class _Run:
    """Neighbouring axes that are one loop, since every array is laid out along them as along one axis."""

    size: int
    fixed: bool
    strides: list[int]


def make_nest(shape: tuple[Dim, ...], arrays: Sequence[np.ndarray]) -> tuple[Nest, list[int]]:
    """The nest of arrays of one shape (or 0-d), and its words: the sizes and strides that vary.

    `shape` says which axes have a named size. Those are never left out or unrolled, so that the nest is the same for
    every size.
    """
    nest, words = _nest(shape, tuple([(a.shape, a.strides, a.dtype) for a in arrays]))
    return nest, list(words)


@lru_cache(1024)
def _nest(
    shape: tuple[Dim, ...], layouts: tuple[tuple[tuple[int, ...], tuple[int, ...], DType], ...]
) -> tuple[Nest, tuple[int, ...]]:
    """Made once for arrays that lie alike, as those of equal layers do."""
    numbers = next((sizes for sizes, _, _ in layouts if sizes), ())
    moves = [[strides[axis] if sizes else 0 for sizes, strides, _ in layouts] for axis in range(len(numbers))]
    dtypes = tuple([dtype for _, _, dtype in layouts])
    axes, words = make_axes(shape, numbers, moves, dtypes)
    return Nest(axes, dtypes), tuple(words)


def make_axes(
    dims: Sequence[Dim], numbers: Sequence[int], moves: Sequence[Sequence[int]], dtypes: Sequence[DType]
) -> tuple[tuple[Axis, ...], list[int]]:
    """The axes, outermost first, and their words, from the declared sizes, the numbers, and the strides of arrays."""
    runs: list[_Run] = []
    for dim, size, along in zip(dims, numbers, moves, strict=True):
        fixed = isinstance(dim, int)
        if fixed and size == 1:
            continue
        strides = list(along)
        last = runs[-1] if runs else None
        if last and all(outer == inner * size for outer, inner in zip(last.strides, strides, strict=True)):
            last.size, last.fixed, last.strides = last.size * size, last.fixed and fixed, strides
        else:
            runs.append(_Run(size, fixed, strides))
    axes: list[Axis] = []
    words: list[int] = []
    alone = [run for run in runs if run.size == 1]
    for run in runs:
        kinds = tuple(_kind(s, dtype.itemsize) for s, dtype in zip(run.strides, dtypes, strict=True))
        if alone and run.size > 1:
            kinds = _unless_dense(kinds, alone, dtypes)
        unrolled = run.fixed and run.size <= UNROLLED
        axes.append(Axis(run.size if unrolled else None, kinds))
        words += [] if unrolled else [run.size]
        words += [s for s, kind in zip(run.strides, kinds, strict=True) if kind == "any"]
    return tuple(axes), words


def line_axes(
    dims: Sequence[Dim], shape: Sequence[int], axis: int, arrays: Sequence[np.ndarray]
) -> tuple[tuple[Axis, ...], list[int], int]:
    """For arrays cut into lines along one axis: the other axes, their words, and the number of lines."""
    others = [a for a in range(len(shape)) if a != axis]
    numbers = [shape[a] for a in others]
    moves = [[array.strides[a] for array in arrays] for a in others]
    axes, words = make_axes([dims[a] for a in others], numbers, moves, [array.dtype for array in arrays])
    return axes, words, prod(numbers)


def _unless_dense(kinds: tuple[Stride, ...], alone: Sequence[_Run], dtypes: Sequence[DType]) -> tuple[Stride, ...]:
    """The kinds, less what is dense only because an axis of a named size, itself dense, has one element this time."""
    return tuple(
        "any" if kind == "dense" and any(run.strides[i] == dtype.itemsize for run in alone) else kind
        for i, (kind, dtype) in enumerate(zip(kinds, dtypes, strict=True))
    )


def _kind(stride: int, itemsize: int) -> Stride:
    return "none" if stride == 0 else "dense" if stride == itemsize else "any"
