"""Branches not taken: where a gradient is 0 for certain, so that no infinite slope can make it NaN.

`Where` sends 0 to the value that it did not choose. Behind it a rule multiplies that 0 by its slope, which may be
infinite there: `Where(x > 0, Sqrt(x), 0)` at 0. So the differentiator keeps, for each gradient that came through such
a choice, the condition outside which it is 0, and puts it over what the next rule makes of it. Rules stay clean.

How far a condition reaches is told by the ops' `elements`. Where elements meet only their own ("alike"), it holds on;
where they are copied and summed ("moved"), the rule itself carries it, as a gradient of ones and zeros; elsewhere, as
in a product of matrices, it ends. Gradients summed at a fan-out are 0 where all of them are. All of this is linear in
the number of nodes, and nothing is built in a graph without choices.
"""

from __future__ import annotations

from collections.abc import Container
from weakref import WeakKeyDictionary

import numpy as np

from .leaf import Constant
from .node import Node

__all__ = ["guarded"]

_conditions: WeakKeyDictionary[Node, Node | None] = WeakKeyDictionary()
"""For gradients, the condition outside which they are 0; None for sums and choices that were asked and have none.

A sum is asked when it is differentiated through, after its parts: with every answer kept, none asks far."""


def guarded(
    node: Node, g: Node, contributions: tuple[Node | None, ...], forward: Container[Node]
) -> tuple[Node | None, ...]:
    """The contributions of a rule, kept at 0 wherever the gradient `g` that it was given is known to be.

    `forward` are the nodes being differentiated.
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
    """Does a contribution multiply or divide the gradient by anything but numbers?"""
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
        elif isinstance(part, Node.roles["where"]):  # which chooses, and does not multiply
            stack += [operand for operand in part.operands[1:] if not operand.static]
        else:
            stack += part.operands
    return False


def _nonzero(g: Node | tuple[Node | None, ...]) -> Node | None:
    """The condition outside which a gradient is 0, when one is known."""
    if not isinstance(g, Node):
        return None
    if not isinstance(g, (Node.roles["where"], Node.roles["add_n"])):
        return _conditions.get(g) if _conditions else None
    if g not in _conditions:
        _conditions[g] = _chosen(g) if isinstance(g, Node.roles["where"]) else _of_any(g.operands)
    return _conditions[g]


def _chosen(g: Node) -> Node | None:
    """That of `Where(condition, value, 0)` or `Where(condition, 0, value)`."""
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
    """That of a sum: where any of the parts may be other than 0."""
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
