"""Fold constants: what is made of constants alone is computed once, here."""

from __future__ import annotations

import numpy as np

from ..ir.leaf import Constant
from ..ir.node import Node
from .passes import Pass, Rules, rewrite

__all__ = ["fold"]


rules = Rules()


@rules.on(Node)
def _known_beforehand(node: Node) -> Node | None:
    operands = node.operands
    if not node.static or not operands or isinstance(node.spec, tuple) or node.spec.sizes:
        return None
    # A view of a constant costs nothing: folding would only spend memory.
    if not all(isinstance(op, Constant) for op in operands) or node.view(True) is not None:
        return None
    with np.errstate(all="ignore"):
        value = np.array(node.forward(np, *(op.value for op in operands if isinstance(op, Constant))))
    if not value.flags.c_contiguous:  # constants lie in C order; another order might round otherwise
        return None
    value.flags.writeable = False
    return Constant(value)


# Unguarded: a constant lies where and how the value that it stands for would have lain.
fold = Pass("fold constants", "exact", lambda graph: rewrite(graph, rules))
