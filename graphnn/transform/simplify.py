"""Simplify: remove what does nothing. Every rule returns the same bits."""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.leaf import Constant, scalar_constant
from ..ir.node import Item, Node
from ..ops.arithmetic import Add, AddN, Div, Mul, Neg, Sub
from ..ops.elementwise import Elementwise
from ..ops.reductions import Sum
from ..ops.shape import Repeat, Reshape, Transpose
from ..ops.structure import Branch, Cast, StopGradient
from .passes import Pass, rewrite

__all__ = ["simplify"]


def _simplify(node: Node) -> Node | None:
    match node:
        case Mul(x, one) | Div(x, one) if _is(one, 1):
            answer: Node | None = x
        case Mul(one, x) if _is(one, 1):
            answer = x
        case Add(x, zero) | Sub(x, zero) if _is(zero, 0):
            answer = x
        case Add(zero, x) if _is(zero, 0):
            answer = x
        case AddN((x,)) | Neg(Neg(x)) | StopGradient(x) | Item(Branch(x)):
            answer = x
        case Reshape(x) | Cast(x) | Transpose(x) if _does_nothing(node, x):
            answer = x
        case Reshape(Reshape(x), to):
            answer = Reshape(x, to)
        case Transpose(Transpose(x, inner), outer) if inner is not None and outer is not None:
            answer = Transpose(x, tuple(inner[a] for a in outer))
        case Repeat(x, 1):
            answer = x
        case Sum(x, ()):
            answer = x
        case Elementwise():
            answer = _with_scalars(node)
        case _:
            answer = None
    return answer if answer is not None and answer.spec == node.spec else None


def _is(node: Node, number: int) -> bool:
    return isinstance(node, Constant) and not node.shape and node.value == number


def _does_nothing(node: Node, x: Node) -> bool:
    return node.spec == x.spec and not (isinstance(node, Transpose) and node.axes != tuple(range(x.ndim)))


def _with_scalars(node: Elementwise) -> Node | None:
    """Scalar constants repeated to the full shape, back to scalars: elementwise ops take them as they are."""
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


def _apply(graph: Graph) -> Graph:
    return rewrite(graph, _simplify)


simplify = Pass("simplify", "exact", _apply)
