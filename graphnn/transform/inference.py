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
    if isinstance(node, Item) and isinstance(node.node, Composite):
        results = _through(node.node)
        return results[node.index] if results else None
    answer = node.infer_as()
    if answer is not node:
        return answer
    results = _through(node) if isinstance(node, Composite) and not isinstance(node.spec, tuple) else None
    return results[0] if results else None


def _through(node: Composite) -> tuple[Node, ...] | None:
    """What a composite is made of, where that predicts otherwise."""
    replaced: dict[Node, Node] = {}
    for part in node.inner:
        new = part.with_operands(replaced)
        while (answer := _infer_as(new)) is not None:
            new = answer
        if new is not part:
            replaced[part] = new
    changed = any(result in replaced for result in node.results)
    return tuple(replaced.get(result, result) for result in node.results) if changed else None


def _apply(graph: Graph) -> Graph:
    changed = rewrite(graph, _infer_as)
    return Graph(changed.outputs) if changed.updates else changed


inference = Pass("inference form", "exact", _apply)
