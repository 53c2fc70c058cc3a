"""Products: what is added to one becomes part of it.

An update folds into its weight gradient, `W - lr * (x.T @ g)` being one product added onto W; where products come in
batches, as those of replicas do, each with its own lr.

BLAS computes `alpha * (A @ B) + beta * C` at the price of the product alone, so the gradient is never written out
and read again. The fused node stands where the update stood, after every reader of the old weight; where one comes
later all the same, the plan lets it land at the end.
A bias joins a small product, `x @ W + b`, whose kernel adds it where it has the sums at hand: the same bits. It joins
any, where a library adds it on the way out.
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

__all__ = ["Product", "any_biases", "biases", "products"]

SMALL = 256
"""Elements of W up to which a product is surely a kernel's own loops, and not a call of BLAS, for usual batches."""


class Product(Node):
    """`C + alpha * (x @ W)`, alpha being 1 unless given: what an update or a bias becomes.

    Of matrices and a scalar alpha; or of batches of matrices, alpha a scalar or one for each.

    Made by passes, not by users.

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
        """That of C."""
        return self.C.spec

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """As written."""
        x, w, c, *alpha = arrays
        product = xp.matmul(x, w)
        return c + (alpha[0][..., None, None] * product if alpha else product)

    def work(self) -> tuple[Shape, ...]:
        """That of the product, and an addition for each element, with the factor a multiplication too."""
        return ((2, *self.shape, self.x.shape[-1]), (1 if self.alpha is None else 2, *self.shape))

    def overwrites(self) -> tuple[int, ...]:
        """C, which is read where the result is written."""
        return (2,)


def _apply(graph: Graph, fits: Callable[[MatMul], bool]) -> Graph:
    once = read_once(graph)
    factors: dict[tuple[Node, bool], Node] = {}

    def folded(node: Node, new: Node) -> Node | None:
        return _fused(node, new, once, factors, fits) if isinstance(new, (Add, Sub)) else None

    return _swept(graph, "update folded into its product", folded)


def _swept(graph: Graph, rule: str, answer: Callable[[Node, Node], Node | None]) -> Graph:
    """The graph with what a rule answers about each node, as it was and over rewritten operands, in its place."""
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
    """The sum or difference as a product added onto its first operand, when the second is one, scaled or not."""
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
    """Of matrices, or of as many on both sides."""
    return node.x.shape[:-2] == node.W.shape[:-2] and min(node.x.ndim, node.W.ndim) > 1 and node.dtype.kind == "f"


def _scalar(node: Node) -> Node | None:
    """The scalar that a node repeats, or one for each batch that it repeats along the last two axes; if it does."""
    batches, x = node.shape[:-2], node
    while isinstance(x, Repeat):
        x = x.x
    if isinstance(x, Reshape) and x.x.shape == batches and x.shape == (*batches, 1, 1):
        return x.x
    while isinstance(x, (Repeat, Reshape)):
        x = x.x
    return x if not x.shape else None


def _factor(alpha: Node | None, term: Node, negative: bool, factors: dict[tuple[Node, bool], Node]) -> Node:
    """The scalar with its sign: one node, however many updates have it."""
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
"""For a library that adds a bias to any product, though perhaps by another algorithm."""
products = Pass("products", "reassociating", partial(_apply, fits=_plain), fuses=True)
batched_products = Pass("products", "reassociating", partial(_apply, fits=_batched), fuses=True)
"""Of batches too, each with a factor of its own: for a backend whose products take that."""
