"""The inference form: each op as it is when a model predicts rather than learns, by its own answer.

A composite whose parts answer otherwise than they are becomes those parts. Updates belong to learning, and are dropped.
"""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import Item, Node
from ..ops.composite import Composite
from .passes import Pass, rewrite

__all__ = ["inference"]


def _infer_as(node: Node) -> Node | None:
    answer = node.infer_as()
    if answer is not node:
        return answer
    if isinstance(node, Item) and isinstance(node.node, Composite):
        return _through(node.node).get(node.node.results[node.index])
    if isinstance(node, Composite) and not isinstance(node.spec, tuple):
        return _through(node).get(node.results[0])
    return None


def _through(node: Composite) -> dict[Node, Node]:
    """What stands for each part of a composite that predicts otherwise, or has one that does."""
    replaced: dict[Node, Node] = {}
    for part in node.inner:
        new = part.with_operands(replaced)
        while (answer := _infer_as(new)) is not None:
            new = answer
        if new is not part:
            replaced[part] = new
    return replaced


def _apply(graph: Graph) -> Graph:
    changed = rewrite(graph, _infer_as)
    return Graph(changed.outputs) if changed.updates else changed


inference = Pass("inference form", "exact", _apply)
