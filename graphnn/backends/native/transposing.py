"""Transposing: a matrix in blocks, whose rows are loaded and whose columns are stored as vectors."""

from __future__ import annotations

from .types import DType, memory_type
from .writer import Writer

__all__ = ["write_transposed"]


def write_transposed(w: Writer, dtype: DType, target: str, source: str) -> None:
    """Write a matrix's rows as the columns of another, both with elements side by side.

    Its words: the rows and the columns of the source; the stride from row to row in bytes, of the source and then of
    the target.
    """
    side, item = 4 if dtype.itemsize == 8 else 8, dtype.itemsize
    rows, columns, by_source, by_target = (w.word() for _ in range(4))
    high, wide = (w.put(f"sub nsw i64 {n}, {w.put(f'and i64 {n}, {side - 1}')}") for n in (rows, columns))

    def one_by_one(row: str, column: str) -> None:
        value = w.load(w.offset(source, (row, by_source), (column, item)), dtype)
        w.store(value, w.offset(target, (column, by_target), (row, item)), dtype)

    with w.loop(high, side) as row, w.loop(wide, side) as column:
        first = w.offset(source, (row, by_source), (column, item))
        block = [w.load(w.offset(first, (str(i), by_source)), dtype, side) for i in range(side)]
        into = w.offset(target, (column, by_target), (row, item))
        for i, vector in enumerate(_transposed(w, block, f"<{side} x {memory_type(dtype)}>")):
            w.store(vector, w.offset(into, (str(i), by_target)), dtype, side)
    with w.loop(high) as row, w.loop(columns, 1, wide) as column:
        one_by_one(row, column)
    with w.loop(rows, 1, high) as row, w.loop(columns) as column:
        one_by_one(row, column)


def _transposed(w: Writer, vectors: list[str], kind: str) -> list[str]:
    """A square of vectors, transposed: in quarters of 1 element, then of 2, of 4, whose upper right and lower left
    change places."""
    side, quarter = len(vectors), 1
    while quarter < side:
        upper = [j if not j & quarter else side + j - quarter for j in range(side)]
        lower = [j + quarter if not j & quarter else side + j for j in range(side)]
        for i in (i for i in range(side) if not i & quarter):
            pair = f"{kind} {vectors[i]}, {kind} {vectors[i + quarter]}"
            for at, lanes in ((i, upper), (i + quarter, lower)):
                mask = ", ".join(f"i32 {lane}" for lane in lanes)
                vectors[at] = w.put(f"shufflevector {pair}, <{side} x i32> <{mask}>")
        quarter *= 2
    return vectors
