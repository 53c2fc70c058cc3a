"""Numbers for named sizes: what a graph demands of them, and some that it allows."""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.spec import Size

__all__ = ["bounded", "some_sizes"]

_USUAL = 3


def bounded(graph: Graph) -> dict[Size, Node]:
    """The dimensions that would be negative for some sizes, each with the first node that has it."""
    found: dict[Size, Node] = {}
    asking = graph.of(*(op for op in graph.by_op if op.room is not Node.room))
    for dims, node in (*((spec.shape, node) for spec, node in graph.specs.items()), *((n.room(), n) for n in asking)):
        for dim in dims:
            if isinstance(dim, Size) and (dim.offset < 0 or dim.scale < 0):
                found.setdefault(dim, node)
    return found


def some_sizes(graph: Graph) -> dict[str, int]:
    """Small numbers for the named sizes that the graph allows, for binding it before any run.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", "M"))
    >>> some_sizes(gn.Graph(gn.Sum(x[5:])))
    {'N': 5, 'M': 3}
    """
    sizes = dict.fromkeys(graph.sizes, _USUAL)
    for dim in bounded(graph):
        bound = -(dim.offset // dim.scale) if dim.scale > 0 else dim.offset // -dim.scale
        sizes[dim.name] = (max if dim.scale > 0 else min)(sizes[dim.name], bound)
    return sizes
