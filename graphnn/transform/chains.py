"""Reorder matrix chains: `(A B) v` becomes `A (B v)` where the sizes say that this takes fewer multiplications.

Source: T. Cormen, C. Leiserson, R. Rivest and C. Stein, Introduction to Algorithms, section "Matrix-chain
multiplication". With named sizes, the numbers of multiplications are polynomials: an order is taken only when it is the
cheapest for all sizes.
"""

from __future__ import annotations

from itertools import count
from typing import TypeAlias

from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.polynomial import Polynomial, product_of
from ..ir.spec import Dim
from ..ops.linear import MatMul
from .match import read_once
from .passes import Pass, Rule, rewrite

__all__ = ["chains"]

_LONGEST = 12
"""The most factors that are reordered together: the time of the search grows with the cube of their number."""

Tree: TypeAlias = "int | tuple[Tree, Tree]"


def _apply(graph: Graph) -> Graph:
    products = graph.of(MatMul)
    if not any(isinstance(operand, MatMul) for node in products for operand in node.operands):
        return graph
    once = read_once(graph)
    inner: set[Node] = set()  # products that are a factor of another one
    outer: dict[Node, int] = {}  # how many factors the chain under a product has
    for node in products:
        if isinstance(node, MatMul) and _plain(node):
            parts = [op for op in node.operands if op in outer and op in once]
            factors = sum(outer[op] for op in parts) + 2 - len(parts)
            if factors > _LONGEST:
                parts, factors = [], 2
            inner.update(parts)
            outer[node] = factors
    heads = [node for node, factors in outer.items() if factors > 2 and node not in inner]
    if not heads:
        return graph
    return rewrite(graph, {node: _rule(_structure(node, inner)) for node in heads})


def _plain(node: MatMul) -> bool:
    return node.x.ndim <= 2 and node.W.ndim <= 2


def _structure(head: Node, inner: set[Node]) -> Tree:
    """The declared brackets of a chain, with its factors numbered from the left."""
    numbers = count()

    def tree(part: Node) -> Tree:
        if isinstance(part, MatMul) and (part is head or part in inner):
            return tree(part.x), tree(part.W)
        return next(numbers)

    return tree(head)


def _rule(tree: Tree) -> Rule:
    def cheapest_order(node: Node) -> Node | None:
        factors = _factors(node, tree)
        best = _cheapest([_rows(factors[0]), *(_columns(factor) for factor in factors)])
        return None if best is None or best == tree else _product(best, factors)

    return cheapest_order


def _factors(node: Node, tree: Tree) -> list[Node]:
    if isinstance(tree, int):
        return [node]
    assert isinstance(node, MatMul)
    return _factors(node.x, tree[0]) + _factors(node.W, tree[1])


def _product(tree: Tree, factors: list[Node]) -> Node:
    if isinstance(tree, int):
        return factors[tree]
    return MatMul(_product(tree[0], factors), _product(tree[1], factors))


def _rows(factor: Node) -> Dim:
    return factor.shape[0] if factor.ndim == 2 else 1


def _columns(factor: Node) -> Dim:
    return factor.shape[-1] if factor.ndim == 2 else 1


def _cheapest(sizes: list[Dim]) -> Tree | None:
    """The order with the fewest multiplications; None when it depends on named sizes.

    Factor i of the chain is a matrix sizes[i] × sizes[i + 1].
    """
    factors = len(sizes) - 1
    best: dict[tuple[int, int], tuple[Polynomial, Tree]] = {(i, i + 1): (Polynomial(()), i) for i in range(factors)}
    for length in range(2, factors + 1):
        for i in range(factors - length + 1):
            j = i + length
            options: list[tuple[Polynomial, Tree]] = []
            for cut in range(i + 1, j):
                (left, a), (right, b) = best[i, cut], best[cut, j]
                last = product_of((sizes[i], sizes[cut], sizes[j]))
                options.append((Polynomial.total([left, right, last]), (a, b)))
            least = next((o for o in options if all(other[0].covers(o[0]) for other in options)), None)
            if least is None:
                return None
            best[i, j] = least
    return best[0, factors][1]


chains = Pass("reorder matrix chains", "reassociating", _apply)
