"""Windows of replicas: pooling over more samples, and convolutions over more samples, channels or groups.

A window never covers two samples, and a group of channels never reads another group. So replicas with other images
become more samples. Replicas with the same images and other filters become more filters. Replicas that differ in both
become more groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...ir.node import Node
from ...ops.conv import Conv, ConvTranspose, ConvWeight
from ...ops.shape import Reshape
from .growing import Replicas, moved

__all__ = ["convolution", "pool"]


def pool(node: Node, replicas: Replicas) -> Node:
    """The op over the samples of all replicas, one after the other."""
    joined = {x: _joined(replicas.of(x), 0) for x in node.operands}
    return _apart(node.with_operands(joined), 0, replicas.count)


class _Axis(NamedTuple):
    """The axis along which replicas are joined; `grouped` says that groups of channels lie along it."""

    axis: int
    grouped: bool = False


_ALONE: Mapping[type, tuple[tuple[_Axis, _Axis], tuple[_Axis, _Axis]]] = {
    Conv: ((_Axis(0), _Axis(0)), (_Axis(0, True), _Axis(1, True))),
    ConvTranspose: ((_Axis(0), _Axis(0)), (_Axis(1), _Axis(1, True))),
    ConvWeight: ((_Axis(1, True), _Axis(1)), (_Axis(1, True), _Axis(0, True))),
}
"""If one operand differs, the first or the second: the axis along which it is joined, and that of the result."""

_TOGETHER: Mapping[type, tuple[int, int, int]] = {Conv: (1, 0, 1), ConvTranspose: (1, 0, 1), ConvWeight: (1, 1, 0)}
"""If both operands differ: the axes of the two and of the result along which groups lie."""


def convolution(node: Conv | ConvTranspose | ConvWeight, replicas: Replicas) -> Node:
    """One convolution for all replicas. A bias that differs, though the filters do not, is added after it."""
    made, count, bias = replicas.made, replicas.count, getattr(node, "b", None)
    first, second = node.operands[:2]
    if bias in made and second not in made:
        without = _with(node, first, second, None, node.groups)
        images = convolution(without, replicas) if first in made else without
        return images + Reshape(made[bias], (count, 1, *bias.shape, *(1,) * (node.ndim - 2)))
    if first in made and second in made:
        a, b, to = _TOGETHER[type(node)]
        x, W, groups, within = _joined(made[first], a), _joined(made[second], b), node.groups * count, 1
    else:
        (axis, grouped), (to, grouped_there) = _ALONE[type(node)][0 if first in made else 1]
        given = {x: _joined(made[x], axis, node.groups if grouped else 1) for x in (first, second) if x in made}
        x, W, groups = given.get(first, first), given.get(second, second), node.groups
        within = groups if grouped_there else 1
    if bias is not None and second in made:
        bias = _joined(replicas.of(bias), 0, within)
    return _apart(_with(node, x, W, bias, groups), to, count, within)


def _with(node: Any, first: Node, second: Node, bias: Node | None, groups: int) -> Any:
    """The convolution with other operands."""
    attributes = {**node.attributes(), "groups": groups}
    attributes.pop("b", None)
    return type(node)(first, second, **attributes, **({} if bias is None else {"b": bias}))


def _joined(node: Node, axis: int, groups: int = 1) -> Node:
    """The replicas joined along an axis (not counting their own), within each group of channels if there are groups."""
    count, *shape = node.shape
    split = (groups,) if groups > 1 else ()
    parts = Reshape(node, (count, *shape[:axis], *split, shape[axis] // groups, *shape[axis + 1 :]))
    beside = moved(parts, 0, axis + len(split))
    return Reshape(beside, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :]))


def _apart(node: Node, axis: int, count: int, groups: int = 1) -> Node:
    """The inverse of `_joined`: the replicas along a first axis of their own again."""
    shape = node.shape
    split, part = (groups,) if groups > 1 else (), shape[axis] // (groups * count)
    parts = Reshape(node, (*shape[:axis], *split, count, part, *shape[axis + 1 :]))
    behind = moved(parts, axis + len(split), 0)
    return Reshape(behind, (count, *shape[:axis], part * groups, *shape[axis + 1 :]))
