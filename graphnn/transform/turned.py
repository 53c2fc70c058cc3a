"""Transposed weights in loops: when a loop multiplies by a transposed view in each turn, it is copied once, before it.

A product can load vectors from its second operand only if the elements of a row are neighbours in memory. The gradient
of a loop multiplies by `W.T`, a view in which they are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from ..ir.body import Body, Placeholder
from ..ir.context import like
from ..ir.node import Node
from ..ir.walk import walk
from ..ops.control import Scan
from ..ops.elementwise import Map
from ..ops.linear import MatMul
from ..ops.shape import Transpose
from .passes import Rules, made_of, rewrite
from .products import Product

__all__ = ["turned"]

SMALLEST, LARGEST = 1024, 32768
"""The elements of the weights: a kernel transposes smaller ones itself, and BLAS reads larger ones either way."""

_RULES = Rules()


@_RULES.on(Scan)
def turned_weights(node: Node) -> Node | None:
    """The loop over weights that are copied in the layout in which it reads them."""
    assert isinstance(node, Scan)
    outside: dict[Node, Node] = dict(zip(node.body.captured, node.captured, strict=True))
    views = {view.x: view for member in node.body.graph.nodes for view in _weights(member) if view.x in outside}
    if not views:
        return None
    places: dict[Node, Placeholder] = {}
    for weights, view in views.items():
        with like(view):
            places[view] = Placeholder(f"{weights.name}.T", view.shape, view.dtype)  # type: ignore[attr-defined]
    results = tuple(rewrite(node.body.graph, places.get).outputs.values())
    reads = set(walk(results))
    captured = {p: outside[p] for p in node.body.captured if p in reads}
    with like(node):
        captured |= {places[view]: Map("x", ("x",), (Transpose(outside[p]),)) for p, view in views.items()}
        body = Body(node.body.own, tuple(captured), results)
        return Scan(body, node.init, node.xs, node.length, node.reverse, tuple(captured.values()), node.shown)


def _weights(node: Node) -> Iterator[Transpose]:
    """The transposed view that a product multiplies by, if it is worth copying."""
    if not isinstance(node, (MatMul, Product)) or not isinstance(node.W, Transpose) or node.W.ndim != 2:
        return
    numbers = [dim for dim in node.W.shape if isinstance(dim, int)]
    floats = node.dtype.kind == "f" and node.dtype.itemsize > 2
    if floats and len(numbers) == 2 and SMALLEST < prod(numbers) <= LARGEST:
        yield node.W


turned = made_of("turn weights", "reassociating", _RULES)
