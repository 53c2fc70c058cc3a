"""Expand composites into the ops they are made of, so that their parts can be shared and planned.

What two composites are both made of stands once, and so do equal constants: a loss and its gradient need the same
exponentials and the same count, and to share them later would rebuild all that follows once more.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from ..ir.graph import Graph
from ..ir.node import Item, Node
from ..ops.composite import Composite
from .passes import Pass
from .record import EQUAL, EXPANDED, Fired, current
from .share import identity

__all__ = ["expand"]


def _with_parts(nodes: Iterable[Node], found: dict[Node, None]) -> dict[Node, None]:
    """Nodes in their order, each composite behind what it is made of, added to those found."""
    for node in nodes:
        if isinstance(node, Composite) and node not in found:
            _with_parts(node.inner, found)
        found[node] = None
    return found


def _made_of(node: Node) -> tuple[Composite, Node] | None:
    """The composite that a node is, or is a result of, and what stands for it there."""
    if isinstance(node, Composite) and not isinstance(node.spec, tuple):
        return node, node.results[0]
    if isinstance(node, Item) and isinstance(node.node, Composite):
        return node.node, node.node.results[node.index]
    return None


def _apply(graph: Graph) -> Graph:
    """In one sweep over the graph and all expansions: an expansion may hold composites again."""
    if not graph.of(Composite):
        return graph
    record = current()
    replaced: dict[Node, Node] = {}
    stands = replaced.keys().isdisjoint  # asked of a node's operands
    order: list[Node] = []
    parts: dict[Hashable, Node] = {}
    own = frozenset(graph.nodes)
    for node in _with_parts(graph.nodes, {}):
        if isinstance(node, (Composite, Item)):
            made = _made_of(node)
            if made is not None:
                composite, result = made
                replaced[node] = replaced.get(result, result)
                record.fired.append(Fired(EXPANDED, node, composite, replaced[node]))
                continue
            if isinstance(node, Composite):  # of several results: each is replaced where it is taken
                continue
        new = node if stands(node.operands) else node.with_operands(replaced)
        if (not node.operands or node not in own) and (first := parts.setdefault(identity(new), new)) is not new:
            record.fired.append(Fired(EQUAL, node, new, first))
            new = first
        else:
            order.append(new)
        if new is not node:
            replaced[node] = new
    record.moves.append(replaced)
    return graph.replaced(replaced, order)


expand = Pass("expand", "exact", _apply, required=True)
