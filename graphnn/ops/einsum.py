"""Einsum: sums of products in Einstein's notation."""

from __future__ import annotations

import string
from collections.abc import Container, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.broadcast import broadcast_to
from ..ir.dtype import constant_array
from ..ir.leaf import Constant
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Shape, Spec
from .sample import refused, sample
from .shape import Reshape
from .triangle import Trilu

__all__ = ["Einsum", "as_product"]


class Einsum(Node):
    """A sum of products in Einstein's notation: `Einsum("nk,km->nm", x, W)` is the matrix product.

    The equation has a letter for each axis of each operand, and after `->` those of the result. Letters that the result
    does not have are summed over. A letter that occurs twice in one operand takes its diagonal. `...` stands for
    leading axes that broadcast. Without `->`, the result has the letters that occur once, in alphabetical order.
    Operands of different dtypes are cast to one. The gradient is an Einsum too.
    Source: A. Einstein, Die Grundlage der allgemeinen Relativitätstheorie, Annalen der Physik 49, 1916, section 5;
    the equation is NumPy's.

    Raises:
        GraphError: when the equation is not one, or is for another number of operands.
        ShapeError: when an operand has not as many axes as letters, or two sizes of one letter differ.
        DTypeError: when an operand is not numeric.

    >>> import graphnn as gn
    >>> x, y = gn.Input("x", ("N", 3)), gn.Input("y", ("N", 3))
    >>> gn.Einsum("ni,nj->nij", x, y).shape
    (N, 3, 3)
    """

    equation: str
    values: tuple[Node, ...]
    onnx = "Einsum"
    samples = (
        sample(("N", "K"), ("K", "M"), equation="nk,km->nm", packed=True),
        sample(("N", "K", "M"), equation="nkm->mn", packed=True),
        sample(("N", 2), ("N", 2), ("N",), equation="ni,nj,n->ij", packed=True),
        sample(("N", "N"), equation="ii->i", packed=True),
        sample(("B", 2, 3), (3, "M"), equation="...ij,jk", packed=True),
        sample((1, "N"), ("M", "N"), equation="...n,...n->...", packed=True),
        sample(("B", "N", "K"), ("B", "M", "K"), equation="bnk,bmk->bmn", packed=True),
        refused(ShapeError, ("N", 2), (3, "M"), equation="nk,km->nm", packed=True),
        refused(ShapeError, ("N", 2), equation="n->n", packed=True, culprits=("x0",)),
        refused(GraphError, ("N", 2), equation="nk->j", packed=True),
        refused(GraphError, ("N", 2), equation="nk,kj->nj", packed=True),
        refused(GraphError, ("N", 2), equation="n2->n", packed=True),
    )

    def __init__(self, equation: str, *operands: Any, values: Any = ()) -> None:
        if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
            operands = tuple(operands[0])
        given = operands or tuple(values)
        beside = tuple(v.dtype for v in given if isinstance(v, Node))
        try:
            nodes = tuple(v if isinstance(v, Node) else Constant(constant_array(v, beside)) for v in given)
        except DTypeError as error:
            raise DTypeError(f"Einsum: {error}") from None
        self.__dict__.update(equation=equation, values=nodes)
        self.__post_init__()

    def prepare(self) -> None:
        """Write the equation out, cast to one dtype, and drop axes of size 1 that broadcast."""
        values = self.values
        dtype = np.result_type(*(v.dtype for v in values)) if values else np.dtype(float)
        terms, result = _read(self.equation, [v.cast(dtype) for v in values])
        sizes: dict[str, tuple[Dim, Node]] = {}
        for letters, node in terms:
            for letter, dim in zip(letters, node.shape, strict=True):
                known = sizes.setdefault(letter, (dim, node))
                if known[0] == 1 and letter.isupper():
                    sizes[letter] = dim, node
                elif dim != known[0] and not (dim == 1 and letter.isupper()):
                    raise ShapeError(
                        f"Einsum '{self.equation}': the letter {letter} is {known[0]} in {describe(known[1])}, "
                        f"but {dim} in {describe(node)}."
                    )
        kept = [_without_ones(letters, node, sizes) for letters, node in terms]
        equation = ",".join(letters for letters, _ in kept) + "->" + result
        self.__dict__.update(equation=equation, values=tuple(node for _, node in kept))

    @property
    def terms(self) -> tuple[list[str], str]:
        """The letters of each operand, and those of the result."""
        left, result = self.equation.split("->")
        return left.split(","), result

    @property
    def dims(self) -> dict[str, Dim]:
        """The size of each letter."""
        terms, _ = self.terms
        return {
            a: dim
            for term, node in zip(terms, self.values, strict=True)
            for a, dim in zip(term, node.shape, strict=True)
        }

    def infer(self) -> Spec:
        """The sizes of the result's letters."""
        dims = self.dims
        return Spec(tuple(dims[letter] for letter in self.terms[1]), self.values[0].dtype)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By `einsum`."""
        return xp.asarray(xp.einsum(self.equation, *arrays, optimize=len(arrays) > 1))

    def work(self) -> tuple[Shape, ...]:
        """An operation for each operand and each combination of letters."""
        return ((len(self.values), *self.dims.values()),)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """One call: a matrix product of views of two operands, where that is possible, else `einsum`.

        If a product would need a copy of an operand, because of its layout, `einsum` makes it.
        """
        terms, result = self.terms
        if len(ins) == 2 and out.size and all(x.size for x in ins):
            found = as_product(terms, result, ins, out)
            if found is not None:
                a, b, c = found
                plain = a.ndim == 2 and c.flags.c_contiguous
                return [partial(xp.dot if plain else xp.matmul, a, b, c)]
        inner = set("".join(terms)) - set(result)
        optimize = bool(len(ins) > 1 and inner and out.size and all(x.size for x in ins))
        return [partial(xp.einsum, self.equation, *ins, out=out, optimize=optimize)]

    def vjp(self, g: Node) -> tuple[Node | None, ...]:
        """For each operand, an Einsum of g and the other operands."""
        return tuple(self._slope(g, k) if node.dtype.kind == "f" else None for k, node in enumerate(self.values))

    def _slope(self, g: Node, k: int) -> Node:
        terms, result = self.terms
        operand, dims = self.values[k], self.dims
        factors = [(result, g), *((t, v) for i, (t, v) in enumerate(zip(terms, self.values, strict=True)) if i != k)]
        unused = (a for a in string.ascii_letters if a not in self.equation)
        target = ""
        for letter in terms[k]:
            if letter in target:  # off the diagonal there is no gradient
                twin = next(unused)
                factors.append((letter + twin, _identity(dims[letter], g.dtype)))
                letter = twin
            target += letter
        known = set("".join(letters for letters, _ in factors))
        for letter in target:
            if letter not in known:  # what was summed over alone gets the same everywhere
                factors.append((letter, _ones((dims[letter],), g.dtype)))
        equation = ",".join(letters for letters, _ in factors) + "->" + target
        slope = Einsum(equation, *(node for _, node in factors))
        assert slope.shape == operand.shape
        return slope


def _ones(shape: Shape, dtype: np.dtype[Any]) -> Node:
    return broadcast_to(Constant(np.ones((1,) * len(shape)), dtype=dtype), shape)


def _identity(size: Dim, dtype: np.dtype[Any]) -> Node:
    """The identity matrix, whose size may be named: the ones that are in both an upper and a lower triangle."""
    return Trilu(Trilu(_ones((size, size), dtype)), upper=False)


def _read(equation: str, values: Sequence[Node]) -> tuple[list[tuple[str, Node]], str]:
    """The letters of each operand and of the result. Capital letters stand for the axes of an ellipsis.

    All letters of the user are renamed to small ones, so that they differ from those.
    """
    terms, right, letters = _parts(equation, values)
    named = _renaming(equation, letters)
    found, most = [], 0
    for term, node in zip(terms, values, strict=True):
        spread = node.ndim - len(term.replace("...", ""))
        if spread < 0 or (spread and "..." not in term):
            raise ShapeError(
                f"Einsum {equation!r}: the letters {term!r} are for {describe(node)}, which has {node.ndim} axes."
            )
        most = max(most, spread)
        found.append((_renamed(term, named, spread), node))
    if most and "..." not in right:
        raise GraphError(f"Einsum: the axes of '...' in {equation!r} are not in its result: write '...' there too.")
    return found, _renamed(right, named, most)


def _parts(equation: str, values: Sequence[Node]) -> tuple[list[str], str, list[str]]:
    """The terms of the operands, that of the result, and all letters, as the user writes them."""
    if not isinstance(equation, str) or not values:
        raise GraphError(f"Einsum: {equation!r} with {len(values)} operands; write gn.Einsum('nk,km->nm', x, W).")
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    letters = [a for a in text.replace("...", "") if a not in ",->"]
    if any(a not in string.ascii_letters for a in letters) or any(t.count(".") not in (0, 3) for t in (*terms, right)):
        raise GraphError(f"Einsum: {equation!r} holds more than letters, commas, '...' and one '->'.")
    if len(terms) != len(values):
        raise GraphError(f"Einsum: {equation!r} is for {len(terms)} operands, but there are {len(values)}.")
    if not arrow:
        once = sorted(a for a in set(letters) if letters.count(a) == 1)
        right = "..." * ("..." in left) + "".join(once)
    plain = right.replace("...", "")
    if len(set(plain)) < len(plain) or not set(plain) <= set(left):
        raise GraphError(f"Einsum: the result of {equation!r} has a letter twice, or one that no operand has.")
    return terms, right, letters


def _renaming(equation: str, letters: list[str]) -> dict[str, str]:
    """Small letters for those of the user: the same ones if they are small already."""
    if set(letters) <= set(string.ascii_lowercase):
        return {a: a for a in letters}
    distinct = dict.fromkeys(letters)
    if len(distinct) > 26:
        raise GraphError(f"Einsum: {equation!r} has more than 26 letters.")
    return dict(zip(distinct, string.ascii_lowercase, strict=False))


def _renamed(term: str, named: dict[str, str], spread: int) -> str:
    """A term with its ellipsis as capitals, the last axis A, the one before it B, and so on."""
    capitals = string.ascii_uppercase[:spread][::-1]
    before, dots, after = term.partition("...")
    return "".join(named[a] for a in before) + capitals * bool(dots) + "".join(named[a] for a in after)


def _without_ones(letters: str, node: Node, sizes: dict[str, tuple[Dim, Node]]) -> tuple[str, Node]:
    """A term without the axes of size 1 that broadcast against longer ones."""
    keep = [dim == sizes[a][0] for a, dim in zip(letters, node.shape, strict=True)]
    if all(keep):
        return letters, node
    shape = tuple(dim for dim, kept in zip(node.shape, keep, strict=True) if kept)
    return "".join(a for a, kept in zip(letters, keep, strict=True) if kept), Reshape(node, shape)


def as_product(
    terms: list[str], result: str, ins: tuple[Any, ...], out: Any, named: Container[str] = ()
) -> tuple[Any, Any, Any] | None:
    """Views of the operands and the result for which `matmul` computes the equation; None if there are none.

    `named` are the letters with a named size: their axes are not dropped, even if they have one element this time.
    """
    one, two = terms
    if any(len(set(t)) < len(t) for t in terms) or (set(one) ^ set(two)) - set(result):
        return None
    batch = [a for a in result if a in one and a in two]
    rows, columns = [a for a in result if a not in two], [a for a in result if a not in one]
    inner = [a for a in one if a in two and a not in result]
    if not inner:
        return None
    orders = _inner_orders(one, two, inner, ins)
    for order in orders:
        views = (
            _view(ins[0], one, (batch, rows, order), named),
            _view(ins[1], two, (batch, order, columns), named),
            _view(out, result, (batch, rows, columns), named),
        )
        if all(view is not None for view in views):
            return views
    return None


def _inner_orders(one: str, two: str, inner: list[str], ins: tuple[Any, ...]) -> list[list[str]]:
    """The orders of the letters that are summed over, by their layout in either operand, slowest first."""
    found = []
    for term, array in zip((one, two), ins, strict=True):
        order = sorted(inner, key=lambda a: -abs(array.strides[term.index(a)]))
        if order not in found:
            found.append(order)
    return found


def _view(array: Any, term: str, groups: tuple[list[str], list[str], list[str]], named: Container[str]) -> Any:
    """A view with the batch axes first, and each of two groups of axes merged into one; None if it needs a copy."""
    batch, first, second = groups
    sizes, strides = (dict(zip(term, numbers, strict=True)) for numbers in (array.shape, array.strides))
    for group in (first, second):
        axes = [a for a in group if sizes[a] != 1 or a in named]
        if any(strides[a] != strides[b] * sizes[b] for a, b in pairwise(axes)):  # they do not step as one
            return None
    shape = (*(sizes[a] for a in batch), prod(sizes[a] for a in first), prod(sizes[a] for a in second))
    return array.transpose([term.index(a) for a in (*batch, *first, *second)]).reshape(shape)
