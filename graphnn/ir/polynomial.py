"""Polynomials in named sizes: how many bytes or operations something takes, before any size is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from .spec import Shape, Size, Spec

__all__ = ["Polynomial", "bytes_of", "product_of"]


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A sum of terms, each a product of named sizes with a factor: `{("N",): 80}` is 80·N."""

    terms: tuple[tuple[tuple[str, ...], int], ...]

    def __call__(self, sizes: Mapping[str, int]) -> int:
        """The number, once the named sizes are known."""
        return sum(factor * prod(sizes[name] for name in names) for names, factor in self.terms)

    @property
    def names(self) -> set[str]:
        """The named sizes that occur."""
        return {name for names, _ in self.terms for name in names}

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        return " + ".join("·".join((str(factor), *names)) for names, factor in reversed(self.terms))

    @staticmethod
    def total(added: Iterable[Polynomial], taken: Iterable[Polynomial] = ()) -> Polynomial:
        """The sum of the polynomials added, minus that of those taken away."""
        terms: dict[tuple[str, ...], int] = {}
        for sign, polynomials in ((1, added), (-1, taken)):
            for polynomial in polynomials:
                for names, factor in polynomial.terms:
                    terms[names] = terms.get(names, 0) + sign * factor
        return Polynomial(tuple(sorted((names, factor) for names, factor in terms.items() if factor)))

    def covers(self, other: Polynomial) -> bool:
        """Is this at least the other, whatever the sizes are? It compares term by term, so False may mean unknown."""
        mine, theirs = dict(self.terms), dict(other.terms)
        return all(mine.get(names, 0) >= theirs.get(names, 0) for names in {*mine, *theirs})


@lru_cache(maxsize=65536)
def bytes_of(spec: Spec) -> Polynomial:
    """The bytes of a value of this spec."""
    return product_of((spec.dtype.itemsize, *spec.shape))


@lru_cache(maxsize=65536)
def product_of(shape: Shape) -> Polynomial:
    """How many elements a shape has: the product of its sizes."""
    terms: dict[tuple[str, ...], int] = {(): 1}
    for dim in shape:
        parts = [((dim.name,), dim.scale), ((), dim.offset)] if isinstance(dim, Size) else [((), dim)]
        product: dict[tuple[str, ...], int] = {}
        for names, factor in terms.items():
            for more, by in parts:
                if factor * by:
                    key = tuple(sorted((*names, *more)))
                    product[key] = product.get(key, 0) + factor * by
        terms = product
    return Polynomial(tuple(sorted(terms.items())))
