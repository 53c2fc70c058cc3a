"""The chain of a graph: its loss, and the gradient of each value on the way to the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..ir.differentiate import grad
from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.spec import Spec

__all__ = ["Chain", "chain"]


class Chain(NamedTuple):
    """A graph with its backward half, if it has one loss and trainable parameters; else the graph as it is.

    `gradients` maps each value between the parameters and the loss to the gradient of the loss with respect to it. If
    the graph had gradients already, these are nodes beside it; else they are nodes of the graph.
    """

    graph: Graph
    loss: Node | None
    gradients: Mapping[Node, Node]

    @property
    def mirrored(self) -> bool:
        """Is there a backward half?"""
        return any(node.adjoint_of is not None for node in self.graph.nodes)


def chain(graph: Graph) -> Chain:
    """The chain of a graph. Its loss is the only output of the forward half that is a float scalar."""
    losses = {n for n in graph.outputs.values() if graph.roles[n] == "forward" and _is_float(n) and not n.shape}
    if len(losses) != 1:
        return Chain(graph, None, {})
    [loss] = losses
    path = _between(graph, loss)
    if not path:
        return Chain(graph, loss, {})
    gradients = dict(zip(path, grad(loss, path), strict=True))
    if any(node.adjoint_of is not None for node in graph.nodes):
        return Chain(graph, loss, gradients)
    by = {f"d{name}": gradients[p] for name, p in graph.parameters.items() if p in gradients}
    return Chain(Graph(graph.outputs | by, graph.updates), loss, gradients)


def _between(graph: Graph, loss: Node) -> list[Node]:
    """The values between the trainable parameters and the loss; the loss comes first."""
    from_parameters: set[Node] = {p for p in graph.parameters.values() if p.trainable}
    for node in graph.nodes:
        if not from_parameters.isdisjoint(node.operands):
            from_parameters.add(node)
    needed = {loss}
    for node in reversed(graph.nodes):
        if node in needed:
            needed.update(node.operands)
    return [n for n in reversed(graph.nodes) if n in from_parameters and n in needed and _is_float(n)]


def _is_float(node: Node) -> bool:
    return isinstance(node.spec, Spec) and node.dtype.kind == "f"
