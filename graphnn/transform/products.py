"""Products: an update folds into its weight gradient, `W - lr * (x.T @ g)` being one product added onto W.

BLAS computes `alpha * (A @ B) + beta * C` at the price of the product alone, so the gradient is never written out
and read again. The fused node stands where the update stood, after every reader of the old weight; where one comes
later all the same, the plan lets it land at the end.
Source: J. Dongarra et al., A Set of Level 3 Basic Linear Algebra Subprograms, ACM TOMS 16 (1), 1990.
"""

from __future__ import annotations

from typing import Any

from ..ir.context import like
from ..ir.graph import Graph
from ..ir.leaf import Constant
from ..ir.node import Node
from ..ir.spec import Spec
from ..ops.arithmetic import Add, Mul, Neg, Sub
from ..ops.linear import MatMul
from ..ops.shape import Repeat, Reshape
from .match import read_once
from .passes import Pass
from .record import Fired, current
from .rewrite import replace

__all__ = ["Product", "products"]


class Product(Node):
    """`C + alpha * (x @ W)` for matrices and a scalar alpha: what an update becomes. Made by the pass, not by users.

    >>> import graphnn as gn
    >>> from graphnn.transform.products import Product
    >>> print(gn.compile(Product([[1.0, 2.0]], [[3.0], [4.0]], [[100.0]], -1.0))())
    [[89.]]
    """

    x: Node
    W: Node
    C: Node
    alpha: Node

    def infer(self) -> Spec:
        """That of C."""
        return self.C.spec

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """As written."""
        x, w, c, alpha = arrays
        return c + alpha * xp.matmul(x, w)

    def overwrites(self) -> tuple[int, ...]:
        """C, which is read where the result is written."""
        return (2,)


def _apply(graph: Graph) -> Graph:
    once = read_once(graph)
    record = current()
    replaced: dict[Node, Node] = {}
    factors: dict[tuple[Node, bool], Node] = {}
    for node in graph.nodes:
        new = node.with_operands(replaced)
        if isinstance(new, (Add, Sub)):
            fused = _fused(node, new, once, factors)
            if fused is not None:
                record.fired.append(Fired("update folded into its product", node, new, fused))
                new = fused
        if new is not node:
            replaced[node] = new
    if replaced:
        record.moves.append(replaced)
    return replace(graph, replaced)


def _fused(node: Node, new: Add | Sub, once: set[Node], factors: dict[tuple[Node, bool], Node]) -> Product | None:
    """The sum or difference as a product added onto its first operand, when the second is one, scaled or not."""
    onto, term, declared = new.x, new.y, node.operands[1]
    if new.x.spec != new.spec or declared not in once or onto.static:
        return None
    alpha: Node | None = None
    if isinstance(term, Mul):
        scaled = [(term.x, term.y, declared.operands[1]), (term.y, term.x, declared.operands[0])]
        found = next(((s, t, d) for a, t, d in scaled if (s := _scalar(a)) is not None and _plain(t)), None)
        if found is None or found[2] not in once:
            return None
        alpha, term, _ = found
    if not isinstance(term, MatMul) or not _plain(term) or term.spec != new.spec:
        return None
    with like(node):
        return Product(term.x, term.W, onto, _factor(alpha, term, isinstance(new, Sub), factors))


def _plain(node: Node) -> bool:
    return isinstance(node, MatMul) and node.x.ndim == node.W.ndim == 2 and node.dtype.kind == "f"


def _scalar(node: Node) -> Node | None:
    """The scalar that a node repeats, if it is one."""
    while isinstance(node, (Repeat, Reshape)):
        node = node.x
    return node if not node.shape else None


def _factor(alpha: Node | None, term: Node, negative: bool, factors: dict[tuple[Node, bool], Node]) -> Node:
    """The scalar with its sign: one node, however many updates have it."""
    if alpha is None:
        return Constant(-1.0 if negative else 1.0, dtype=term.dtype)
    if not negative:
        return alpha
    return factors.setdefault((alpha, negative), Neg(alpha))


products = Pass("products", "reassociating", _apply, fuses=True)
