"""Recompute: what the backward pass reads is computed again near where it is read, instead of being kept.

The steps before the peak of memory are cut into segments. A value that is read after the peak is computed again from
what enters its segment, just before its first late reader; the last segment, next to the peak, stays as it is.
The same ops on the same values give the same bits.

Source: T. Chen, B. Xu, C. Zhang and C. Guestrin, Training Deep Nets with Sublinear Memory Cost, 2016,
arXiv:1604.06174.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir.graph import Graph
from ..ir.node import Item, Node
from ..ops.elementwise import Elementwise
from ..ops.structure import Cast

__all__ = ["is_anything", "is_cheap", "recompute"]


def is_cheap(node: Node) -> bool:
    """Does computing it again cost about as much as reading it: elementwise, casts, views?"""
    return not node.random and (isinstance(node, (Elementwise, Cast, Item)) or node.view(True) is not None)


def is_anything(node: Node) -> bool:
    """Every op whose value is a function of its operands."""
    return not node.random


def recompute(
    order: Sequence[Node], graph: Graph, peak: int, cuts: Sequence[int], may: Callable[[Node], bool]
) -> Graph:
    """The graph in an order with some values computed again: those read after `peak`, a place in the order.

    `cuts` are the places where segments begin, rising, the first at 0; `may` says which nodes are computed again.
    The same graph when there is nothing to compute again.
    """
    return _Recomputer(order, graph, peak, cuts, may).graph()


class _Recomputer:
    def __init__(
        self, order: Sequence[Node], graph: Graph, peak: int, cuts: Sequence[int], may: Callable[[Node], bool]
    ) -> None:
        self.order, self.whole, self.peak, self.may = order, graph, peak, may
        self.segment: dict[Node, int] = {}
        last = len(cuts) - 1
        for s, start in enumerate(cuts[:-1]):
            for node in order[start : cuts[s + 1]]:
                if node.operands and not node.static:
                    self.segment[node] = s
        assert last >= 0
        self.again: dict[Node, Node] = {}
        self.made: list[Node] = []

    def graph(self) -> Graph:
        """The early steps as they are; before each late one, what it reads anew."""
        replaced: dict[Node, Node] = {}
        self.made = list(self.order[: self.peak])
        for node in self.order[self.peak :]:
            operands = {operand: self._anew(operand) for operand in node.operands if operand in self.segment}
            swapped = {old: new for old, new in operands.items() if new is not old}
            swapped |= {old: replaced[old] for old in node.operands if old in replaced}
            new = node.with_operands(swapped) if swapped else node
            if new is not node:
                replaced[node] = new
            self.made.append(new)
        if not self.again:
            return self.whole
        graph = Graph(
            {name: replaced.get(node, node) for name, node in self.whole.outputs.items()},
            {parameter: replaced.get(node, node) for parameter, node in self.whole.updates.items()},
        )
        reached = set(graph.nodes)
        return graph.in_order(tuple(node for node in self.made if node in reached))

    def _anew(self, wanted: Node) -> Node:
        """The value computed again, with what it needs of its own segment; without recursion."""
        if not self.may(wanted):
            return wanted
        stack = [wanted]
        while stack:
            node = stack[-1]
            if node in self.again:
                stack.pop()
                continue
            inside = [operand for operand in node.operands if self._again(operand, node)]
            missing = [operand for operand in inside if operand not in self.again]
            if missing:
                stack += reversed(missing)
                continue
            stack.pop()
            new = (
                node.with_operands({operand: self.again[operand] for operand in inside})
                if inside
                else node.with_fields()
            )
            self.again[node] = new
            self.made.append(new)
        return self.again[wanted]

    def _again(self, operand: Node, user: Node) -> bool:
        segment = self.segment.get(operand)
        return segment is not None and segment == self.segment[user] and self.may(operand)
