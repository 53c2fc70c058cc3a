"""Groups: which nodes each step of a plan computes, where passes brought several together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..ir.graph import Graph
from ..ir.node import Node
from ..plan.memory import Plan
from ..transform.record import Record

__all__ = ["Groups", "find_groups"]


class Groups(NamedTuple):
    """A graph as it was before its steps were brought together, and the node of the plan that each became."""

    graph: Graph
    became: Mapping[Node, Node]


def find_groups(stages: Sequence[tuple[Graph, Record]], plan: Plan) -> Groups:
    """The groups of a plan, from the graph and record of each stage of its compile.

    The graph is the earliest one before a pass that fuses in which each step has a node; else that of the plan.
    """
    for i, (_, record) in enumerate(stages):
        if record.fuses:
            into = _replacements([record for _, record in stages[i:]])
            graph = stages[i - 1][0]
            became = {node: _last(node, into) for node in graph.nodes}
            if {*became.values()}.issuperset(step.node for step in plan.steps):
                return Groups(graph, became)
    return Groups(plan.graph, {node: node for node in plan.graph.nodes})


def _replacements(records: Sequence[Record]) -> dict[Node, Node]:
    """What stands for each node that was rebuilt, replaced, or taken into another."""
    into: dict[Node, Node] = {}
    for record in records:
        for move in record.moves:
            into.update(move)
        for fired in record.fired if record.fuses else ():
            kept = set(fired.after.operands)
            into.update((inner, fired.after) for inner in fired.before.operands if inner not in kept)
            into[fired.before] = fired.after
    return into


def _last(node: Node, into: Mapping[Node, Node]) -> Node:
    """What a node became, and what became of that."""
    while (new := into.get(node, node)) is not node:
        node = new
    return node
