"""BLAS: kernels of large matrix products, as calls of the BLAS library that SciPy is built on."""

from __future__ import annotations

from functools import cache

from .types import DType, number, register_type
from .writer import Writer

__all__ = ["blas_kernel"]


@cache
def blas_kernel(dtype: DType, scaled: bool, batches: int) -> str:
    """The kernel that calls BLAS for each batch.

    BLAS takes a matrix to lie column after column, while arrays lie row after row. So it is given the transposed
    matrices, and computes the transposed product, `B.T @ A.T`.

    Its words, in order:

    - the address of the BLAS routine
    - pointers to the result, A, B, and to alpha if `scaled`
    - a letter for B and one for A, as a character code: N if the matrix lies row after row, T if column after column
    - columns, rows and inner size
    - the strides of B, A and the result in elements: from row to row, or with the letter T from column to column
    - 1 if the product is added to the result, else 0
    - for each batch axis, its size, and the strides in bytes of the result, A, B, and of alpha if `scaled`
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
