"""Push transposes into products, `(A B)ᵀ = Bᵀ Aᵀ`, which BLAS reads without a copy, and remove them below sums."""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import Node
from ..ops.linear import MatMul, swap
from ..ops.reductions import Max, Sum
from ..ops.shape import Transpose
from .match import read_once
from .passes import Pass, Rules, rewrite

__all__ = ["rules", "transposes"]

rules = Rules()


def _transposed_product(node: Node) -> Node | None:
    match node:
        case Transpose(MatMul(x, y)):
            return MatMul(swap(y), swap(x))
    return None


@rules.on(Sum, Max)
def _sum_of_transpose(node: Node) -> Node | None:
    match node:
        case Sum(Transpose(x, axes), reduced, False) | Max(Transpose(x, axes), reduced, False) if axes and reduced:
            kept = [axis for i, axis in enumerate(axes) if i not in node.axes]
            if kept == sorted(kept):
                return type(node)(x, tuple(axes[i] for i in node.axes), False)
    return None


def _apply(graph: Graph) -> Graph:
    flipped = [node for node in graph.of(Transpose) if isinstance(node, Transpose) and _swaps(node)]
    if flipped:
        once = read_once(graph)
        graph = rewrite(graph, {node: _transposed_product for node in flipped if node.operands[0] in once})
    return rewrite(graph, rules)


def _swaps(node: Transpose) -> bool:
    n, product = node.ndim, node.x
    both = isinstance(product, MatMul) and product.x.ndim == product.W.ndim == n
    return both and node.axes == (*range(n - 2), n - 1, n - 2)


transposes = Pass("transposes", "reassociating", _apply)
