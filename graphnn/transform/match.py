"""What rules ask of nodes: the number a constant is, whether two nodes are alike, who reads whom."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..ir.graph import Graph
from ..ir.leaf import Constant
from ..ir.node import Node
from ..ops.shape import Repeat, Reshape

__all__ = ["alike", "is_number", "number", "numberless", "read_once"]


def number(node: Node) -> float | int | None:
    """The number that a constant is, be it repeated to a shape; None for all else."""
    if not node.static:
        return None
    while isinstance(node, (Repeat, Reshape)):
        node = node.x
    if isinstance(node, Constant) and node.value.size == 1 and node.dtype.kind in "iuf":
        value: float | int = node.value.item()
        return value
    return None


def numberless(node: Node) -> bool:
    """Is no operand known before the run, and so none a number? Most nodes are of this kind: rules ask this first."""
    return True not in [operand.static for operand in node.operands]


def is_number(node: Node, value: float) -> bool:
    """Is it this number? 0.0 and -0.0 are told apart."""
    found = number(node)
    return found is not None and found == value and math.copysign(1, found) == math.copysign(1, value)


def alike(a: Node, b: Node) -> bool:
    """Is it one node, or the same op with the same attributes over the same operands?"""
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
    """The nodes that one other node reads, once, and nobody else sees."""
    once: set[Node] = set()
    more: set[Node] = set(graph.roots)
    for node in graph.nodes:
        for operand in node.operands:
            (more if operand in once else once).add(operand)
    return once - more


def positions(inner: Iterable[int], outer: Iterable[int]) -> tuple[int, ...]:
    """Two orders of axes, one after the other, as one."""
    first = tuple(inner)
    return tuple(first[a] for a in outer)
