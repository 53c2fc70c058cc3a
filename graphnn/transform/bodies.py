"""Bodies: a pass is applied to the bodies of loops and branches as well as to the graph around them."""

from __future__ import annotations

from collections.abc import Callable

from ..ir.body import Body
from ..ir.graph import Graph
from ..ir.node import Node
from .rewrite import rewrite

__all__ = ["through_bodies"]


def through_bodies(graph: Graph, apply: Callable[[Graph], Graph]) -> Graph:
    """The graph with a transformation applied to each body in it; a body that several nodes run is transformed once."""
    running = [node for op, nodes in graph.by_op.items() if op.bodies is not Node.bodies for node in nodes]
    if not running:
        return graph
    done: dict[Body, Body] = {}

    def inside(body: Body) -> Body:
        if body not in done:
            done[body] = body.rewritten(apply)
        return done[body]

    def inside_bodies(node: Node) -> Node | None:
        before = node.bodies()
        after = tuple(inside(body) for body in before)
        return None if after == before else node.with_bodies(after)

    return rewrite(graph, dict.fromkeys(running, inside_bodies))
