"""The schedule: the order in which nodes run, found by NetworkX; and the order of the backward half."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

import networkx as nx

from ..errors import GraphError
from ..ir.graph import Graph
from ..ir.node import Node, describe

__all__ = ["backward_schedule", "in_order", "is_schedule", "schedule"]

_declared = attrgetter("birth.serial")


def schedule(graph: Graph, key: Callable[[Node], int] = _declared) -> tuple[Node, ...]:
    """The topological order that is closest to the order of declaration, or to that of another `key`.

    Gradients are declared in the reverse order of the nodes that they differentiate. So the backward half of the
    schedule visits the forward half from its end to its beginning.

    Raises:
        GraphError: for a cycle; the message lists its nodes.
    """
    if is_schedule(graph.nodes, key):
        return graph.nodes
    try:
        return tuple(nx.lexicographical_topological_sort(graph.digraph, key=key))
    except nx.NetworkXUnfeasible:
        path = [edge[0] for edge in nx.find_cycle(graph.digraph)]
        raise GraphError("the graph has a cycle: " + " -> ".join(describe(n) for n in [*path, path[0]]) + ".") from None


def in_order(graph: Graph, order: Sequence[Node]) -> Graph:
    """The same graph with another schedule: a given order of all its nodes, in which operands come before users."""
    ordered = Graph(graph.outputs, graph.updates)
    place = {node: i for i, node in enumerate(order)}
    ordered.__dict__["schedule"] = schedule(ordered, place.__getitem__)
    return ordered


def is_schedule(nodes: tuple[Node, ...], key: Callable[[Node], int] = _declared) -> bool:
    """Are the nodes in lexicographical topological order already? Checking takes a tenth of the time of sorting.

    They are if keys never fall and operands come first. Then at each step of the sort, the first of the remaining nodes
    is ready, and none has a smaller key; nodes with equal keys keep their order.
    """
    before: set[Node] = set()
    last = -1
    for node in nodes:
        place = key(node)
        if place < last or not before.issuperset(node.operands):
            return False
        last = place
        before.add(node)
    return True


def backward_schedule(graph: Graph) -> tuple[int, ...]:
    """The serials of forward nodes, in the order in which the backward half of the schedule visits them."""
    visited = (node.adjoint_of for node in schedule(graph) if node.adjoint_of is not None)
    return tuple(dict.fromkeys(visited))
