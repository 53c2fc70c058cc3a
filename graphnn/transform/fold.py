"""Fold constants: a node whose operands are all constants is computed at compile time."""

from __future__ import annotations

import numpy as np

from ..ir.graph import Graph
from ..ir.leaf import Constant
from ..ir.node import Node
from .passes import Pass, rewrite

__all__ = ["fold"]


def _known_beforehand(node: Node) -> Node | None:
    operands = node.operands
    if isinstance(node.spec, tuple) or node.spec.sizes:
        return None
    # A view of a constant costs nothing; a folded one would take memory.
    if not all(isinstance(op, Constant) for op in operands) or node.view(True) is not None:
        return None
    with np.errstate(all="ignore"):
        value = np.array(node.forward(np, *(op.value for op in operands if isinstance(op, Constant))))
    if not value.flags.c_contiguous:  # constants lie in C order; another order might round otherwise
        return None
    value.flags.writeable = False
    return Constant(value)


def _apply(graph: Graph) -> Graph:
    # Not `exact=True`: the constant has the memory layout that the value would have had.
    return rewrite(graph, {node: _known_beforehand for node in graph.nodes if node.static and node.operands})


fold = Pass("fold constants", "exact", _apply)
