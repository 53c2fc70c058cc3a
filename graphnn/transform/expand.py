"""Expand composites into the ops that they are made of, so that their parts can be shared and planned.

Equal parts of expansions become one node at once, and so do equal constants. A loss and its gradient, for example, need
the same exponentials and the same count; to share these in a later pass would rebuild all nodes after them once more.
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
    """Nodes in order, each composite after the nodes of its expansion; all are added to `found`."""
    for node in nodes:
        if isinstance(node, Composite) and node not in found:
            _with_parts(node.inner, found)
        found[node] = None
    return found


def _made_of(node: Node) -> tuple[Composite, Node] | None:
    """For a composite, or one of its results: the composite, and the node of its expansion that is the result."""
    if isinstance(node, Composite) and not isinstance(node.spec, tuple):
        return node, node.results[0]
    if isinstance(node, Item) and isinstance(node.node, Composite):
        return node.node, node.node.results[node.index]
    return None


def _apply(graph: Graph) -> Graph:
    """Expand in one sweep over the graph and all expansions, since an expansion may hold composites again."""
    if not graph.of(Composite):
        return graph
    record = current()
    replaced: dict[Node, Node] = {}
    none_replaced = replaced.keys().isdisjoint  # called with a node's operands
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
            if isinstance(node, Composite):  # it has several results, and each is replaced where it is read
                continue
        new = node if none_replaced(node.operands) else node.with_operands(replaced)
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
