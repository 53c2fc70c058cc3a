"""Walking graphs: visit all nodes that some nodes need, operands first, without recursion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from ..errors import GraphError
from .node import Node, describe

__all__ = ["walk", "ordered", "evaluate"]


def walk(
    roots: Iterable[Node],
    stop: frozenset[Node] = frozenset(),
    needs: Callable[[Node], tuple[Node, ...]] = attrgetter("operands"),
) -> list[Node]:
    """Every node that the roots need, operands before users.

    What a node needs is its operands, or what the function `needs` returns for it. The walk does not go beyond the
    nodes in `stop`.

    Raises:
        GraphError: for a cycle; the message lists its nodes.
    """
    order: list[Node] = []
    state: dict[Node, bool] = {}  # False while a node's operands are being walked, True afterwards
    for root in roots:
        stack = [root]
        while stack:
            node = stack[-1]
            known = state.get(node)
            if known is None:
                state[node] = False
                if node not in stop:
                    for operand in reversed(needs(node)):
                        done = state.get(operand)
                        if done is None:
                            stack.append(operand)
                        elif not done:
                            raise _cycle(operand, stack, state)
            else:
                stack.pop()
                if not known:
                    state[node] = True
                    order.append(node)
    return order


def _cycle(start: Node, stack: list[Node], state: dict[Node, bool]) -> GraphError:
    path = [node for node in stack if state.get(node) is False]
    loop = [*path[path.index(start) :], start]
    return GraphError("the graph has a cycle: " + " -> ".join(describe(node) for node in reversed(loop)) + ".")


def ordered(nodes: list[Node]) -> list[Node]:
    """Nodes, as `walk` returns them, in order of declaration.

    They can run in this order: an operand is never declared after its user, and a rewritten node keeps the position of
    the node it replaces. Nodes with the same position keep the order of the walk.
    """
    return sorted(nodes, key=attrgetter("birth.serial"))


def evaluate(outputs: Iterable[Node], values: Mapping[Node, Any], xp: Any, sizes: Mapping[str, int]) -> list[Any]:
    """The values of some nodes, computed one by one with `forward` from the given values and sizes."""
    outputs = tuple(outputs)
    known = dict(values)
    for node in walk(outputs, stop=frozenset(values)):
        if node not in known:
            known[node] = node.at(sizes).forward(xp, *(known[operand] for operand in node.operands))
    return [known[node] for node in outputs]
