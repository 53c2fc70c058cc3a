"""Fold constants: what is made of constants alone is computed once, here."""

from __future__ import annotations

import numpy as np

from ..ir.context import like
from ..ir.graph import Graph
from ..ir.leaf import Constant
from ..ir.node import Node
from ..ops.shape import Repeat
from .passes import Pass, rewrite

__all__ = ["fold"]


def _fold(node: Node) -> Node | None:
    constants = [op for op in node.operands if isinstance(op, Constant)]
    # A repeated constant is a view: folding would only spend memory.
    if not constants or len(constants) < len(node.operands) or isinstance(node, Repeat) or isinstance(node.spec, tuple):
        return None
    if not node.static or node.spec.sizes:  # its named sizes are not known yet
        return None
    with np.errstate(all="ignore"), like(node):
        value = np.array(node.forward(np, *(constant.value for constant in constants)), order="C")
        value.flags.writeable = False
        return Constant(value)


def _apply(graph: Graph) -> Graph:
    return rewrite(graph, _fold)


fold = Pass("fold constants", "exact", _apply)
