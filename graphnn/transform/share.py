"""Share common subexpressions: nodes of one op with the same operands and attributes become one node."""

from __future__ import annotations

from collections.abc import Hashable

from ..ir.graph import Graph
from ..ir.leaf import Constant, Input, Parameter
from ..ir.node import Node
from .passes import Pass, rewrite

__all__ = ["share"]

_LARGE = 1024
"""Constants of more bytes are compared by identity: hashing them would cost more than sharing saves."""


def _apply(graph: Graph) -> Graph:
    first: dict[Hashable, Node] = {}

    def rule(node: Node) -> Node | None:
        key = _key(node)
        return None if key is None else first.setdefault(key, node)

    return rewrite(graph, rule)


def _key(node: Node) -> Hashable | None:
    if isinstance(node, (Input, Parameter)) or node.random:
        return None
    if isinstance(node, Constant):
        value = node.value
        return (Constant, node.spec, value.tobytes()) if value.nbytes <= _LARGE else None
    attributes = tuple(node.attributes().values())
    try:
        hash(attributes)
    except TypeError:  # a user's op with a list or an array for an attribute
        return None
    return (type(node), attributes, node.operands)


share = Pass("share", "exact", _apply)
