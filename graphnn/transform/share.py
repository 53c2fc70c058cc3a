"""Share common subexpressions: nodes of one op with the same operands and attributes become one node."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ..ir.graph import Graph
from ..ir.leaf import Constant, Input, Parameter
from ..ir.node import Node
from .passes import Pass, Rules, rewrite

__all__ = ["share"]

_LARGE = 1024
"""Constants of more bytes are compared by identity: hashing them would cost more than sharing saves."""


def _apply(graph: Graph) -> Graph:
    first: dict[Hashable, Node] = {}

    def equal_nodes_are_one(node: Node) -> Node | None:
        key = _key(node)
        try:
            return None if key is None else first.setdefault(key, node)
        except TypeError:  # a user's op with a list or an array for an attribute
            return None

    return rewrite(graph, Rules(equal_nodes_are_one), exact=True)


def _key(node: Node) -> Hashable | None:
    if isinstance(node, (Input, Parameter)) or node.random:
        return None
    if isinstance(node, Constant):
        value = node.value
        return (Constant, node.spec, value.tobytes()) if value.nbytes <= _LARGE else None
    if node.field_names == node.node_fields and len(node.operands) == len(node.field_names):
        return (node.__class__, node.operands)
    mine = node.__dict__
    return (node.__class__, *[_told_apart(mine[name]) for name in node.field_names])


def _told_apart(value: Any) -> Hashable:
    """An attribute as what is equal only when it is the same: 1, 1.0 and True, 0.0 and -0.0 are not."""
    if isinstance(value, Node) or value.__class__ is str:
        return value  # both are hashable
    if value.__class__ is tuple:
        return tuple([_told_apart(part) for part in value])
    if isinstance(value, (bool, int, float)):
        return (type(value), repr(value))
    return value  # type: ignore[no-any-return]  # unhashable ones are found out when they are looked up


share = Pass("share", "exact", _apply)
