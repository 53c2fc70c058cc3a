"""Expand composites into the ops they are made of, so that their parts can be shared and planned."""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import Node
from ..ops.composite import Composite
from .passes import Pass, rewrite

__all__ = ["expand"]


def _expand(node: Node) -> Node | None:
    return node.expansion if isinstance(node, Composite) else None


def _apply(graph: Graph) -> Graph:
    while any(isinstance(node, Composite) for node in graph.nodes):  # an expansion may hold composites again
        graph = rewrite(graph, _expand)
    return graph


expand = Pass("expand", "exact", _apply)
