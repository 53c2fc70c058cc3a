"""Growing: nodes get the axis of replicas, one after the other, each by the rule of its op."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeAlias

from ...ir.broadcast import broadcast_to
from ...ir.context import like
from ...ir.leaf import scalar_constant
from ...ir.node import Node
from ...ops.shape import Reshape, Transpose

__all__ = ["Replicas", "Rule", "moved", "reached"]


class Replicas:
    """The new nodes, with the axis of `count` replicas first, for all nodes that differ between replicas."""

    def __init__(self, count: int, rule: Callable[[Node], Rule], made: dict[Node, Node]) -> None:
        self.count, self.rule, self.made = count, rule, made

    def grow(self, nodes: Iterable[Node]) -> Replicas:
        """Build the new nodes for all nodes (operands first) that depend on one that differs, and return self."""
        for node in nodes:
            if node not in self.made and any(operand in self.made for operand in node.operands):
                with like(node):
                    self.made[node] = self.rule(node)(node, self)
        return self

    def inside(self, made: dict[Node, Node]) -> Replicas:
        """The replicas of a body, given the new nodes for its placeholders that differ."""
        return Replicas(self.count, self.rule, made)

    def now(self, node: Node) -> Node:
        """The new node for a node; the node itself if it is the same for all replicas."""
        return self.made.get(node, node)

    def of(self, node: Node) -> Node:
        """The node with the axis of replicas, repeated if it is the same for all."""
        return self.made[node] if node in self.made else self.repeated(node)

    def repeated(self, node: Node) -> Node:
        """A node that is the same for all replicas, repeated along a new first axis."""
        return broadcast_to(Reshape(node, (1, *node.shape)), (self.count, *node.shape))

    def all_of(self, node: Node) -> dict[Node, Node]:
        """Each operand with the axis, except for scalars that are known before the run."""
        return {x: x if x not in self.made and scalar_constant(x) else self.of(x) for x in node.operands}


Rule: TypeAlias = Callable[[Any, Replicas], Node]
"""A function from a node of which an operand differs to the new node for all replicas."""


def reached(nodes: Iterable[Node], start: Collection[Node]) -> set[Node]:
    """The nodes in `start`, and those that depend on them; `nodes` come operands first."""
    found = set(start)
    for node in nodes:
        if not found.isdisjoint(node.operands):
            found.add(node)
    return found


def moved(node: Node, source: int, target: int) -> Node:
    """The node with an axis moved to another position."""
    if source == target:
        return node
    axes = [axis for axis in range(node.ndim) if axis != source]
    axes.insert(target, source)
    return Transpose(node, tuple(axes))
