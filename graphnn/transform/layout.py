"""Layout: whether a product or a reduction reads memory that lies as before.

NumPy's last bits depend on more than numbers: `a @ a.T` of one buffer takes another BLAS routine than `a @ b.T`,
and a sum over a transposed view adds in another order than over rows. So an exact pass may hand such a reader new
nodes only where they lie the same way, and stand in the same memory when they did before. Elementwise ops are
indifferent: each element is computed alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ir.node import Node
from ..ops.shape import Transpose

__all__ = ["faithful", "layout", "reaches", "reads_alike"]


def layout(node: Node) -> tuple[Node, list[Any]]:
    """The node whose memory a value lies in, and the views through which it is seen; none when it lies in C order."""
    chain: list[Node] = []
    base = node
    while base.operands and base.view(True) is not None:
        chain.append(base)
        base = base.operands[0]
    # Values known before the run lie as NumPy left them; only those declared are surely in C order.
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
    """Does a node read, through views or not, one that a rule has answered about? Others are only rebuilt."""
    for operand in node.operands:
        while operand not in answered:
            if not operand.operands or operand.view(True) is None:
                break
            operand = operand.operands[0]
        else:
            return True
    return False


def reads_alike(before: Node, after: Node) -> bool:
    """Do the operands of two nodes lie the same way, and share memory among them the same way?"""
    old, new = [layout(operand) for operand in before.operands], [layout(operand) for operand in after.operands]
    if any(a[1] != b[1] for a, b in zip(old, new, strict=True)):
        return False
    first = [next(i for i, other in enumerate(old) if other[0] is base) for base, _ in old]
    return first == [next(i for i, other in enumerate(new) if other[0] is base) for base, _ in new]


def faithful(node: Node, replaced: Mapping[Node, Node], aside: Mapping[Node, Node]) -> Node:
    """What stands for a node without a rule's answer to it or to what it is a view of."""
    chain: list[Node] = []
    while node.operands and node.view(True) is not None:
        chain.append(node)
        node = node.operands[0]
    new = aside.get(node, replaced.get(node, node))
    for view in reversed(chain):
        new = view.with_operands({node: new} if new is not node else {})
        node = view
    return new
