"""Samples: kernels that go through a batch sample by sample, so that what is made on the way stays in the cache.

In each round, for a sample or some, such a kernel moves parts of arrays and multiplies matrices, in the order given.
Moves alike but for where they begin are one loop nest in a loop over a table of places, however many taps a window has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from ..nests import Axis, Nest
from .maps import load_along, write_nest
from .products import WORD, Loops, Product
from .reductions import Fold, fold, fold_values
from .transposing import write_transposed
from .types import DType
from .writer import Writer

__all__ = ["BLOCK", "Action", "Moves", "Multiplication", "Transposition", "samples_kernel"]

BLOCK = 256
"""Steps of a block: as many of B's vectors stay in the nearest cache while all rows of A are multiplied with them."""


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
    blocks: bool = False
    """Are its steps taken in blocks, each added to the result of those before?"""


Action: TypeAlias = "Moves | Transposition | Multiplication"
"""What is done for each sample. Arrays are named by their numbers."""


@cache
def samples_kernel(dtype: DType, arrays: int, actions: tuple[Action, ...]) -> str:
    """The kernel.

    Its words: for each array a pointer and the bytes from round to round (none for what is made on the way); the
    rounds; then for each action its own. Moves have the bytes from the tables' beginning to their own table, pairs
    of bytes in target and source; how many pairs; and the numbers of their axes. Transpositions have how many, the
    bytes from one to the next in target and source, then as `write_transposed`. Products have the bytes to their
    tables of steps and rows, where they have them; in blocks, how many steps; then as `Loops`. At the end the tables.
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
                case Multiplication():
                    _multiply(w, action, [places[i] for i in action.arrays], tables)
    return w.text()


def _move(w: Writer, dtype: DType, moves: Moves, places: Sequence[str], tables: str) -> None:
    table, count = w.offset(tables, (w.word(), 1)), w.word()
    nest, how = Nest(moves.axes, (dtype, dtype)), fold("add", dtype, dtype)

    def body(at: list[str], lanes: int, mask: str | None) -> None:
        value = load_along(w, nest, at, 1, lanes, mask)
        if moves.added:
            value = _sum(w, how, w.load(at[0], dtype, lanes, mask), value, lanes)
        w.store(value, at[0], dtype, lanes, mask)

    with w.loop(count) as index:
        pair = w.offset(table, (index, 2 * WORD.itemsize))
        by = w.load(pair, WORD), w.load(w.offset(pair, ("1", WORD.itemsize)), WORD)
        pointers = [w.offset(places[i], (b, 1)) for i, b in zip((moves.target, moves.source), by, strict=True)]
        write_nest(w, nest, pointers, body)


def _multiply(w: Writer, action: Multiplication, arrays: Sequence[str], tables: str) -> None:
    how = action.product
    steps = w.offset(tables, (w.word(), 1)) if how.steps_at else ""
    rows = w.offset(tables, (w.word(), 1)) if how.rows_at else ""
    if not action.blocks:
        Loops(w, how, steps, rows).write(*arrays)
        return
    count = w.word()
    with w.loop(count, BLOCK) as start:
        left = w.put(f"sub nsw i64 {count}, {start}")
        whole = w.put(f"icmp sgt i64 {left}, {BLOCK}")
        inner = w.put(f"select i1 {whole}, i64 {BLOCK}, i64 {left}")
        Loops(w, how, w.offset(steps, (start, 2 * WORD.itemsize)), rows, inner).write(*arrays)


def _sum(w: Writer, how: Fold, x: str, y: str, lanes: int) -> str:
    x, y = (w.converted(value, how.source, how.carried, lanes) for value in (x, y))
    return w.converted(fold_values(w, how, x, y, lanes), how.carried, how.result, lanes)
