"""Stabilise: formulas that lose accuracy are replaced by ops that do not.

Each rule is an identity of real numbers whose right-hand side neither overflows nor cancels. The gradient of a
logarithm divides by a value that may underflow, and the gradient of the value below multiplies by it again: such pairs
are removed. So a cross-entropy that is written out is as accurate as the op, forward and backward.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..ir.node import Node
from ..ops.activations import LogSigmoid, Sigmoid, Softplus
from ..ops.arithmetic import Add, AddN, Div, Mul, Neg, Sub
from ..ops.functions import Exp, Expm1, Log, Log1p
from ..ops.measures import LogSumExp
from ..ops.reductions import Sum
from ..ops.shape import Repeat
from ..ops.softmax import LogSoftmax, Softmax
from .match import alike, is_number, numberless
from .passes import Rules, made_of

__all__ = ["rules", "stabilise"]

rules = Rules()


@rules.on(Log)
def _log_of_softmax(node: Node) -> Node | None:
    match node:
        case Log(Softmax(x, axis)):  # -inf where softmax underflows
            return LogSoftmax(x, axis)
    return None


@rules.on(Log)
def _log_of_sum_of_exp(node: Node) -> Node | None:
    match node:
        case Log(Sum(Exp(x), tuple(axes), keepdims)) if axes and all(_never_empty(x, axis) for axis in axes):
            return LogSumExp(x, axes, keepdims)
    return None


@rules.on(Log)
def _log_of_sigmoid(node: Node) -> Node | None:
    match node:
        case Log(Sigmoid(x)):
            return LogSigmoid(x)
        case Log(Sub(one, Sigmoid(x))) if is_number(one, 1):
            return Neg(Softplus(x))
    return None


@rules.on(Log)
def _log_of_exp(node: Node) -> Node | None:
    match node:
        case Log(Exp(x)):
            return x
        case Log(Add(one, Exp(x)) | Add(Exp(x), one)) if is_number(one, 1):
            return Softplus(x)
        case Log(Add(one, x) | Add(x, one)) if is_number(one, 1) and x.spec == node.spec:
            return Log1p(x)
        case Log(Add(x, one)) if is_number(one, 1) and x.spec == node.spec:
            return Log1p(x)
        case Log(Sub(one, x)) if is_number(one, 1) and x.spec == node.spec:
            return Log1p(Neg(x))
    return None


@rules.on(Sub, Add)
def _exp_minus_one(node: Node) -> Node | None:
    if numberless(node):
        return None
    match node:
        case Sub(Exp(x), one) if is_number(one, 1):
            return Expm1(x)
        case Add(Exp(x), minus) | Add(minus, Exp(x)) if is_number(minus, -1):
            return Expm1(x)
        case Sub(one, Exp(x)) if is_number(one, 1):
            return Neg(Expm1(x))
    return None


@rules.on(Div)
def _softmax_spelled_out(node: Node) -> Node | None:
    match node:
        case Div(Exp(x) as e, Repeat(Sum(Exp() as f, (axis,), True), _, along)) if axis == along and alike(e, f):
            return Softmax(x, axis) if _never_empty(x, axis) else None
    return None


def _never_empty(x: Node, axis: int) -> bool:
    """Is an axis surely not empty? The sum of no elements is 0, but LogSumExp needs a largest element."""
    size = x.shape[axis]
    return isinstance(size, int) and size > 0


@rules.on(Mul)
def _quotient_times_its_divisor(node: Node) -> Node | None:
    match node:
        case Mul(Div(x, y), z) if y is z and x.spec == node.spec:
            return x
        case Mul(z, Div(x, y)) if y is z and x.spec == node.spec:
            return x
    return None


@rules.on(Mul)
def _slope_of_logs_of_sigmoid(node: Node) -> Node | None:
    """For a sigmoid y, `(a/y - b/(1-y) + ...) * y * (1-y)` becomes `a*(1-y) - b*y + ...`, which never divides."""
    match node:
        case Mul(Mul(g, Sigmoid() as y), Sub(one, z) as rest) if z is y and is_number(one, 1):
            pass
        case _:
            return None
    terms = [(negative, term, _divided_by(term, y, rest)) for negative, term in _terms(g)]
    if all(factor is None for _, _, factor in terms) or any(term.spec != node.spec for _, term, _ in terms):
        return None
    found = [term * y * rest if factor is None else term.operands[0] * factor for _, term, factor in terms]
    signed = [-part if negative else part for (negative, _, _), part in zip(terms, found, strict=True)]
    return signed[0] if len(signed) == 1 else AddN(tuple(signed))


def _divided_by(term: Node, y: Node, rest: Node) -> Node | None:
    """For a quotient by `y` or by `1 - y` (the `rest`), the other one of these two; None for any other term."""
    match term:
        case Div(a, d) if a.spec == term.spec:
            return rest if d is y else y if alike(d, rest) else None
    return None


def _terms(node: Node, negative: bool = False) -> Iterator[tuple[bool, Node]]:
    """The terms of a sum, each with True if it is subtracted."""
    waiting = [(negative, node)]
    while waiting:
        minus, term = waiting.pop()
        match term:
            case Add(a, b):
                waiting += [(minus, b), (minus, a)]
            case Sub(a, b):
                waiting += [(not minus, b), (minus, a)]
            case Neg(a):
                waiting.append((not minus, a))
            case AddN(parts):
                waiting += [(minus, part) for part in reversed(parts)]
            case Div(Neg(a), b):
                yield not minus, Div(a, b)
            case _:
                yield minus, term


stabilise = made_of("stabilise", "stabilising", rules)
