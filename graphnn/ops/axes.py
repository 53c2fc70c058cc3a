"""Axes: reading what a user writes for `axis`."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..ir.node import Node, describe

__all__ = ["read_axis", "read_axes"]


def read_axis(op: str, axis: Any, node: Node) -> int:
    """One axis, counted from 0; negative ones count from the end.

    Raises:
        ShapeError: when the node has no such axis.
    """
    if isinstance(axis, bool) or not hasattr(axis, "__index__"):
        raise ShapeError(f"{op}: axis {axis!r} is not a number.")
    found = axis.__index__()
    if not -node.ndim <= found < node.ndim:
        raise ShapeError(f"{op}: there is no axis {found} in {describe(node)}, which has {node.ndim} axes.")
    return int(found % node.ndim)


def read_axes(op: str, axis: Any, node: Node) -> tuple[int, ...]:
    """The axes meant by None (all), one, or several, in rising order.

    Raises:
        ShapeError: when the node has no such axis, or one is named twice.
    """
    if axis is None:
        return tuple(range(node.ndim))
    axes = tuple(read_axis(op, a, node) for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    if len(set(axes)) < len(axes):
        raise ShapeError(f"{op}: axis {axis} names an axis of {describe(node)} twice.")
    return tuple(sorted(axes))
