"""The inference form: each op as it is when a model predicts rather than learns, by its own answer.

A composite whose parts answer otherwise than they are becomes those parts. Updates belong to learning, and are dropped.
"""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.walk import walk
from ..ops.composite import Composite
from .passes import Pass, rewrite

__all__ = ["inference"]


def _infer_as(node: Node) -> Node | None:
    answer = node.infer_as()
    if answer is not node:
        return answer
    return _through(node) if isinstance(node, Composite) else None


def _through(node: Composite) -> Node | None:
    """What a composite is made of, where that predicts otherwise."""
    operands = frozenset(node.operands)
    replaced: dict[Node, Node] = {}
    for part in walk([node.expansion], stop=operands):
        if part in operands:
            continue
        new = part.with_operands(replaced)
        while (answer := _infer_as(new)) is not None:
            new = answer
        if new is not part:
            replaced[part] = new
    return replaced.get(node.expansion)


def _apply(graph: Graph) -> Graph:
    changed = rewrite(graph, _infer_as)
    return Graph(changed.outputs) if changed.updates else changed


inference = Pass("inference form", "exact", _apply)
