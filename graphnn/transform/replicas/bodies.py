"""Loops and branches of replicas, whose bodies get the new axis too; and the loop over replicas, for other ops."""

from __future__ import annotations

from ...ir.body import Body, Placeholder
from ...ir.context import like
from ...ir.node import Item, Node
from ...ops.control import Cond
from ...ops.scan import Scan
from ...ops.tracing import INDEX
from .growing import Replicas, moved, reached

__all__ = ["cond", "item", "one_by_one", "scan"]


def scan(node: Scan, replicas: Replicas) -> Node:
    """One loop for all replicas: slices, carries and captured values that differ have the axis."""
    own, captured, results = node.body.own, node.body.captured, node.body.results
    count = len(node.init)
    outside = dict(zip((*own[:-1], *captured), node.operands, strict=True))
    differing = _differing(node, {p for p, x in outside.items() if x in replicas.made})
    inner = replicas.inside(_stacked(differing, replicas.count)).grow(node.body.graph.nodes)
    carries = [inner.of(r) if p in differing else r for p, r in zip(own, results[:count], strict=False)]
    body = Body(_placeholders(own, inner), _placeholders(captured, inner), (*carries, *map(inner.now, results[count:])))
    init = tuple(replicas.of(x) if p in differing else x for p, x in zip(own, node.init, strict=False))
    xs = tuple(moved(replicas.made[x], 0, 1) if x in replicas.made else x for x in node.xs)
    return Scan(body, init, xs, node.length, node.reverse, tuple(map(replicas.now, node.captured)), node.shown)


def _differing(node: Scan, given: set[Placeholder]) -> list[Placeholder]:
    """The placeholders that differ. A carry differs if its next value depends on a placeholder that differs."""
    own, body = node.body.own, node.body
    carries = list(zip(own, body.results[: len(node.init)], strict=False))
    while True:
        differs = reached(body.graph.nodes, given)
        more = {p for p, result in carries if result in differs} - given
        if not more:
            return [p for p in body.placeholders if p in given]
        given |= more


def item(node: Item, replicas: Replicas) -> Node:
    """One of several results. A loop stacks turns along the first axis, so that of replicas is moved before it."""
    taken = Item(replicas.made[node.node], node.index)
    if taken.ndim == node.ndim:
        return replicas.repeated(taken)
    stacked = isinstance(node.node, Scan) and node.index >= len(node.node.init)
    return moved(taken, 1, 0) if stacked else taken


def cond(node: Cond, replicas: Replicas) -> Node:
    """One branch for all replicas; or if the condition differs, a loop in which each replica takes its own branch."""
    if node.condition in replicas.made:
        return one_by_one(node, replicas)
    differing = [p for p, x in zip(node.then.captured, node.captured, strict=True) if x in replicas.made]
    stacked = _stacked(differing, replicas.count)
    then, otherwise = (_branch(body, replicas.inside(dict(stacked))) for body in node.bodies())
    return Cond(node.condition, then, otherwise, tuple(map(replicas.now, node.captured)), node.single)


def _branch(body: Body, inner: Replicas) -> Body:
    """A branch in which all results have the axis, so that both branches have the same specs."""
    results = tuple(map(inner.grow(body.graph.nodes).of, body.results))
    return Body((), _placeholders(body.captured, inner), results)


def one_by_one(node: Node, replicas: Replicas) -> Node:
    """A loop over replicas, in which each turn computes the node for one of them."""
    operands = [x for x in dict.fromkeys(node.operands) if not x.static]
    stands_for = {x: Placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(operands)}
    differ, shared = ([x for x in operands if (x in replicas.made) is wanted] for wanted in (True, False))
    inside = node.with_operands(stands_for)
    results = tuple(inside) if isinstance(node.spec, tuple) else (inside,)
    own = (*(stands_for[x] for x in differ), Placeholder("place", (), INDEX))
    body = Body(own, tuple(stands_for[x] for x in shared), results)
    xs = tuple(replicas.made[x] for x in differ)
    loop = Scan(body, (), xs, replicas.count, False, tuple(shared), len(results))
    return loop if isinstance(node.spec, tuple) else Item(loop, 0)


def _stacked(placeholders: list[Placeholder], count: int) -> dict[Node, Node]:
    """For each placeholder, one with the axis of replicas."""
    found: dict[Node, Node] = {}
    for placeholder in placeholders:
        with like(placeholder):
            found[placeholder] = Placeholder(placeholder.name, (count, *placeholder.shape), placeholder.dtype)
    return found


def _placeholders(placeholders: tuple[Placeholder, ...], inner: Replicas) -> tuple[Placeholder, ...]:
    return tuple(now for p in placeholders if isinstance(now := inner.now(p), Placeholder))
