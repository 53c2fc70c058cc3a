"""Contractions: the kernel of sums of products that no matrix product computes.

Every operand is seen along all letters of an equation: those of the result are axes that are kept, the others are
folded, a vector of neighbouring results at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache, reduce

import numpy as np

from ...ir.spec import Dim
from ..nests import Axis, Nest, make_axes
from .maps import axis_numbers, load_along, write_nest
from .reductions import fold, fold_values, start_of
from .tape import Invocation, address_of
from .types import register_type, splat
from .writer import Writer

__all__ = ["contract", "contraction_kernel"]

Arrays = tuple[np.ndarray, ...]


def contract(
    terms: Sequence[str], result: str, ins: Arrays, out: np.ndarray, dims: Mapping[str, Dim]
) -> list[Invocation]:
    """The call that sums products of operands, each with a letter for each axis; `dims` are sizes as declared."""
    arrays, named = (out, *ins), (result, *terms)
    sizes = {letter: n for term, x in zip(named, arrays, strict=True) for letter, n in zip(term, x.shape, strict=True)}
    folded = [a for a in dict.fromkeys("".join(terms)) if a not in result]
    dtypes = tuple(x.dtype for x in arrays)

    def axes(letters: Sequence[str]) -> tuple[tuple[Axis, ...], list[int]]:
        moves = [[_moved(x, term, letter) for x, term in zip(arrays, named, strict=True)] for letter in letters]
        return make_axes([dims[a] for a in letters], [sizes[a] for a in letters], moves, dtypes)

    over, words = axes(folded)
    kept, more = axes(result)
    return [Invocation(contraction_kernel(Nest(kept, dtypes), over), [*map(address_of, arrays), *words, *more])]


def _moved(x: np.ndarray, term: str, letter: str) -> int:
    """The bytes that an array moves along a letter: on its diagonal, where it has the letter twice."""
    return sum(x.strides[a] for a, own in enumerate(term) if own == letter)


@cache
def contraction_kernel(kept: Nest, over: tuple[Axis, ...]) -> str:
    """The kernel that sums products of operands over some axes. Arrays: result, operands.

    Words: pointers; the numbers of the axes that are summed over, then of those that are kept.
    """
    w = Writer()
    pointers = [w.word("ptr") for _ in kept.dtypes]
    loops = [axis_numbers(w, axis, kept.dtypes) for axis in over]
    dtype = kept.dtypes[0]
    add, times = fold("add", dtype, dtype), fold("multiply", dtype, dtype)

    def body(places: list[str], lanes: int, mask: str | None) -> None:
        kind = register_type(add.carried, lanes)
        total = w.variable(kind, splat(start_of(add), add.carried, lanes))
        with ExitStack() as stack:
            here = places
            for size, moves in loops:
                index = stack.enter_context(w.loop(size))
                here = [w.offset(place, (index, move)) for place, move in zip(here, moves, strict=True)]
            before = w.put(f"load {kind}, ptr {total}")
            w.do(f"store {kind} {fold_values(w, add, before, multiplied(here, lanes, mask), lanes)}, ptr {total}")
        value = w.converted(w.put(f"load {kind}, ptr {total}"), add.carried, dtype, lanes)
        w.store(value, places[0], dtype, lanes, mask)

    def multiplied(places: list[str], lanes: int, mask: str | None) -> str:
        loaded = (load_along(w, kept, places, i, lanes, mask) for i in range(1, len(places)))
        values = (w.converted(value, dtype, times.carried, lanes) for value in loaded)
        return reduce(lambda x, y: fold_values(w, times, x, y, lanes), values)

    write_nest(w, kept, pointers, body)
    return w.text()
