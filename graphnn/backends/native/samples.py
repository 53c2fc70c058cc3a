"""Samples: kernels that go through a batch sample by sample, so that intermediate arrays stay in the cache.

Such a kernel runs in rounds. Each round treats one sample, or a few, with the same list of actions: copies, additions,
transpositions and matrix products. Copies that differ only in where they begin become one loop nest, which runs once
for each entry of a table of places. So the code does not grow with the number of taps of a window.
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
"""Steps along the inner axis in a block of a product.

So many vectors of B stay in the nearest cache while all rows of A are multiplied with them.
"""


@dataclass(frozen=True)
class Moves:
    """Parts of one array that are copied to another, or added to it. All parts have the same axes."""

    target: int
    source: int
    axes: tuple[Axis, ...]
    added: bool = False


@dataclass(frozen=True)
class Transposition:
    """A matrix of each sample of the round, written transposed into another array."""

    target: int
    source: int


@dataclass(frozen=True)
class Multiplication:
    """A matrix product. `arrays` are its result, A, B, and C if it adds one."""

    product: Product
    arrays: tuple[int, ...]
    blocks: bool = False
    """Is the inner axis divided into blocks, each of which adds its product to the result?"""


Action: TypeAlias = "Moves | Transposition | Multiplication"
"""What is done in each round. An array is given by its number among the kernel's arrays."""


@cache
def samples_kernel(dtype: DType, arrays: int, actions: tuple[Action, ...]) -> str:
    """The kernel that runs the actions in each round. Offsets and strides are in bytes.

    Its words, in order:

    - for each array, a pointer, and the stride from round to round: 0 for an intermediate array, which is reused
    - the number of rounds
    - for each action, in order, the words of its kind:
        - `Moves`: the offset of its table from the beginning of the tables; the number of the table's entries; the
          sizes and strides of the axes that vary
        - `Transposition`: the number of matrices; the stride from one to the next in target and in source; then those
          of `write_transposed`
        - `Multiplication`: the offsets of its tables of steps and of rows, if it has them; in blocks, the number of
          steps; then those of `Loops`
    - the tables

    An entry of the table of `Moves` is a pair: the offset of the part in the target and in the source.
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
