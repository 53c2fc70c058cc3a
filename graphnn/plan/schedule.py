"""The schedule: the order in which nodes run, by NetworkX, and the backward order that reverses it."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import networkx as nx

from ..errors import GraphError
from ..ir.graph import Graph
from ..ir.node import Node, describe

__all__ = ["backward_schedule", "is_schedule", "schedule"]

_declared = attrgetter("birth.serial")


def schedule(graph: Graph, key: Callable[[Node], int] = _declared) -> tuple[Node, ...]:
    """The topological order that keeps to the order of declaration, or of another `key`, wherever it can.

    Gradient nodes are declared in reverse of the nodes they differentiate, so the backward half of the schedule
    runs through the forward half from its end to its beginning.

    Raises:
        GraphError: for a cycle, quoting it node by node.
    """
    if is_schedule(graph.nodes, key):
        return graph.nodes
    try:
        return tuple(nx.lexicographical_topological_sort(graph.digraph, key=key))
    except nx.NetworkXUnfeasible:
        path = [edge[0] for edge in nx.find_cycle(graph.digraph)]
        raise GraphError("the graph has a cycle: " + " -> ".join(describe(n) for n in [*path, path[0]]) + ".") from None


def is_schedule(nodes: tuple[Node, ...], key: Callable[[Node], int] = _declared) -> bool:
    """Is the lexicographical order of some nodes the one in which they stand?

    It is when keys rise and operands come first: at each step of the sort the first node left is ready, and no other
    one has a smaller key. Ties are broken by the order in which nodes stand. Looking costs a tenth of sorting.
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
    """The serials of the forward nodes, in the order in which the backward half visits them."""
    visited = (node.adjoint_of for node in schedule(graph) if node.adjoint_of is not None)
    return tuple(dict.fromkeys(visited))
