"""Trim: loops, branches and TopK lose the results that nothing reads, and what only these needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..ir.body import Body
from ..ir.context import like
from ..ir.graph import Graph
from ..ir.node import Item, Node
from ..ir.walk import walk
from ..ops.control import Cond, Scan
from ..ops.ranking import TopK
from .passes import Pass
from .record import current

__all__ = ["trim"]


def _apply(graph: Graph) -> Graph:
    while (
        trimmed := _once(graph)
    ) is not graph:  # an operand that a trimmed loop no longer reads may be the result of another one
        graph = trimmed
    return graph


def _once(graph: Graph) -> Graph:
    read: dict[Node, set[int]] = {node: set() for node in graph.of(Scan, Cond, TopK)}
    if not read:
        return graph
    for node in graph.nodes:
        if isinstance(node, Item) and node.node in read:
            read[node.node].add(node.index)
    replaced: dict[Node, Node] = {}
    places: dict[Node, Mapping[int, int]] = {}
    for node in graph.nodes:
        if isinstance(node, Item) and node.node in places:
            with like(node):
                replaced[node] = Item(replaced[node.node], places[node.node][node.index])
            continue
        new = node.with_operands(replaced)
        if isinstance(new, (Scan, Cond, TopK)):
            kept = _kept(new, read[node])
            trimmed = _trimmed(new, kept)
            if trimmed is not new:
                new, places[node] = trimmed, {index: i for i, index in enumerate(kept)}
        if new is not node:
            replaced[node] = new
    current().moves.append(replaced)
    return graph.replaced(replaced)


def _trimmed(node: Scan | Cond | TopK, kept: list[int]) -> Node:
    """The node with the results that are kept; the same node when all are."""
    match node:
        case Scan():
            return _scan(node, kept)
        case Cond():
            return _cond(node, kept)
        case TopK(x, k, axis, largest, results) if len(kept) < len(results):
            with like(node):
                return TopK(x, k, axis, largest, tuple(results[i] for i in kept))
    return node


def _kept(node: Scan | Cond | TopK, read: Collection[int]) -> list[int]:
    """The numbers of the results that are kept: those that are read, and the carries that these depend on."""
    if not isinstance(node, Scan):
        return [0] if isinstance(node, Cond) and node.single else sorted(read)
    needed = set(read)
    while True:
        reached = set(walk([node.body.results[i] for i in needed]))
        more = {i for i in range(len(node.init)) if node.body.own[i] in reached} - needed
        if not more:
            return sorted(needed)
        needed |= more


def _scan(node: Scan, kept: list[int]) -> Scan:
    body, count = node.body, len(node.init)
    results = tuple(body.results[i] for i in kept)
    reached = set(walk(results))
    carries = [i for i in kept if i < count]
    xs = [i for i, p in enumerate(body.own[count:-1]) if p in reached]
    captured = [i for i, p in enumerate(body.captured) if p in reached]
    if (len(results), len(xs), len(captured)) == (len(body.results), len(node.xs), len(body.captured)):
        return node
    own = (*(body.own[i] for i in carries), *(body.own[count + i] for i in xs), body.own[-1])
    with like(node):
        return Scan(
            Body(own, tuple(body.captured[i] for i in captured), results),
            tuple(node.init[i] for i in carries),
            tuple(node.xs[i] for i in xs),
            node.length,
            node.reverse,
            tuple(node.captured[i] for i in captured),
            len(kept) - len(carries),
        )


def _cond(node: Cond, kept: list[int]) -> Cond:
    both = [tuple(body.results[i] for i in kept) for body in node.bodies()]
    reached = set(walk([*both[0], *both[1]]))
    captured = [i for i, p in enumerate(node.then.captured) if p in reached]
    if (len(kept), len(captured)) == (len(node.then.results), len(node.captured)):
        return node
    places = tuple(node.then.captured[i] for i in captured)
    then, otherwise = (Body((), places, results) for results in both)
    with like(node):
        return Cond(node.condition, then, otherwise, tuple(node.captured[i] for i in captured), node.single)


trim = Pass("trim", "exact", _apply)
