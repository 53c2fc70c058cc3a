"""Simplify: remove nodes that do nothing. Every rule keeps all bits, the sign of zero included.

So `x + 0.0` stays, since it turns -0.0 into 0.0, and `x * 0` stays, since the product is NaN where x is NaN or
infinite.
"""

from __future__ import annotations

import numpy as np

from ..ir.leaf import scalar_constant
from ..ir.node import Item, Node
from ..ops.arithmetic import Add, AddN, Div, Mul, Neg, Power, Sub
from ..ops.choice import Maximum, Minimum, Where
from ..ops.elementwise import Elementwise
from ..ops.reductions import Max, Sum
from ..ops.shape import Repeat, Reshape, Transpose
from ..ops.structure import Branch, Cast, StopGradient
from .match import is_number, numberless, positions
from .passes import Rules, made_of

__all__ = ["rules", "simplify"]

rules = Rules()


@rules.on(Mul, Div, Power)
def _times_one(node: Node) -> Node | None:
    if numberless(node):
        return None
    match node:
        case Mul(x, one) | Div(x, one) | Power(x, one) if is_number(one, 1) and x.spec == node.spec:
            return x
        case Mul(one, x) if is_number(one, 1) and x.spec == node.spec:
            return x
        case Mul(x, minus) | Mul(minus, x) | Div(x, minus) if is_number(minus, -1) and x.spec == node.spec:
            return Neg(x)
        case Mul(minus, x) if is_number(minus, -1) and x.spec == node.spec:
            return Neg(x)
    return None


@rules.on(Add, Sub)
def _plus_nothing(node: Node) -> Node | None:
    if numberless(node):
        return None
    nothing = -0.0 if isinstance(node, Add) and node.dtype.kind == "f" else 0
    match node:
        case Add(x, zero) | Sub(x, zero) if is_number(zero, nothing) and x.spec == node.spec:
            return x
        case Add(zero, x) if is_number(zero, nothing) and x.spec == node.spec:
            return x
    return None


@rules.on(Neg)
def _sign_taken_in(node: Node) -> Node | None:
    match node:
        case Neg(Neg(x)):
            return x
        case Neg(Div(x, c)) if c.static and not x.static:  # the sign of a value known before the run costs nothing
            return Div(x, Neg(c))
        case Neg(Mul(x, c)) if c.static and not x.static:
            return Mul(x, Neg(c))
        case Neg(Mul(c, x)) if c.static and not x.static:
            return Mul(Neg(c), x)
    return None


@rules.on(Add, Sub, Mul)
def _signs(node: Node) -> Node | None:
    if Neg not in map(type, node.operands):
        return None
    match node:
        case Add(x, Neg(y)) | Add(Neg(y), x):
            return Sub(x, y)
        case Sub(x, Neg(y)):
            return Add(x, y)
        case Mul(Neg(x), Neg(y)):
            return Mul(x, y)
    return None


@rules.on(AddN, StopGradient, Item)
def _passed_on(node: Node) -> Node | None:
    match node:
        case AddN((x,)) | StopGradient(x) | Item(Branch(x)):
            return x
    return None


@rules.on(Where, Maximum, Minimum)
def _no_choice(node: Node) -> Node | None:
    match node:
        case Maximum(x, y) | Minimum(x, y) | Where(_, x, y) if x is y:
            return x if x.spec == node.spec else None
        case Where(condition, x, y) if (known := _decided(condition)) is not None:
            chosen = x if known else y
            return chosen if chosen.spec == node.spec else None
    return None


def _decided(condition: Node) -> bool | None:
    while isinstance(condition, (Repeat, Reshape)):
        condition = condition.x
    value = getattr(condition, "value", None) if condition.static and not condition.operands else None
    return bool(value) if isinstance(value, np.ndarray) and value.size == 1 else None


@rules.on(Reshape)
def _no_change_of_shape(node: Node) -> Node | None:
    match node:
        case Reshape(x, to) if x.shape == to:
            return x
        case Reshape(Reshape(x), to):
            return Reshape(x, to)
    return None


@rules.on(Transpose)
def _no_change_of_order(node: Node) -> Node | None:
    match node:
        case Transpose(x, ()) | Transpose(x, (0,)):
            return x
        case Transpose(x, (0, *_) as axes) if axes == tuple(range(len(axes))):
            return x
        case Transpose(Transpose(x, inner), outer) if inner is not None and outer is not None:
            return Transpose(x, positions(inner, outer))
    return None


@rules.on(Repeat)
def _repeated_once(node: Node) -> Node | None:
    match node:
        case Repeat(x, 1):
            return x
    return None


@rules.on(Cast)
def _no_change_of_dtype(node: Node) -> Node | None:
    match node:
        case Cast(x) if node.spec == x.spec:
            return x
        case Cast(Cast(x, between), to) if _loses_nothing(x.dtype, between, to):
            return x.cast(np.dtype(to))
    return None


def _loses_nothing(source: np.dtype, between: np.dtype, to: np.dtype) -> bool:
    """Does a cast from `source` to `to` give the same with and without the dtype `between`?"""
    if (
        source.kind == "f" and np.dtype(to).kind in "iu"
    ):  # a float out of range becomes another integer by another route
        return False
    if source.kind in "iu" and between.kind == "f":
        return bool(np.iinfo(source).bits <= np.finfo(between).nmant + 1)
    return np.can_cast(source, between, "safe")


@rules.on(Sum, Max)
def _over_no_axis(node: Node) -> Node | None:
    match node:
        case Sum(x, ()) | Max(x, ()) if x.spec == node.spec:
            return x
    return None


@rules.on(Elementwise)
def _scalars_unrepeated(node: Node) -> Node | None:
    """Take scalar constants without their Repeat: elementwise ops broadcast scalars themselves."""
    if numberless(node):
        return None
    operands = node.operands
    repeated = {op: scalar for op in operands if op.static and (scalar := _scalar(op)) is not op}
    if not repeated or all(op.static for op in operands):
        return None
    return node.with_operands(repeated)


def _scalar(node: Node) -> Node:
    inner = node
    while isinstance(inner, (Repeat, Reshape)):
        inner = inner.x
    return inner if scalar_constant(inner) else node


simplify = made_of("simplify", "exact", rules)
