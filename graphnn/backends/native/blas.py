"""BLAS: kernels of matrix products as calls of the library that SciPy is built on, for products that are large."""

from __future__ import annotations

from functools import cache

from .types import DType, number, register_type
from .writer import Writer

__all__ = ["blas_kernel"]


@cache
def blas_kernel(dtype: DType, scaled: bool, batches: int) -> str:
    """The kernel as calls of BLAS, whose matrices lie column after column: the product is computed transposed.

    Its words: the routine's address; result, A, B, and the scalar where there is one; how B and A lie, as the
    letters N or T; columns, rows, inner; from column to column of B, of A, of the result; 1 when the product is added
    to the result, else 0; for each batch axis its size and the bytes that result, A, B and scalar move.
    """
    w = Writer()
    kind = register_type(dtype)
    routine, out, a, b = w.word("ptr"), w.word("ptr"), w.word("ptr"), w.word("ptr")
    one = w.word("ptr") if scaled else w.variable(kind, number(1, dtype))
    integers = []
    letters = []
    for _ in range(2):
        letter = w.variable("i8")
        w.do(f"store i8 {w.put(f'trunc i64 {w.word()} to i8')}, ptr {letter}")
        letters.append(letter)
    for _ in range(6):
        place = w.variable("i32")
        w.do(f"store i32 {w.put(f'trunc i64 {w.word()} to i32')}, ptr {place}")
        integers.append(place)
    n, m, k, ldb, lda, ldc = integers
    beta = w.variable(kind)
    w.do(f"store {kind} {w.put(f'sitofp i64 {w.word()} to {kind}')}, ptr {beta}")

    def call(left: int, out: str, a: str, b: str, alpha: str) -> None:
        if left:
            size, *moves = (w.word() for _ in range(5 if scaled else 4))
            with w.loop(size) as index:
                moved = [w.offset(p, (index, by)) for p, by in zip((out, a, b, alpha), moves, strict=False)]
                call(left - 1, *moved, *([] if scaled else [alpha]))
            return
        given = [*letters, n, m, k, alpha, b, ldb, a, lda, beta, out, ldc]
        w.do(f"call void {routine}({', '.join(f'ptr {place}' for place in given)})")

    call(batches, out, a, b, one)
    return w.text()
