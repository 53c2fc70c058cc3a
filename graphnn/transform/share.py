"""Share common subexpressions: nodes of one op with the same operands and attributes become one node."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ..ir.graph import Graph
from ..ir.leaf import Constant, Input, Parameter
from ..ir.node import Node
from .memo import remembered
from .passes import Pass
from .record import EQUAL, Fired, current
from .rewrite import rebuilt

__all__ = ["identity", "share"]

_LARGE = 1024
"""Larger constants, in bytes, are compared by identity: hashing them would cost more than sharing saves."""


def _apply(graph: Graph) -> Graph:
    record = current()
    keys: dict[Node, Hashable] = remembered(identity, dict)
    first: dict[Hashable, Node] = {}
    replaced: dict[Node, Node] = {}
    before: dict[Node, Node] = {}
    none_replaced = replaced.keys().isdisjoint  # called with a node's operands
    order: list[Node] = []
    for node in graph.nodes:
        new = node if none_replaced(node.operands) else rebuilt(node, replaced, before)
        key = keys.get(new)
        if key is None:
            key = keys[new] = identity(new)
        standing = first.setdefault(key, new)
        if standing is not new and (record.limit is None or len(record.fired) < record.limit):
            record.fired.append(Fired(EQUAL, node, new, standing))
            before[node], new = new, standing
        else:
            order.append(new)
        if new is not node:
            replaced[node] = new
    if replaced:
        record.moves.append(replaced)
    return graph.replaced(replaced, order)


def identity(node: Node) -> Hashable:
    """A key that two nodes have in common exactly when one may replace the other; the node itself when none may."""
    if node.random or isinstance(node, (Input, Parameter)):
        return node
    if isinstance(node, Constant):
        value = node.value
        return (Constant, node.spec, value.tobytes()) if value.nbytes <= _LARGE else node
    if not node.attribute_names and len(node.operands) == len(node.field_names):
        return (node.__class__, node.operands)
    mine = node.__dict__
    key = (node.__class__, *[_told_apart(mine[name]) for name in node.field_names])
    try:
        hash(key)
    except TypeError:  # a user's op with a list or an array for an attribute
        return node
    return key


def _told_apart(value: Any) -> Hashable:
    """An attribute as a key that tells apart 1, 1.0 and True, and 0.0 and -0.0."""
    if isinstance(value, Node) or value.__class__ is str:
        return value  # both are hashable
    if value.__class__ is tuple:
        for part in value:
            if part.__class__ is not int:
                return tuple([_told_apart(part) for part in value])
        return value
    if isinstance(value, (bool, int, float)):
        return (type(value), repr(value))
    return value  # type: ignore[no-any-return]  # `identity` notices those that are not hashable


share = Pass("share", "exact", _apply)
