"""Indices: the kernel calls of ops that read or write where labels and indices point, in arrays of any layout.

Every index is checked before it is followed, by the caller or by a check kernel earlier in the program. So the kernels
here do not check it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...ir.formula import parse
from ...ir.node import Node
from ...ir.spec import Dim
from ...ops.elements import GatherElements, ScatterElements
from ...ops.gathering import Gather, ScatterAdd
from ...ops.indexing import OneHot, Pick
from ..nests import Axis, Nest, make_axes
from .maps import copy, lower_map
from .picks import check_kernel, one_hot_kernel, put_kernel, take_kernel
from .reductions import fold
from .tape import Invocation, address_of

__all__ = ["INDICES", "lower_check"]

Arrays: TypeAlias = "tuple[np.ndarray, ...]"
Seen: TypeAlias = "tuple[np.ndarray, Sequence[int | None]]"
"""An array, and for each axis of a loop the axis of the array that it goes along. None if the array stays in place."""


def lower_check(dims: Sequence[Dim], labels: np.ndarray, classes: int) -> list[Invocation]:
    """The call that stops the program when a label is out of range."""
    if not labels.size:
        return []
    axes, words = _axes(dims, labels.shape, [(labels, range(labels.ndim))])
    return [Invocation(check_kernel(axes, labels.dtype), [address_of(labels), classes, *words])]


def _axes(dims: Sequence[Dim], shape: Sequence[int], arrays: Sequence[Seen]) -> tuple[tuple[Axis, ...], list[int]]:
    """The axes of a loop over arrays, and the sizes and strides that the kernel reads as words."""
    moves = [[0 if own[a] is None else x.strides[own[a]] for x, own in arrays] for a in range(len(shape))]  # type: ignore[index]  # mypy does not follow the test
    return make_axes(dims, shape, moves, tuple(x.dtype for x, _ in arrays))


def _follow(
    dims: Sequence[Dim], shape: Sequence[int], arrays: Sequence[Seen], points: int
) -> tuple[tuple[Axis, ...], Nest, list[int]]:
    """The loop over the indices, the loop nest over the slice at each index, and the words of both.

    The first `points` axes of the loop go through the indices; the rest go through the slice that an index points to.
    The arrays are result, operand and index.
    """
    outer, words = _axes(dims[:points], shape[:points], arrays)
    sliced = [(x, own[points:]) for x, own in arrays[:2]]
    inner, more = _axes(dims[points:], shape[points:], sliced)
    return outer, Nest(inner, tuple(x.dtype for x, _ in sliced)), [*words, *more]


def _take(
    dims: Sequence[Dim], shape: Sequence[int], arrays: Sequence[Seen], points: int, step: int
) -> list[Invocation]:
    (out, _), _, (index, _) = arrays
    if not out.size:
        return []
    axes, slices, words = _follow(dims, shape, arrays, points)
    return [Invocation(take_kernel(axes, slices, index.dtype), [*_places(arrays), step, *words])]


def _put(
    ufunc: str | None, dims: Sequence[Dim], shape: Sequence[int], arrays: Sequence[Seen], points: int, step: int
) -> list[Invocation]:
    (out, _), (x, _), (index, _) = arrays
    if not x.size:
        return []
    axes, slices, words = _follow(dims, shape, arrays, points)
    how = None if ufunc is None else fold(ufunc, out.dtype, out.dtype)
    return [Invocation(put_kernel(axes, slices, index.dtype, how), [*_places(arrays), step, *words])]


def _places(arrays: Sequence[Seen]) -> list[int]:
    return [address_of(x) for x, _ in arrays]


# Ops -----------------------------------------------------------------------------------------------------------------


def _gather(node: Any, ins: Arrays, out: np.ndarray, declared: Node, working: Arrays) -> list[Invocation]:
    x, index = ins
    arrays = [(out, range(out.ndim)), (x, _around(node, index, out.ndim)), (index, _inside(node, index, out.ndim))]
    return _take(declared.shape, out.shape, arrays, node.axis + index.ndim, x.strides[node.axis])


def _scatter_add(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    x, index = ins
    arrays = [(out, _around(node, index, x.ndim)), (x, range(x.ndim)), (index, _inside(node, index, x.ndim))]
    added = _put("add", declared.x.shape, x.shape, arrays, node.axis + index.ndim, out.strides[node.axis])
    return [*lower_map(parse("0"), (), declared.shape, (), out), *added]


def _around(node: Any, index: np.ndarray, ndim: int) -> list[int | None]:
    """How an array is read that has one axis, the one pointed along, where the loop has all axes of the index.

    For each axis of the loop, the array's axis; None for the axes of the index, along which the index itself moves.
    """
    return [a if a < node.axis else None if a < node.axis + index.ndim else a - index.ndim + 1 for a in range(ndim)]


def _inside(node: Any, index: np.ndarray, ndim: int) -> list[int | None]:
    """How the index is read: its axes are those of the loop from the node's axis on. None for all others."""
    return [a - node.axis if node.axis <= a < node.axis + index.ndim else None for a in range(ndim)]


def _gather_elements(node: Any, ins: Arrays, out: np.ndarray, declared: Node, working: Arrays) -> list[Invocation]:
    x, index = ins
    own = range(x.ndim)
    arrays: list[Seen] = [(out, own), (x, _beside(node, x)), (index, own)]
    return _take(declared.shape, out.shape, arrays, x.ndim, x.strides[node.axis])


def _scatter_elements(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    x, index, updates = ins
    own = range(x.ndim)
    arrays: list[Seen] = [(out, _beside(node, out)), (updates, own), (index, own)]
    before = [] if address_of(x) == address_of(out) else copy(declared.shape, out, x)
    return [*before, *_put(node.ufunc, declared.updates.shape, updates.shape, arrays, x.ndim, out.strides[node.axis])]


def _beside(node: Any, array: np.ndarray) -> list[int | None]:
    """How an array with the index's axes is read: along all but the one that the index points along, which is None."""
    return [None if a == node.axis else a for a in range(array.ndim)]


def _pick(node: Node, ins: Arrays, out: np.ndarray, declared: Node, working: Arrays) -> list[Invocation]:
    x, labels = ins
    own = range(labels.ndim)
    return _take(declared.shape, out.shape, [(out, own), (x, own), (labels, own)], labels.ndim, x.strides[-1])


def _one_hot(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    [labels] = ins
    if not out.size:
        return []
    axis = node.axis % out.ndim
    beside = [a for a in range(out.ndim) if a != axis]
    points, words = _axes(declared.target.shape, labels.shape, [(out, beside), (labels, range(labels.ndim))])
    row, more = _axes((node.classes,), (node.classes,), [(out, [axis])])
    kernel = one_hot_kernel(points, Nest(row, (out.dtype,)), labels.dtype, node.on, node.off)
    return [Invocation(kernel, [address_of(out), address_of(labels), out.strides[axis], *words, *more])]


INDICES: Mapping[type[Node], Callable[..., list[Invocation]]] = {
    Gather: _gather,
    ScatterAdd: _scatter_add,
    GatherElements: _gather_elements,
    ScatterElements: _scatter_elements,
    Pick: _pick,
    OneHot: _one_hot,
}
