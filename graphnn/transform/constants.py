"""Gather constants: numbers in a chain of sums or products become one number, and small powers become products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..ir.leaf import Constant
from ..ir.node import Node
from ..ops.arithmetic import Add, Div, Mul, Neg, Power, Sub
from .match import is_number, number, numberless
from .passes import Rules, made_of

__all__ = ["constants", "rules"]

rules = Rules()


@rules.on(Add, Sub)
def _plus_numbers(node: Node) -> Node | None:
    if numberless(node):
        return None
    match node:
        case Add(x, zero) | Add(zero, x) | Sub(x, zero) if number(zero) == 0 and x.spec == node.spec:
            return x
        case Add(zero, x) if number(zero) == 0 and x.spec == node.spec:
            return x
    outer, inside = _signed(node)
    if outer is None or inside is None:
        return None
    inner, y = _signed(inside)
    if inner is None or y is None or y.spec != node.spec:
        return None
    return _with(node, lambda a, b: a + b, outer, inner, lambda c: Add(y, c))


def _signed(node: Node) -> tuple[float | None, Node | None]:
    """For `x + a` or `x - a` with a number a: the number that is added, and x."""
    match node:
        case Add(x, a) if (found := number(a)) is not None:
            return found, x
        case Add(a, x) if (found := number(a)) is not None:
            return found, x
        case Sub(x, a) if (found := number(a)) is not None and node.dtype.kind == "f":
            return -found, x
    return None, None


@rules.on(Mul, Div)
def _times_numbers(node: Node) -> Node | None:
    if numberless(node):
        return None
    outer, inside = _factor(node)
    if outer is None or inside is None:
        return None
    match inside:
        case Neg(y) if y.spec == node.spec:
            return _with(node, lambda a, b: a * b, outer, -1, lambda c: Mul(y, c))
    inner, z = _factor(inside)
    if inner is None or z is None or z.spec != node.spec:
        return None
    return _with(node, lambda a, b: a * b, outer, inner, lambda c: Mul(z, c))


def _factor(node: Node) -> tuple[float | None, Node | None]:
    """For `x * a` or `x / a` with a number a: the number that x is multiplied by, and x."""
    match node:
        case Mul(x, a) if (found := number(a)) is not None:
            return found, x
        case Mul(a, x) if (found := number(a)) is not None:
            return found, x
        case Div(x, a) if (found := number(a)) and node.dtype.kind == "f":
            return 1 / found, x
    return None, None


def _with(
    node: Node, combine: Callable[[float, float], float], a: float, b: float, build: Callable[[Node], Node]
) -> Node | None:
    """The node that `build` makes of two numbers combined; None where the combination overflows or underflows."""
    if node.dtype.kind != "f":
        return None
    with np.errstate(all="ignore"):
        together = np.asarray(combine(a, b), np.float64).astype(node.dtype)
    tiny = np.finfo(node.dtype).tiny
    if not np.isfinite(together) or (abs(together) < tiny and a and b and combine(a, b)):
        return None
    return build(Constant(together.item(), dtype=node.dtype))


@rules.on(Neg)
def _negative_difference(node: Node) -> Node | None:
    match node:
        case Neg(Sub(x, y)) if x.spec == y.spec == node.spec:
            return Sub(y, x)
    return None


@rules.on(Power)
def _small_powers(node: Node) -> Node | None:
    match node:
        case Power(x, two) if is_number(two, 2) and x.spec == node.spec:
            return Mul(x, x)
        case Power(x, three) if is_number(three, 3) and x.spec == node.spec:
            return Mul(Mul(x, x), x)
        case Power(x, minus) if is_number(minus, -1) and x.spec == node.spec and node.dtype.kind == "f":
            return 1 / x
    return None


constants = made_of("gather constants", "reassociating", rules)
