"""Pairs: an Einsum of many operands becomes several Einsums of two, each of which may be a matrix product.

Of all pairs, the one that takes the fewest multiplications is contracted first. Each named size counts as a usual
number. A letter that occurs neither in another operand nor in the result is summed over at once.
Source: D. G. A. Smith and J. Gray, opt_einsum, Journal of Open Source Software 3 (26), 2018: the greedy path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from math import prod

from ..ir.node import Node
from ..ir.spec import Dim
from ..ops.einsum import Einsum
from .passes import Rules, made_of

__all__ = ["pairs", "rules"]

_USUAL = 64
"""The number that stands for a named size."""

rules = Rules()


@rules.on(Einsum)
def _two_at_a_time(node: Node) -> Node | None:
    if not isinstance(node, Einsum) or len(node.values) < 3:
        return None
    terms, result = node.terms
    operands = list(zip(terms, node.values, strict=True))
    while len(operands) > 2:
        one, other = min(
            combinations(operands, 2), key=lambda pair: _multiplications(node.dims, pair[0][0] + pair[1][0])
        )
        rest = [operand for operand in operands if operand is not one and operand is not other]
        needed = {*result, *(letter for term, _ in rest for letter in term)}
        kept = "".join(letter for letter in dict.fromkeys(one[0] + other[0]) if letter in needed)
        operands = [*rest, (kept, Einsum(f"{one[0]},{other[0]}->{kept}", one[1], other[1]))]
    return Einsum(f"{','.join(term for term, _ in operands)}->{result}", *(value for _, value in operands))


def _multiplications(dims: Mapping[str, Dim], letters: Iterable[str]) -> int:
    sizes = (dims[letter] for letter in set(letters))
    return prod(size if isinstance(size, int) else _USUAL for size in sizes)


pairs = made_of("products in pairs", "reassociating", rules)
