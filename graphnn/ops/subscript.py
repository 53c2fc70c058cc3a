"""Subscripts: `x[1:, ::2]`, `x[0]`, `x[..., None]` and `x[index]`, and the ops that they build."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.leaf import Constant
from ..ir.node import Item, Node, describe
from .gathering import Gather
from .reshaping import Squeeze, Unsqueeze
from .slicing import Slice

__all__: list[str] = []


@dataclass
class _Parts:
    """A subscript read: a slice or number for some axes, an index for one, and where new axes stand."""

    slices: dict[int, slice] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    index: tuple[int, Node] | None = None
    new: list[int] = field(default_factory=list)
    """Counted in the result."""


def subscript(x: Node, key: Any) -> Node:
    """What `x[key]` means, as in NumPy: Slice, then Gather, Squeeze and Unsqueeze, as far as they are needed.

    A key may have numbers, slices, `...`, None for a new axis, and at most one index: a node of integers, or what makes
    a constant. For an op with several results, a number chooses one of them.

    Raises:
        ShapeError: when there are more keys than axes, or a number lies beyond its axis.
        DTypeError: for an index that is not of integers.
        GraphError: for what a graph cannot say: masks, several indices at once, or a key of another kind.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", 6))
    >>> x[1:, ::2].shape, x[0].shape, x[..., None].shape, x[:, [4, 0]].shape
    ((N-1, 3), (6,), (N, 6, 1), (N, 2))
    """
    if isinstance(x.spec, tuple):
        return _result(x, key)
    parts = _read(x, key if isinstance(key, tuple) else (key,))
    taken = x
    if parts.slices:
        axes = tuple(parts.slices)
        start, stop, step = zip(
            *((s.start, s.stop, 1 if s.step is None else s.step) for s in parts.slices.values()), strict=True
        )
        taken = Slice(taken, start, stop, step, axes)
    gone = parts.numbers
    if parts.index is not None:
        axis, index = parts.index
        taken = Gather(taken, index, axis)
        gone = [a if a < axis else a + index.ndim - 1 for a in gone]
    if gone:
        taken = Squeeze(taken, tuple(gone))
    return Unsqueeze(taken, tuple(parts.new)) if parts.new else taken


Node.__getitem__ = subscript  # type: ignore[method-assign, assignment]  # ops install their operators themselves


def _result(node: Node, key: Any) -> Node:
    """One of several results."""
    n = len(node.spec)  # type: ignore[arg-type]  # a tuple of specs
    if isinstance(key, bool) or not hasattr(key, "__index__") or not -n <= key < n:
        raise GraphError(f"{describe(node)} has {n} results: pick one by its number, 0 to {n - 1}, not {key!r}.")
    return Item(node, int(key) % n)


def _read(x: Node, keys: tuple[Any, ...]) -> _Parts:
    """Which key belongs to which axis."""
    named = sum(1 for key in keys if key is not None and key is not Ellipsis)
    if sum(1 for key in keys if key is Ellipsis) > 1:
        raise ShapeError(f"a subscript of {describe(x)} has `...` more than once.")
    if named > x.ndim:
        raise ShapeError(f"a subscript of {describe(x)} has {named} keys, but there are {x.ndim} axes.")
    parts = _Parts()
    kinds: list[str] = []  # in the order of the result, to see whether numbers stand beside an index
    axis = place = 0
    for key in keys if any(key is Ellipsis for key in keys) else (*keys, Ellipsis):
        if key is None:
            parts.new.append(place)
            place += 1
        elif key is Ellipsis:
            axis += x.ndim - named
            place += x.ndim - named
        elif isinstance(key, slice):
            if key != slice(None) and key != slice(None, None, 1):
                parts.slices[axis] = key
            axis, place = axis + 1, place + 1
        elif _is_number(key):
            parts.slices[axis] = _one(x, axis, key.__index__())
            parts.numbers.append(axis)
            axis += 1
        else:
            if parts.index is not None:
                raise GraphError(f"a subscript of {describe(x)} has several indices: use gn.Gather, one at a time.")
            index = _as_index(x, key)
            parts.index = (axis, index)
            axis, place = axis + 1, place + index.ndim
        kinds.append("new" if key is None or key is Ellipsis else "slice" if isinstance(key, slice) else "index")
    _check_order(x, parts, kinds)
    return parts


def _check_order(x: Node, parts: _Parts, kinds: list[str]) -> None:
    """NumPy moves axes about where numbers and an index stand apart: refused rather than done otherwise."""
    at = [i for i, kind in enumerate(kinds) if kind == "index"]
    if parts.index is not None and parts.numbers and at != list(range(at[0], at[-1] + 1)):
        raise GraphError(
            f"a subscript of {describe(x)} has a number and an index that stand apart: take one after the other."
        )


def _is_number(key: Any) -> bool:
    return not isinstance(key, (bool, np.bool_, Node, np.ndarray)) and hasattr(key, "__index__")


def _one(x: Node, axis: int, place: int) -> slice:
    """The one element at a place, which stays as an axis of size 1 for now."""
    n = x.shape[axis]
    if isinstance(n, int) and not -n <= place < n:
        raise ShapeError(f"there is no element {place} along axis {axis} of {describe(x)}, which has size {n}.")
    return slice(place, place + 1 if place != -1 else None)


def _as_index(x: Node, key: Any) -> Node:
    index: Node = key if isinstance(key, Node) else _constant(x, key)
    if index.dtype.kind == "b":
        raise GraphError(
            f"a mask {describe(index)} does not index {describe(x)}: how many it takes is not known before the run. "
            "Use gn.Where, or multiply by the mask."
        )
    if index.dtype.kind == "f":
        raise DTypeError(
            f"index {describe(index)} of {describe(x)} must be integers; declare the input with dtype='int64'."
        )
    return index


def _constant(x: Node, key: Any) -> Node:
    try:
        array = np.asarray(key)
    except ValueError as error:
        raise GraphError(f"{key!r} is no subscript of {describe(x)}: {error}.") from None
    if array.size and array.dtype.kind not in "biu":
        raise GraphError(f"{key!r} is no subscript of {describe(x)}: use numbers, slices, `...`, None or an index.")
    return Constant(array if array.size else array.astype(np.int64))
