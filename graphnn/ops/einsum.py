"""Einsum: sums of products, written with a letter for each axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import GraphError, ShapeError
from ..ir.dtype import constant_array
from ..ir.node import Node, describe
from ..ir.spec import Dim, Size
from .composite import Composite
from .linear import MatMul
from .reductions import Sum
from .sample import refused, sample
from .shape import Reshape, Transpose
from .triangle import Trilu

__all__ = ["Einsum"]

_DOTS = "..."


class Einsum(Composite):
    """A sum of products, a letter for each axis: `Einsum("ij,jk->ik", (x, y))` is the matrix product.

    Axes with the same letter have the same size. A letter that does not stand behind the arrow is summed over; one
    that stands twice in an operand means its diagonal. `...` stands for the axes without a letter, which broadcast.
    Without an arrow the result has the letters that occur once, in the order of the alphabet, after `...`.
    Operands are joined from left to right, by matrix products where something is summed over.
    Source: NumPy's `einsum`, https://numpy.org/doc/stable/reference/generated/numpy.einsum.html.

    Raises:
        GraphError: when the equation cannot be read, or has not one part for each operand.
        ShapeError: when it does not fit an operand, or two sizes of one letter differ.

    >>> import graphnn as gn
    >>> x, y = gn.Input("x", ("N", 3, 4)), gn.Input("y", ("N", 5, 4))
    >>> gn.Einsum("bik,bjk->bij", (x, y)).spec
    Spec(shape=(N, 3, 5), dtype=dtype('float32'))
    >>> print(gn.compile(gn.Einsum("ii", ([[1.0, 2.0], [3.0, 4.0]],)))())
    5.0
    """

    equation: str
    values: tuple[Node, ...]
    onnx = "Einsum"
    samples = (
        sample(("N", "K"), ("K", "M"), equation="ij,jk->ik", packed=True),
        sample(("B", "N", "K"), ("B", "M", "K"), equation="bik,bjk->bij", packed=True),
        sample(("B", "N", 2, 3), ("M", 2, 3), equation="bihd,jhd->bij", packed=True),
        sample(("N",), ("M",), equation="i,j", packed=True),
        sample(("N", "N"), equation="ii->i", packed=True),
        sample(("N", "N", "M"), equation="iij", packed=True),
        sample(("N", "M"), equation="ij->", packed=True),
        sample(("B", 1, "N", "K"), (2, "K", "M"), equation="...ij,...jk->...ki", packed=True),
        sample(("N", "K"), ("K", "M"), ("M",), equation="ij,jk,k->i", packed=True),
        sample(("N", "M", "K"), ("K", "M", "B"), equation="imk,kmb->ib", packed=True),
        refused(ShapeError, ("N", 2), (3, "M"), equation="ij,jk->ik", packed=True),
        refused(ShapeError, ("N", 2), equation="ijk->i", packed=True),
        refused(ShapeError, ("N", 2), equation="ii->i", packed=True),
        refused(GraphError, ("N", 2), equation="ij,jk->ik", packed=True),
        refused(GraphError, ("N", 2), equation="ij->ik", packed=True),
        refused(GraphError, ("N", 2), equation="i1->i", packed=True),
    )

    def prepare(self) -> None:
        """Read the equation, agree on a dtype, and check the sizes."""
        values = self.values
        if isinstance(values, Node) or not isinstance(values, (tuple, list)) or not values:
            raise GraphError('Einsum: the operands stand in a tuple, as in gn.Einsum("ij,jk->ik", (x, y)).')
        beside = tuple(v.dtype for v in values if isinstance(v, Node))
        nodes = [v if isinstance(v, Node) else Node.roles["constant"](constant_array(v, beside)) for v in values]
        dtype = np.result_type(*(node.dtype for node in nodes))
        self.__dict__["values"] = tuple(node.cast(dtype) for node in nodes)
        _check_sizes(_terms(self.equation, self.values))

    def expand(self) -> Node:
        """Diagonals, sums of letters that stand alone, then product by product; the letters in the order asked for."""
        terms = _terms(self.equation, self.values)
        asked = _result(self.equation, terms)
        terms = [_diagonal(term) for term in terms]
        done = terms[0]
        for i in range(len(terms)):
            needed = {*asked, *(label for term in terms[i + 1 :] for label in term.labels)}
            if i:
                done = _product(done, _alone(terms[i], {*needed, *done.labels}), needed)
            else:
                done = _alone(done, needed)
        return _ordered(done, asked).node.cast(self.values[0].dtype)


class Term(NamedTuple):
    """A value and the letters of its axes."""

    node: Node
    labels: tuple[str, ...]


# Reading -------------------------------------------------------------------------------------------------------------


def _parts(equation: str) -> tuple[list[str], str | None]:
    left, arrow, right = equation.replace(" ", "").partition("->")
    for part in (*left.split(","), right):
        rest = part.replace(_DOTS, "", 1)
        if rest and not (rest.isascii() and rest.isalpha()):
            raise GraphError(f"Einsum: {equation!r} cannot be read at {part!r}: letters, commas, '...' and one '->'.")
    return left.split(","), right if arrow else None


def _terms(equation: str, values: Sequence[Node]) -> list[Term]:
    parts, _ = _parts(equation)
    if len(parts) != len(values):
        raise GraphError(f"Einsum: {equation!r} has {len(parts)} parts for {len(values)} operands: {_listed(values)}.")
    return [Term(node, _labels(equation, part, node)) for part, node in zip(parts, values, strict=True)]


def _labels(equation: str, part: str, node: Node) -> tuple[str, ...]:
    before, dots, after = part.partition(_DOTS)
    unnamed = node.ndim - len(before) - len(after)
    if unnamed < 0 or (unnamed and not dots):
        raise ShapeError(f"Einsum: {part!r} in {equation!r} does not fit {describe(node)}, which has {node.ndim} axes.")
    return (*before, *(f"{_DOTS}{i}" for i in range(unnamed, 0, -1)), *after)


def _result(equation: str, terms: Sequence[Term]) -> tuple[str, ...]:
    """The labels of the result."""
    used = Counter(label for term in terms for label in term.labels)
    dots = sorted((label for label in used if label.startswith(_DOTS)), key=lambda label: -int(label[3:]))
    _, asked = _parts(equation)
    if asked is None:
        return (*dots, *sorted(label for label, n in used.items() if n == 1 and label not in dots))
    before, has_dots, after = asked.partition(_DOTS)
    labels = (*before, *(dots if has_dots else ()), *after)
    wrong = [label for label in labels if label not in used or labels.count(label) > 1]
    if wrong or (dots and not has_dots):
        raise GraphError(f"Einsum: {equation!r} cannot give {asked!r} of {_listed([t.node for t in terms])}.")
    return labels


def _check_sizes(terms: Sequence[Term]) -> None:
    known: dict[str, tuple[Dim, Node]] = {}
    for node, labels in terms:
        for label, dim in zip(labels, node.shape, strict=True):
            other, where = known.setdefault(label, (dim, node))
            if label.startswith(_DOTS) and 1 in (dim, other):
                known[label] = (other, where) if dim == 1 else (dim, node)
            elif dim != other:
                raise ShapeError(
                    f"Einsum: '{label}' is {other} in {describe(where)} but {dim} in {describe(node)}: "
                    "axes with the same letter have the same size."
                )


def _listed(nodes: Sequence[Node]) -> str:
    return " and ".join(map(describe, nodes))


# Computing -----------------------------------------------------------------------------------------------------------


def _ordered(term: Term, labels: Sequence[str]) -> Term:
    """The axes in another order."""
    if term.labels == tuple(labels):
        return term
    return Term(Transpose(term.node, tuple(term.labels.index(label) for label in labels)), tuple(labels))


def _diagonal(term: Term) -> Term:
    """A letter that stands twice, once: of the two axes all but the diagonal is zero, and one is summed over."""
    twice = next((label for label, n in Counter(term.labels).items() if n > 1), None)
    if twice is None:
        return term
    first = term.labels.index(twice)
    second = term.labels.index(twice, first + 1)
    rest = [a for a in range(len(term.labels)) if a not in (first, second)]
    square = Transpose(term.node, (*rest, first, second))
    diagonal = Sum(Trilu(Trilu(square, upper=True), upper=False), -1).cast(term.node.dtype)
    return _diagonal(Term(diagonal, (*(term.labels[a] for a in rest), twice)))


def _alone(term: Term, needed: set[str]) -> Term:
    """The letters that nothing else needs summed over."""
    axes = tuple(a for a, label in enumerate(term.labels) if label not in needed)
    if not axes:
        return term
    return Term(Sum(term.node, axes).cast(term.node.dtype), tuple(label for label in term.labels if label in needed))


def _product(a: Term, b: Term, needed: set[str]) -> Term:
    """Two terms as one; what both have and nothing else needs is summed over, by a matrix product if sizes allow."""
    shared = [label for label in a.labels if label in b.labels]
    batch, summed = [s for s in shared if s in needed], [s for s in shared if s not in needed]
    rows = [label for label in a.labels if label not in shared]
    columns = [label for label in b.labels if label not in shared]
    labels = (*batch, *rows, *columns)
    x, y = _ordered(a, (*batch, *rows, *summed)).node, _ordered(b, (*batch, *summed, *columns)).node
    m, k = x.shape[len(batch) : len(batch) + len(rows)], x.shape[len(batch) + len(rows) :]
    n = y.shape[len(batch) + len(summed) :]
    sides = [_count(dims) for dims in (m, k, n)]
    if not summed or None in sides:
        x = _with_ones(x, len(batch) + len(rows), len(columns))
        y = _with_ones(y, len(batch), len(rows))
        product = x * _ordered(Term(y, (*batch, *rows, *summed, *columns)), (*batch, *rows, *columns, *summed)).node
        axes = tuple(range(len(labels), len(labels) + len(summed)))
        return Term(Sum(product, axes).cast(product.dtype) if summed else product, labels)
    left = Reshape(x, (*x.shape[: len(batch)], sides[0], sides[1]))
    right = Reshape(y, (*y.shape[: len(batch)], sides[1], sides[2]))
    product = MatMul(left, right)
    return Term(Reshape(product, (*product.shape[: len(batch)], *m, *n)), labels)


def _count(dims: Sequence[Dim]) -> Dim | None:
    """The number of elements along some axes, if it is a size: k·N + c in one named size."""
    if sum(isinstance(dim, Size) for dim in dims) > 1:
        return None
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def _with_ones(x: Node, at: int, count: int) -> Node:
    """More axes, of size 1."""
    return Reshape(x, (*x.shape[:at], *(1,) * count, *x.shape[at:])) if count else x
