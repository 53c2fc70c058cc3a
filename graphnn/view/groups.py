"""Groups: which nodes each step of a plan computes, if passes have fused several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..ir.graph import Graph
from ..ir.node import Node
from ..plan.memory import Plan
from ..transform.record import Record

__all__ = ["Groups", "find_groups"]


class Groups(NamedTuple):
    """A graph as it was before its steps were fused.

    `became` maps its nodes to those of the plan; a value inside a fused step has none there. `steps` maps the position
    of a step in the plan to the nodes that it computes.
    """

    graph: Graph
    became: Mapping[Node, Node]
    steps: Mapping[int, Sequence[Node]]


def find_groups(stages: Sequence[tuple[Graph, Record]], plan: Plan) -> Groups:
    """The groups of a plan, from the graph and record of each stage of its compile.

    The graph is the earliest one before a pass that fuses in which each step has a node and no node is missing; if
    there is none, it is that of the plan.
    """
    for graph, records in _candidates(stages, plan):
        moved = {old: new for record in records for move in record.moves for old, new in move.items()}
        taken = moved | {old: new for record in records if record.fuses for old, new in _taken(record)}
        became = {node: _last(node, moved) for node in graph.nodes}
        steps: dict[int, list[Node]] = {i: [] for i in range(len(plan.steps))}
        place = {step.node: i for i, step in enumerate(plan.steps)}
        for node in graph.nodes:
            if (step := place.get(_last(node, taken))) is not None:
                steps[step].append(node)
        known = all(new in plan.values or _last(node, taken) in place for node, new in became.items())
        if known and all(steps.values()):
            break
    return Groups(graph, became, steps)


def _candidates(stages: Sequence[tuple[Graph, Record]], plan: Plan) -> Iterator[tuple[Graph, list[Record]]]:
    """The graphs of the stages, each with what later passes did to it."""
    for i, (_, record) in enumerate(stages):
        if record.fuses:
            yield stages[i - 1][0], [record for _, record in stages[i:]]
    yield plan.graph, []


def _taken(record: Record) -> Iterator[tuple[Node, Node]]:
    """The nodes that were fused into steps: those that were replaced, and operands that a step no longer has."""
    for fired in record.fired:
        kept = set(fired.after.operands)
        yield from ((inner, fired.after) for inner in fired.before.operands if inner not in kept)
        yield fired.before, fired.after


def _last(node: Node, into: Mapping[Node, Node]) -> Node:
    """The node that a node has become in the end."""
    while (new := into.get(node, node)) is not node:
        node = new
    return node
