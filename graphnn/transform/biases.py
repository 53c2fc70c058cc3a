"""Biases: a product and the bias added to its rows become one node, for a library that adds one on the way out.

It stands behind elementwise grouping: a bias that went into the formula of an activation costs nothing there.
"""

from __future__ import annotations

from typing import Any

from ..ir.context import like
from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.spec import Shape, Spec
from ..ops.arithmetic import Add
from ..ops.linear import MatMul
from ..ops.shape import Repeat
from .match import read_once
from .passes import Pass
from .record import Fired, current
from .rewrite import replace

__all__ = ["Biased", "biases"]


class Biased(Node):
    """`x @ W + b` for matrices and a bias of one row. Made by the pass, not by users.

    >>> import graphnn as gn
    >>> from graphnn.transform.biases import Biased
    >>> print(gn.compile(Biased([[1.0, 2.0]], [[3.0], [4.0]], [[100.0]]))())
    [[111.]]
    """

    x: Node
    W: Node
    b: Node

    def infer(self) -> Spec:
        """Rows of x, columns of W."""
        return Spec((*self.x.shape[:1], *self.W.shape[1:]), self.x.dtype)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """As written."""
        x, w, b = arrays
        return xp.matmul(x, w) + b

    def work(self) -> tuple[Shape, ...]:
        """That of the product, and an addition for each element."""
        return (2, *self.shape, self.x.shape[-1]), self.shape


def _apply(graph: Graph) -> Graph:
    once = read_once(graph)
    record = current()
    replaced: dict[Node, Node] = {}
    for node in graph.nodes:
        new = node.with_operands(replaced)
        if isinstance(new, Add):
            fused = _fused(node, new, once)
            if fused is not None:
                record.fired.append(Fired("bias added by its product", node, new, fused))
                new = fused
        if new is not node:
            replaced[node] = new
    if replaced:
        record.moves.append(replaced)
    return replace(graph, replaced)


def _fused(node: Node, new: Add, once: set[Node]) -> Biased | None:
    """The sum as a product with a bias, when that is what it is, and nobody else reads the product."""
    for product, bias, declared in ((new.x, new.y, node.operands[0]), (new.y, new.x, node.operands[1])):
        if (
            isinstance(product, MatMul)
            and declared in once
            and product.x.ndim == product.W.ndim == 2
            and product.dtype.kind == "f"
            and product.spec == new.spec
            and isinstance(bias, Repeat)
            and bias.axis == 0
            and bias.x.shape == (1, *new.shape[1:])
        ):
            with like(node):
                return Biased(product.x, product.W, bias.x)
    return None


biases = Pass("biases", "reassociating", _apply, fuses=True)
