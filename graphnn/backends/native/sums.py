"""Sums of products (Einsum): matrix products, added up where need be, maps, and contractions for what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from ...ir import formula as language
from ...ir.spec import Dim
from ...ops.einsum import as_product
from .contractions import contract
from .maps import lower_map
from .matmul import lower_product
from .tape import Invocation

__all__ = ["lower_einsum"]

Arrays = tuple[np.ndarray, ...]


def lower_einsum(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    """The calls of an Einsum."""
    terms, result = node.terms
    dims: Mapping[str, Dim] = declared.dims
    zeros = lower_map(language.parse("0"), (), declared.shape, (), out)
    if not out.size or not all(x.size for x in ins):
        return zeros
    if all(len(set(term)) == len(term) for term in terms):
        if set(result) == set("".join(terms)):
            return _map(terms, result, ins, out, declared.shape)
        if len(terms) == 2:
            one, two = terms
            if product := _as_product(terms, result, ins, out, dims):
                return _product(product, _sizes(terms, result, dims))
            for letter in dims:
                if letter in one and letter in two and letter not in result and out.itemsize > 2:
                    longer = np.broadcast_to(out, (ins[0].shape[one.index(letter)], *out.shape))
                    if product := _as_product(terms, letter + result, ins, longer, dims):
                        return [*zeros, *_product(product, _sizes(terms, letter + result, dims), added=True)]
    return contract(terms, result, ins, out, dims)


def _as_product(terms: list[str], result: str, ins: Arrays, out: np.ndarray, dims: Mapping[str, Dim]) -> Arrays | None:
    """Matrices whose product it is, if there are such, and the product's rows or columns lie densely."""
    product = as_product(terms, result, ins, out, {a for a, size in dims.items() if not isinstance(size, int)})
    return product if product is not None and _dense_side(product[2]) is not None else None


def _dense_side(array: np.ndarray) -> int | None:
    """The axis of a matrix along which elements lie side by side, if there are several: the last where it can be."""
    axes = (a for a in (-1, -2) if array.shape[a] == 1 or array.strides[a] == array.itemsize)
    return next(axes, None)


def _map(terms: Sequence[str], result: str, ins: Arrays, out: np.ndarray, shape: tuple[Dim, ...]) -> list[Invocation]:
    """Nothing is summed: a product of elements."""
    names = tuple(f"x{i}" for i in range(len(ins)))
    seen = tuple(_along(x, term, result, out.shape) for x, term in zip(ins, terms, strict=True))
    return lower_map(language.parse(" * ".join(names)), names, shape, seen, out)


def _along(x: np.ndarray, term: str, result: str, shape: tuple[int, ...]) -> np.ndarray:
    """An operand along the axes of the result, staying in place along those that it does not have."""
    order = x.transpose([term.index(a) for a in result if a in term])
    return np.broadcast_to(np.expand_dims(order, [i for i, a in enumerate(result) if a not in term]), shape)


def _sizes(terms: Sequence[str], result: str, dims: Mapping[str, Dim]) -> tuple[Dim, Dim, Dim]:
    """Rows, inner and columns as declared; of several letters with a named size among them, one that is named."""
    one, two = terms
    rows, inner, columns = (
        [dims[a] for a in dims if (a in one, a in two, a in result) == where]
        for where in ((True, False, True), (True, True, False), (False, True, True))
    )

    def together(sizes: list[Dim]) -> Dim:
        numbers = [size for size in sizes if isinstance(size, int)]
        return prod(numbers) if len(numbers) == len(sizes) else next(s for s in sizes if not isinstance(s, int))

    return together(rows), together(inner), together(columns)


def _product(arrays: Arrays, sizes: tuple[Dim, Dim, Dim], added: bool = False) -> list[Invocation]:
    """A matrix product, into a result that may lie transposed; with `added`, onto what is there."""
    a, b, c = arrays
    rows, inner, columns = sizes
    if _dense_side(c) == -2:
        a, b, c, rows, columns = (*(x.swapaxes(-1, -2) for x in (b, a, c)), columns, rows)
    return lower_product(a, b, c, (rows, inner), (inner, columns), c if added else None)
