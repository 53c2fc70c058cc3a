"""The inference form of a graph: each op is replaced by what it is when a model predicts, which its `infer_as` says.

A composite with parts that change is replaced by its changed expansion. Updates belong to learning, and are dropped.
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
    """The results of a composite's expansion in inference form; None when nothing in it changes."""
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
