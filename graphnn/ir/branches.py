"""Branches not taken: elements where a gradient is certainly 0 stay 0, though a slope there may be infinite.

`Where` sends the gradient 0 to the value that it did not choose. The next rule multiplies this 0 by its own slope. If
the slope is infinite there, as in `Where(x > 0, Sqrt(x), 0)` at 0, the product is NaN. So the differentiator remembers,
for each gradient that came through such a choice, the condition outside which the gradient is 0. It applies this
condition to what the next rule returns. The rules themselves need not know of it.

The attribute `elements` of an op says how far the condition holds. Through an elementwise op ("alike") it holds as it
is. Through an op that copies and sums elements ("moved"), the rule of the op is applied to the condition, as to a
gradient of ones and zeros. Any other op, such as a product of matrices, ends it. The sum of gradients at a fan-out is 0
where all of them are. The work is linear in the number of nodes, and a graph without choices gets no node from here.
"""

from __future__ import annotations

from collections.abc import Container
from weakref import WeakKeyDictionary

import numpy as np

from .leaf import Constant
from .node import Node

__all__ = ["guarded"]

_conditions: WeakKeyDictionary[Node, Node | None] = WeakKeyDictionary()
"""The condition outside which a gradient is 0; None for a sum or choice that was looked at and has no such condition.

The parts of a sum are looked at before the sum, and every result is kept here, so that no search goes deep."""


def guarded(
    node: Node, g: Node, contributions: tuple[Node | None, ...], forward: Container[Node]
) -> tuple[Node | None, ...]:
    """The contributions of the rule of `node`, with 0 where the gradient `g` that it was given is known to be 0.

    `forward` are the nodes that are being differentiated.
    """
    condition = _nonzero(g)
    if condition is None:
        return contributions
    if node.elements == "moved":
        for k, flags in zip(contributions, _as_tuple(node.vjp(condition.cast(node.dtype))), strict=True):
            if k is not None and flags is not None and _nonzero(k) is None:
                _conditions[k] = flags.cast(np.dtype(bool))
    if node.elements == "alike":
        return tuple(k if k is None else _kept_at_zero(k, g, condition, forward) for k in contributions)
    return contributions


def _as_tuple(contributions: Node | tuple[Node | None, ...] | None) -> tuple[Node | None, ...]:
    return contributions if isinstance(contributions, tuple) else (contributions,)


def _kept_at_zero(k: Node, g: Node, condition: Node, forward: Container[Node]) -> Node:
    if k.shape != condition.shape:
        return k
    if _meets_values(k, g, forward):
        k = Node.roles["where"](condition, k, Constant(0, dtype=k.dtype))
        _conditions[k] = condition
    elif _nonzero(k) is None:
        _conditions[k] = condition
    return k


def _meets_values(k: Node, g: Node, forward: Container[Node]) -> bool:
    """Does a contribution multiply or divide the gradient by anything other than finite numbers?"""
    stack = [k]
    while stack:
        part = stack.pop()
        if part is g:
            continue
        if isinstance(part, Constant):
            if not (np.isfinite(part.value).all() and np.all(part.value)):
                return True
        elif not part.static and (part in forward or not part.operands):
            return True
        elif isinstance(part, Node.roles["where"]):  # it chooses, and does not multiply
            stack += [operand for operand in part.operands[1:] if not operand.static]
        else:
            stack += part.operands
    return False


def _nonzero(g: Node | tuple[Node | None, ...]) -> Node | None:
    """The condition outside which a gradient is 0, if one is known."""
    if not isinstance(g, Node):
        return None
    if not isinstance(g, (Node.roles["where"], Node.roles["add_n"])):
        return _conditions.get(g) if _conditions else None
    if g not in _conditions:
        _conditions[g] = _chosen(g) if isinstance(g, Node.roles["where"]) else _of_any(g.operands)
    return _conditions[g]


def _chosen(g: Node) -> Node | None:
    """The condition of `Where(condition, value, 0)`, or the negated one of `Where(condition, 0, value)`."""
    condition, x, y = g.operands
    if condition.shape != g.shape or _is_zero(x) == _is_zero(y):
        return None
    value = x
    if _is_zero(x):
        condition, value = Node.roles["not"](condition), y
    inner = _nonzero(value)
    return condition if inner is None else _joined("and", condition, inner)


def _is_zero(node: Node) -> bool:
    return isinstance(node, Constant) and not node.shape and node.value == 0


def _of_any(parts: tuple[Node, ...]) -> Node | None:
    """The condition of a sum: any of the conditions of its parts."""
    total: Node | None = None
    for part in parts:
        condition = _nonzero(part)
        if condition is None:
            return None
        total = condition if total is None else _joined("or", total, condition)
    return total


def _joined(how: str, a: Node, b: Node) -> Node:
    joined: Node = a if a is b else Node.roles[how](a, b)
    return joined
