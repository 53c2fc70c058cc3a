"""Columns: an elementwise step and the sums of its columns become one step.

Such are the gradient of an activation, and that of a bias, which is its sum. The elements are added while they are in
registers, row after row. A separate reduction adds in the same order, so the bits are the same.
"""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import Item, Node
from ..ops.elementwise import Elementwise
from ..ops.reductions import Reduction
from .passes import Pass
from .record import Fired, current, note
from .rowwise import Rows, as_one_step, float_of

__all__ = ["columns"]

NARROWEST, WIDEST = 32, 16384
"""The bytes of a row. Narrower rows would not fill vectors, and wider ones gain nothing."""


def _apply(graph: Graph) -> Graph:
    sums = _sums(graph)
    if not sums:
        return graph
    seen = _read_beside(graph, sums)
    record = current()
    replaced: dict[Node, Node] = {}
    for node in graph.nodes:
        if node in replaced:
            continue
        if node in sums:
            results = [*([node] if node in seen else []), *sums[node]]
            made = as_one_step([node, *sums[node]], results, replaced, node)
            step = next(iter(made.values())).operands[0]
            record.fired += [Fired("columns summed on the way", member, member, step) for member in results]
            replaced |= {node: step, **made}
        elif (new := node.with_operands(replaced)) is not node:
            replaced[node] = new
    record.moves.append(replaced)
    return graph.replaced(replaced)


def _sums(graph: Graph) -> dict[Node, list[Reduction]]:
    """The elementwise steps whose columns are reduced, each with those reductions."""
    found: dict[Node, list[Reduction]] = {}
    for node in graph.nodes:
        if isinstance(node, Reduction) and not node.static:
            if _folds_columns(node):
                found.setdefault(node.x, []).append(node)
            elif isinstance(node.x, Item) and isinstance(node.x.node, Rows):
                note(node, node.x, "a loop over rows may treat them side by side, and their sum has another order")
    return found


def _folds_columns(node: Reduction) -> bool:
    x = node.x
    if not isinstance(x, Elementwise) or x.static or x.random or x.ndim < 2 or not isinstance(x.shape[-1], int):
        return False
    dtype = float_of(x)
    if dtype is None or dtype.kind != "f" or dtype.itemsize < 4 or node.dtype != dtype:
        return False
    return node.axes == tuple(range(x.ndim - 1)) and NARROWEST <= x.shape[-1] * dtype.itemsize <= WIDEST


def _read_beside(graph: Graph, sums: dict[Node, list[Reduction]]) -> set[Node]:
    """The nodes that are outputs, or that are read by other nodes than those reductions."""
    read = set(graph.roots)
    for node in graph.nodes:
        read.update(x for x in node.operands if node not in sums.get(x, ()))
    return read


columns = Pass("columns", "exact", _apply, fuses=True)
