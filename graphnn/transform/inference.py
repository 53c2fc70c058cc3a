"""The inference form: each op as it is when a model predicts rather than learns, by its own answer."""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import Node
from .passes import Pass, rewrite

__all__ = ["inference"]


def _infer_as(node: Node) -> Node | None:
    answer = node.infer_as()
    return None if answer is node else answer


def _apply(graph: Graph) -> Graph:
    return rewrite(graph, _infer_as)


inference = Pass("inference form", "exact", _apply)
