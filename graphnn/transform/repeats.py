"""Repeats in sums: the sum of a value repeated n times is n times the value."""

from __future__ import annotations

from ..ir.leaf import count_of
from ..ir.node import Node
from ..ops.reductions import Sum
from ..ops.shape import Repeat, Reshape
from .passes import Rules, made_of

__all__ = ["repeats", "rules"]

rules = Rules()


@rules.on(Sum)
def _sum_of_repeat(node: Node) -> Node | None:
    match node:
        case Sum(Repeat(x, n, axis), axes, keepdims) if node.dtype.kind == "f" and axis in node.axes:
            total = Sum(x, axes, keepdims)
            single = _sum_of_one(total)
            return (total if single is None else single) * count_of((n,), node.dtype)
    return None


@rules.on(Sum)
def _sum_of_one(node: Node) -> Node | None:
    match node:
        case Sum(x, axes) if axes and node.dtype == x.dtype and all(x.shape[a] == 1 for a in node.axes):
            return x if node.spec == x.spec else Reshape(x, node.shape)
    return None


repeats = made_of("sums of repeats", "reassociating", rules)
