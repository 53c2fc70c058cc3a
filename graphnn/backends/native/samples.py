"""Samples: kernels that go through a batch sample by sample, so that what is made on the way stays in the cache.

In each round, for a sample or some, such a kernel moves parts of arrays and multiplies matrices, in the order given.
Moves alike but for where they begin are one loop nest in a loop over a table of places, however many taps a window has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

import numpy as np

from ...ir.spec import Dim
from ..nests import Axis, Nest, make_axes
from .maps import write_nest
from .products import WORD, Loops, Product
from .reductions import Fold, fold, fold_values
from .tape import Invocation, address_of
from .transposing import write_transposed
from .types import DType
from .writer import Writer

__all__ = ["Batch", "Copy", "samples_kernel"]

Copy: TypeAlias = "tuple[np.ndarray, np.ndarray]"
"""Where to, and from where."""


@dataclass(frozen=True)
class Moves:
    """Copies from one array to another, or additions to it, of parts of one form."""

    target: int
    source: int
    axes: tuple[Axis, ...]
    added: bool = False


@dataclass(frozen=True)
class Transposition:
    """A matrix of each of some samples, transposed from one array to another."""

    target: int
    source: int


@dataclass(frozen=True)
class Multiplication:
    """A product of arrays: its result, A, B, and C where there is one."""

    product: Product
    arrays: tuple[int, ...]


Action: TypeAlias = "Moves | Transposition | Multiplication"
"""What is done for each sample. Arrays are named by their numbers."""


@cache
def samples_kernel(dtype: DType, arrays: int, actions: tuple[Action, ...]) -> str:
    """The kernel.

    Its words: for each array a pointer and the bytes from round to round (none for what is made on the way); the
    rounds; then for each action its own. Moves have the bytes from the tables' beginning to their own table, pairs
    of bytes in target and source; how many pairs; and the numbers of their axes. Transpositions have how many, the
    bytes from one to the next in target and source, then as `write_transposed`. Products have the bytes to their
    tables of steps and rows, where they have them; then as `Loops`. At the end the tables.
    """
    w = Writer()
    firsts = [(w.word("ptr"), w.word()) for _ in range(arrays)]
    tables = w.rest()
    with w.loop(w.word()) as index:
        places = [w.offset(first, (index, by)) for first, by in firsts]
        for action in actions:
            match action:
                case Moves():
                    _move(w, dtype, action, places, tables)
                case Transposition(target, source):
                    count, by_target, by_source = (w.word() for _ in range(3))
                    with w.loop(count) as i:
                        at = w.offset(places[target], (i, by_target)), w.offset(places[source], (i, by_source))
                        write_transposed(w, dtype, *at)
                case Multiplication(product, which):
                    steps = w.offset(tables, (w.word(), 1)) if product.steps_at else ""
                    rows = w.offset(tables, (w.word(), 1)) if product.rows_at else ""
                    out, a, b, *c = (places[i] for i in which)
                    Loops(w, product, steps, rows).write(out, a, b, *c)
    return w.text()


def _move(w: Writer, dtype: DType, moves: Moves, places: Sequence[str], tables: str) -> None:
    table, count = w.offset(tables, (w.word(), 1)), w.word()
    how = fold("add", dtype, dtype)

    def body(at: list[str], lanes: int, mask: str | None) -> None:
        value = w.load(at[1], dtype, lanes, mask)
        if moves.added:
            value = _sum(w, how, w.load(at[0], dtype, lanes, mask), value, lanes)
        w.store(value, at[0], dtype, lanes, mask)

    with w.loop(count) as index:
        pair = w.offset(table, (index, 2 * WORD.itemsize))
        by = w.load(pair, WORD), w.load(w.offset(pair, ("1", WORD.itemsize)), WORD)
        pointers = [w.offset(places[i], (b, 1)) for i, b in zip((moves.target, moves.source), by, strict=True)]
        write_nest(w, Nest(moves.axes, (dtype, dtype)), pointers, body)


def _sum(w: Writer, how: Fold, x: str, y: str, lanes: int) -> str:
    x, y = (w.converted(value, how.source, how.carried, lanes) for value in (x, y))
    return w.converted(fold_values(w, how, x, y, lanes), how.carried, how.result, lanes)


@dataclass
class Batch:
    """The call of a kernel over samples, as it is put together: its actions, their words, and its tables."""

    rounds: int
    """How often all is done."""
    arrays: list[tuple[np.ndarray, int]] = field(default_factory=list)
    """Each array, and the bytes from round to round."""
    actions: list[Action] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)

    def array(self, array: np.ndarray, by: int = 0) -> int:
        """The number of an array that lies so many bytes further in each round."""
        self.arrays.append((array, by))
        return len(self.arrays) - 1

    def table(self, entries: np.ndarray) -> int:
        """Bytes to a table, which is put behind the others."""
        begin = len(self.tables) * WORD.itemsize
        self.tables += entries.reshape(-1).tolist()
        return begin

    def move(self, target: int, source: int, copies: Iterable[Copy], dims: Sequence[Dim], added: bool = False) -> None:
        """Copy parts of one array to another, or add them. `dims` says which axes have a named size."""
        bases = [address_of(self.arrays[i][0]) for i in (target, source)]
        alike: dict[tuple[tuple[Axis, ...], tuple[int, ...]], list[list[int]]] = {}
        for to, of in copies:
            sizes = [n if isinstance(dim, int) else dim for n, dim in zip(to.shape, dims, strict=True)]
            moves = list(zip(to.strides, of.strides, strict=True))
            axes, words = make_axes(sizes, to.shape, moves, (to.dtype, of.dtype))
            begins = [address_of(array) - base for array, base in zip((to, of), bases, strict=True)]
            alike.setdefault((axes, tuple(words)), []).append(begins)
        for (axes, numbers), pairs in alike.items():
            self.actions.append(Moves(target, source, axes, added))
            self.words += [self.table(np.array(pairs)), len(pairs), *numbers]

    def transpose(self, target: int, source: int, to: np.ndarray, of: np.ndarray) -> None:
        """Transpose matrices: one of each sample of (samples, rows, columns)."""
        self.actions.append(Transposition(target, source))
        self.words += [len(of), to.strides[0], of.strides[0], *of.shape[1:], of.strides[1], to.strides[1]]

    def multiply(self, how: Product, arrays: tuple[int, ...], tables: Sequence[np.ndarray], words: list[int]) -> None:
        """Multiply matrices."""
        self.actions.append(Multiplication(how, arrays))
        self.words += [*map(self.table, tables), *words]

    def call(self) -> Invocation:
        """The call."""
        kernel = samples_kernel(self.arrays[0][0].dtype, len(self.arrays), tuple(self.actions))
        arrays = [word for array, by in self.arrays for word in (address_of(array), by)]
        return Invocation(kernel, [*arrays, self.rounds, *self.words, *self.tables])
