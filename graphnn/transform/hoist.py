"""Hoist repeats: what is elementwise in repeated values is computed once, and its result repeated."""

from __future__ import annotations

from ..ir.leaf import scalar_constant
from ..ir.node import Node
from ..ops.elementwise import Elementwise
from ..ops.shape import Repeat
from .passes import Rules, made_of

__all__ = ["hoist", "rules"]

rules = Rules()


@rules.on(Elementwise)
def _once_before_repeating(node: Node) -> Node | None:
    if node.static or node.random:
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
    """The count and axis along which all of them are repeated."""
    first = operands[0] if operands else None
    if not isinstance(first, Repeat):
        return None
    how = (first.n, first.axis)
    return how if all(isinstance(op, Repeat) and (op.n, op.axis) == how for op in operands) else None


hoist = made_of("hoist repeats", "exact", rules)
