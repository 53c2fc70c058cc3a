"""Questions that rules ask about nodes: is it a number, are two nodes alike, is a node read only once?"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..ir.graph import Graph
from ..ir.leaf import Constant
from ..ir.node import Node
from ..ops.shape import Repeat, Reshape

__all__ = ["alike", "is_number", "number", "numberless", "read_once"]


def number(node: Node) -> float | int | None:
    """The number that a constant holds, also if it is repeated to a shape; None for any other node."""
    if not node.static:
        return None
    while isinstance(node, (Repeat, Reshape)):
        node = node.x
    if isinstance(node, Constant) and node.value.size == 1 and node.dtype.kind in "iuf":
        value: float | int = node.value.item()
        return value
    return None


def numberless(node: Node) -> bool:
    """Is no operand known before the run, so that none is a number? Rules ask this first: it is true of most nodes."""
    return True not in [operand.static for operand in node.operands]


def is_number(node: Node, value: float) -> bool:
    """Is the node this number? 0.0 and -0.0 differ."""
    found = number(node)
    return found is not None and found == value and math.copysign(1, found) == math.copysign(1, value)


def alike(a: Node, b: Node) -> bool:
    """Are the two one node, or the same op with the same attributes and operands?"""
    if a is b:
        return True
    if type(a) is not type(b) or a.spec != b.spec or a.random or len(a.operands) != len(b.operands):
        return False
    operands = all(
        x is y or (number(x) is not None and number(x) == number(y))
        for x, y in zip(a.operands, b.operands, strict=True)
    )
    return operands and bool(a.operands) and list(a.attributes().values()) == list(b.attributes().values())


def read_once(graph: Graph) -> set[Node]:
    """The nodes that are read exactly once, by another node, and are neither outputs nor updates."""
    once: set[Node] = set()
    more: set[Node] = set(graph.roots)
    for node in graph.nodes:
        for operand in node.operands:
            (more if operand in once else once).add(operand)
    return once - more


def positions(inner: Iterable[int], outer: Iterable[int]) -> tuple[int, ...]:
    """The order of axes that does the same as two orders, one after the other."""
    first = tuple(inner)
    return tuple(first[a] for a in outer)
