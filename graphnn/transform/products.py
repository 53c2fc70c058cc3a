"""Products: a value that is added to a matrix product becomes part of the product.

An update is fused with its weight gradient: `W - lr * (x.T @ g)` is one product that is added to W. BLAS computes
`alpha * (A @ B) + beta * C` in the time of the product alone, so the gradient is never written to memory and read
again. The fused node takes the position of the update, after every reader of the old weight. If a reader comes later
after all, the plan copies the new weight at the end of the step. In a batch of products, as replicas have, each may
have its own lr.

A bias, as in `x @ W + b`, is fused with a small product, whose kernel adds it while the sums are in registers: the bits
stay the same. Where a library adds the bias, it is fused with a product of any size.

Source: J. Dongarra et al., A Set of Level 3 Basic Linear Algebra Subprograms, ACM TOMS 16 (1), 1990.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..ir.context import like
from ..ir.graph import Graph
from ..ir.leaf import Constant
from ..ir.node import Node
from ..ir.spec import Shape, Spec
from ..ops.arithmetic import Add, Mul, Neg, Sub
from ..ops.linear import MatMul
from ..ops.shape import Repeat, Reshape
from .match import read_once
from .passes import Pass
from .record import Fired, current

__all__ = ["Product", "any_biases", "batched_products", "biases", "products"]

SMALL = 256
"""With at most so many elements of W, a product is computed by a kernel's own loops rather than by BLAS."""


class Product(Node):
    """`C + alpha * (x @ W)`: an update or a bias that is fused with a product. Passes make it, not users.

    x, W and C are matrices, and alpha is a scalar, 1 if not given. Or they are batches of matrices, and alpha is a
    scalar or has one value for each batch.

    >>> import graphnn as gn
    >>> from graphnn.transform.products import Product
    >>> print(gn.compile(Product([[1.0, 2.0]], [[3.0], [4.0]], [[100.0]], -1.0))())
    [[89.]]
    """

    x: Node
    W: Node
    C: Node
    alpha: Node | None = None

    def infer(self) -> Spec:
        """The spec of C."""
        return self.C.spec

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The formula."""
        x, w, c, *alpha = arrays
        product = xp.matmul(x, w)
        return c + (alpha[0][..., None, None] * product if alpha else product)

    def work(self) -> tuple[Shape, ...]:
        """The operations of the product, and an addition for each element; with alpha, also a multiplication."""
        return ((2, *self.shape, self.x.shape[-1]), (1 if self.alpha is None else 2, *self.shape))

    def overwrites(self) -> tuple[int, ...]:
        """C: each element is read just before that of the result is written."""
        return (2,)


def _apply(graph: Graph, fits: Callable[[MatMul], bool]) -> Graph:
    once = read_once(graph)
    factors: dict[tuple[Node, bool], Node] = {}

    def folded(node: Node, new: Node) -> Node | None:
        return _fused(node, new, once, factors, fits) if isinstance(new, (Add, Sub)) else None

    return _swept(graph, "update folded into its product", folded)


def _swept(graph: Graph, rule: str, answer: Callable[[Node, Node], Node | None]) -> Graph:
    """The graph with each node replaced by what a rule returns for it, unless that is None.

    The rule is given the node, and the same node over its new operands.
    """
    record = current()
    replaced: dict[Node, Node] = {}
    for node in graph.nodes:
        new = node.with_operands(replaced)
        fused = answer(node, new)
        if fused is not None:
            record.fired.append(Fired(rule, node, new, fused))
            new = fused
        if new is not node:
            replaced[node] = new
    if replaced:
        record.moves.append(replaced)
    return graph.replaced(replaced)


def _fused(
    node: Node, new: Add | Sub, once: set[Node], factors: dict[tuple[Node, bool], Node], fits: Callable[[MatMul], bool]
) -> Product | None:
    """A sum or difference whose second operand is a product, scaled or not, as one `Product`; else None."""
    onto, term, declared = new.x, new.y, node.operands[1]
    if new.x.spec != new.spec or declared not in once or onto.static:
        return None
    alpha: Node | None = None
    if isinstance(term, Mul):
        scaled = [(term.x, term.y, declared.operands[1]), (term.y, term.x, declared.operands[0])]
        found = next(((s, t, d) for a, t, d in scaled if (s := _scalar(a)) is not None), None)
        if found is None or found[2] not in once:
            return None
        alpha, term, _ = found
    if not isinstance(term, MatMul) or not fits(term) or term.spec != new.spec:
        return None
    with like(node):
        return Product(term.x, term.W, onto, _factor(alpha, term, isinstance(new, Sub), factors))


def _plain(node: Node) -> bool:
    return isinstance(node, MatMul) and node.x.ndim == node.W.ndim == 2 and node.dtype.kind == "f"


def _batched(node: MatMul) -> bool:
    """Is it a product of matrices, or of two batches with the same axes?"""
    return node.x.shape[:-2] == node.W.shape[:-2] and min(node.x.ndim, node.W.ndim) > 1 and node.dtype.kind == "f"


def _scalar(node: Node) -> Node | None:
    """The scalar that a node repeats to its shape, or the values, one for each batch; None if it repeats neither."""
    batches, x = node.shape[:-2], node
    while isinstance(x, Repeat):
        x = x.x
    if isinstance(x, Reshape) and x.x.shape == batches and x.shape == (*batches, 1, 1):
        return x.x
    while isinstance(x, (Repeat, Reshape)):
        x = x.x
    return x if not x.shape else None


def _factor(alpha: Node | None, term: Node, negative: bool, factors: dict[tuple[Node, bool], Node]) -> Node:
    """The factor alpha with its sign. Updates with the same factor share one node."""
    if alpha is None:
        return Constant(-1.0 if negative else 1.0, dtype=term.dtype)
    if not negative:
        return alpha
    return factors.setdefault((alpha, negative), Neg(alpha))


def _with_biases(graph: Graph, fits: Callable[[MatMul], bool]) -> Graph:
    once = read_once(graph)

    def joined(node: Node, new: Node) -> Node | None:
        match new:
            case Add(MatMul() as product, Repeat(axis=0) as bias) if node.operands[0] in once and fits(product):
                with like(node):
                    return Product(product.x, product.W, bias)
        return None

    return _swept(graph, "bias added by its product", joined)


def _of_floats(product: MatMul) -> bool:
    return _plain(product) and product.dtype.itemsize >= 4  # half floats are rounded between product and sum


def _small(product: MatMul) -> bool:
    if not _of_floats(product):
        return False
    inner, columns = product.W.shape
    return isinstance(inner, int) and isinstance(columns, int) and inner * columns <= SMALL


biases = Pass("biases", "exact", partial(_with_biases, fits=_small), fuses=True)
any_biases = Pass("biases", "reassociating", partial(_with_biases, fits=_of_floats), fuses=True)
"""For a library that adds a bias to any product, possibly with another algorithm, so that bits may change."""
products = Pass("products", "reassociating", partial(_apply, fits=_plain), fuses=True)
batched_products = Pass("products", "reassociating", partial(_apply, fits=_batched), fuses=True)
"""For a backend whose products take batches, each with its own factor."""
