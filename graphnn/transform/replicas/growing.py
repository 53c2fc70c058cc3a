"""Growing: nodes get the axis of replicas, one after another, each by its op's rule."""

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
    """What nodes became: those that differ between replicas, with the axis of `count` replicas first."""

    def __init__(self, count: int, rule: Callable[[Node], Rule], made: dict[Node, Node]) -> None:
        self.count, self.rule, self.made = count, rule, made

    def grow(self, nodes: Iterable[Node]) -> Replicas:
        """Itself, after nodes that depend on one that differs were made anew; they come operands first."""
        for node in nodes:
            if node not in self.made and any(operand in self.made for operand in node.operands):
                with like(node):
                    self.made[node] = self.rule(node)(node, self)
        return self

    def inside(self, made: dict[Node, Node]) -> Replicas:
        """Those of a body, of whose placeholders these differ."""
        return Replicas(self.count, self.rule, made)

    def now(self, node: Node) -> Node:
        """What a node became, or itself where it is the same for all."""
        return self.made.get(node, node)

    def of(self, node: Node) -> Node:
        """With the axis of replicas; of what has none, all see the same."""
        return self.made[node] if node in self.made else self.repeated(node)

    def repeated(self, node: Node) -> Node:
        """One value for all, with the axis."""
        return broadcast_to(Reshape(node, (1, *node.shape)), (self.count, *node.shape))

    def all_of(self, node: Node) -> dict[Node, Node]:
        """Each operand with the axis, but for scalars known before the run."""
        return {x: x if x not in self.made and scalar_constant(x) else self.of(x) for x in node.operands}


Rule: TypeAlias = Callable[[Any, Replicas], Node]
"""Makes of a node what all replicas compute, when one of its operands differs."""


def reached(nodes: Iterable[Node], start: Collection[Node]) -> set[Node]:
    """The nodes that depend on some of `start`, and these; nodes come operands first."""
    found = set(start)
    for node in nodes:
        if not found.isdisjoint(node.operands):
            found.add(node)
    return found


def moved(node: Node, source: int, target: int) -> Node:
    """An axis moved to another place among the others."""
    if source == target:
        return node
    axes = [axis for axis in range(node.ndim) if axis != source]
    axes.insert(target, source)
    return Transpose(node, tuple(axes))
