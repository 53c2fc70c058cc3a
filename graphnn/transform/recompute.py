"""Recompute: instead of being kept, values that the backward pass reads are computed again near where they are read.

The steps before the peak of memory use are cut into segments. A value that is read after the peak is computed again
from the values that enter its segment, just before the first reader after the peak. The last segment, next to the peak,
stays as it is. The bits stay the same, since the same ops are applied to the same values.

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
    """Does computing the node again cost about as much as reading it? So do elementwise ops, casts and views."""
    return not node.random and (isinstance(node, (Elementwise, Cast, Item)) or node.view(True) is not None)


def is_anything(node: Node) -> bool:
    """Is the value of the node a function of its operands, so that it can be computed again at all?"""
    return not node.random


def recompute(
    order: Sequence[Node], graph: Graph, peak: int, cuts: Sequence[int], may: Callable[[Node], bool]
) -> tuple[Graph, tuple[Node, ...]] | None:
    """A graph in which some values are computed again, those that are read after the position `peak`; and its order.

    `cuts` are the positions in the order at which segments begin, rising, the first of them 0. `may` says which nodes
    may be computed again. The result is None if no node is.
    """
    return _Recomputer(order, graph, peak, cuts, may).result()


class _Recomputer:
    def __init__(
        self, order: Sequence[Node], graph: Graph, peak: int, cuts: Sequence[int], may: Callable[[Node], bool]
    ) -> None:
        self.order, self.whole, self.peak, self.may = order, graph, peak, may
        self.segment: dict[Node, int] = {}
        for s, start in enumerate(cuts[:-1]):
            for node in order[start : cuts[s + 1]]:
                if node.operands and not node.static:
                    self.segment[node] = s
        self.again: dict[Node, Node] = {}
        self.made: list[Node] = []

    def result(self) -> tuple[Graph, tuple[Node, ...]] | None:
        """The steps before the peak as they are; then each step, after the values that are computed again for it."""
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
            return None
        graph = Graph(
            {name: replaced.get(node, node) for name, node in self.whole.outputs.items()},
            {parameter: replaced.get(node, node) for parameter, node in self.whole.updates.items()},
        )
        reached = set(graph.nodes)
        return graph, tuple(node for node in self.made if node in reached)

    def _anew(self, wanted: Node) -> Node:
        """The node that computes a value again, after all that it needs from its own segment. Not recursive."""
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
