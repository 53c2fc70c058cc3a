"""Hoist repeats: an elementwise op on repeated values is computed before repeating, and its result is repeated.

Likewise, when one value of each row is picked from the result of an elementwise op, only those values are computed.
"""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.leaf import scalar_constant
from ..ir.node import Node
from ..ops.elementwise import Elementwise
from ..ops.indexing import Pick
from ..ops.shape import Repeat, Reshape
from .match import read_once
from .passes import Pass, Rules, rewrite

__all__ = ["hoist", "rules"]

rules = Rules()


@rules.on(Elementwise)
def _once_before_repeating(node: Node) -> Node | None:
    if node.static or node.random or Repeat not in map(type, node.operands):
        return None
    inner = {op: op for op in node.operands if not scalar_constant(op)}
    peeled: list[tuple[object, int]] = []
    while how := _repeated_alike(list(inner.values())):
        peeled.append(how)
        inner = {op: repeat.x for op, repeat in inner.items() if isinstance(repeat, Repeat)}
    if not peeled:
        return None
    answer = node.with_operands(inner)
    for n, axis in reversed(peeled):
        answer = Repeat(answer, n, axis)
    return answer


def _repeated_alike(operands: list[Node]) -> tuple[object, int] | None:
    """The count and axis of the Repeat that all operands have in common, if they have one."""
    first = operands[0] if operands else None
    if not isinstance(first, Repeat):
        return None
    how = (first.n, first.axis)
    return how if all(isinstance(op, Repeat) and (op.n, op.axis) == how for op in operands) else None


def _only_what_is_picked(node: Node) -> Node | None:
    """`Pick(f(x, Repeat(y)), t)` becomes `f(Pick(x, t), y)`, if only one operand has to be picked from."""
    if not isinstance(node, Pick) or not isinstance(node.x, Elementwise) or node.x.random:
        return None
    whole = node.x
    operands: dict[Node, Node] = {}
    for operand in dict.fromkeys(whole.operands):
        if isinstance(operand, Repeat) and operand.axis == whole.ndim - 1:
            operands[operand] = Reshape(operand.x, node.shape)
        elif not scalar_constant(operand):
            operands[operand] = Pick(operand, node.target)
    if sum(isinstance(operand, Pick) for operand in operands.values()) != 1:
        return None
    return whole.with_operands(operands, node)


def _apply(graph: Graph) -> Graph:
    picks = [node for node in graph.of(Pick) if isinstance(node.operands[0], Elementwise)]
    if picks:
        once = read_once(graph)
        picks = [node for node in picks if node.operands[0] in once]
        graph = rewrite(graph, dict.fromkeys(picks, _only_what_is_picked), exact=True)
    return rewrite(graph, rules, exact=True)


hoist = Pass("hoist repeats", "exact", _apply)
