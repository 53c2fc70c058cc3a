"""Expand composites into the ops they are made of, so that their parts can be shared and planned."""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.walk import walk
from ..ops.composite import Composite
from .passes import Pass
from .record import EXPANDED, Fired, current
from .rewrite import replace

__all__ = ["expand"]


def _parts(node: Node) -> tuple[Node, ...]:
    return (node.expansion,) if isinstance(node, Composite) else node.operands


def _apply(graph: Graph) -> Graph:
    """In one sweep over the graph and all expansions: an expansion may hold composites again."""
    if not any(isinstance(node, Composite) for node in graph.nodes):
        return graph
    record = current()
    replaced: dict[Node, Node] = {}
    for node in walk(graph.roots, needs=_parts):
        if isinstance(node, Composite):
            replaced[node] = replaced.get(node.expansion, node.expansion)
            record.fired.append(Fired(EXPANDED, node, node, replaced[node]))
            continue
        new = node.with_operands(replaced)
        if new is not node:
            replaced[node] = new
    record.moves.append(replaced)
    return replace(graph, replaced)


expand = Pass("expand", "exact", _apply, required=True)
