"""Layout: does a product or a reduction still read operands that lie in memory as before?

The last bits of a result depend on more than the numbers. `a @ a.T` of one buffer takes another BLAS routine than `a @
b.T`, and a sum over a transposed view adds in another order than a sum over rows. So an exact pass may give such an op
new operands only if they have the same layout, and share memory with each other exactly if the old ones did.
Elementwise ops are indifferent: they compute each element alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ir.node import Node
from ..ops.shape import Transpose

__all__ = ["faithful", "layout", "reaches", "reads_alike"]


def layout(node: Node) -> tuple[Node, list[Any]]:
    """The node in whose memory a value lies, and the views through which it is seen: none if it is in C order."""
    chain: list[Node] = []
    base = node
    while base.operands and base.view(True) is not None:
        chain.append(base)
        base = base.operands[0]
    # A value computed before the run may have any layout; only declared constants are surely in C order.
    seen: list[Any] = [base] if base.static and base.operands else []
    for view in reversed(chain):
        dense = view.view(not seen)
        if dense is None:  # a copy, after all
            base, seen = view, []
        elif not dense:
            seen = _seen_through(seen, view)
    return base, seen


def _seen_through(seen: list[Any], view: Node) -> list[Any]:
    axes = view.axes if isinstance(view, Transpose) else None
    if axes is not None and seen and isinstance(seen[-1], tuple) and seen[-1][0] is Transpose:
        inner = seen[-1][1]
        composed = [inner[a] for a in axes]
        return seen[:-1] if composed == sorted(composed) else [*seen[:-1], (Transpose, composed)]
    what = list(axes) if axes is not None else list(view.attributes().values())
    return [*seen, (type(view), what)]


def reaches(node: Node, answered: Mapping[Node, Node]) -> bool:
    """Does a node read one of the nodes in `answered`, directly or through views?"""
    for operand in node.operands:
        while operand not in answered:
            if not operand.operands or operand.view(True) is None:
                break
            operand = operand.operands[0]
        else:
            return True
    return False


def reads_alike(old: Node, new: Node) -> bool:
    """Do the operands of two nodes have the same layouts, and share memory with each other in the same way?"""
    before, after = [layout(operand) for operand in old.operands], [layout(operand) for operand in new.operands]
    if any(a[1] != b[1] for a, b in zip(before, after, strict=True)):
        return False
    first = [next(i for i, other in enumerate(before) if other[0] is base) for base, _ in before]
    return first == [next(i for i, other in enumerate(after) if other[0] is base) for base, _ in after]


def faithful(node: Node, replaced: Mapping[Node, Node], before: Mapping[Node, Node]) -> Node:
    """The new node for a node, except that neither it nor what it is a view of is replaced by a rule."""
    chain: list[Node] = []
    while node.operands and node.view(True) is not None:
        chain.append(node)
        node = node.operands[0]
    new = before.get(node, replaced.get(node, node))
    for view in reversed(chain):
        new = view.with_operands({node: new} if new is not node else {})
        node = view
    return new
