"""Draws: the kernel of random numbers, Philox4x32-10 with the words and the rounding that `ops/philox.py` has on NumPy.

Sixteen blocks of four words are made at a time, each word a vector over the blocks.
Source: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from ...ir.node import Node
from ...ops.philox import BITS, FACTORS, ROUNDS, WEYL
from ...ops.random import LOW_HALVES, SECOND_DRAW, Uniform
from .tape import Invocation, address_of
from .types import DType, number, register_type, splat
from .writer import Writer

__all__ = ["DRAWS", "uniform_kernel"]

Arrays = tuple[np.ndarray, ...]

BLOCKS = 16
"""Blocks that are made at a time, and four numbers of each."""
_WORD, _PRODUCT = np.dtype(np.uint32), np.dtype(np.uint64)
_WORDS, _PRODUCTS = register_type(_WORD, BLOCKS), register_type(_PRODUCT, BLOCKS)


def _uniform(node: Any, ins: Arrays, out: np.ndarray, declared: Node, working: Arrays) -> list[Invocation]:
    if not out.size:
        return []
    kernel = uniform_kernel(out.dtype, len(ins) > 1, node.low, node.high)
    counter = [node.seed % 2**32, node.seed >> 32, node.stream, node.lane * SECOND_DRAW]
    return [Invocation(kernel, [address_of(out), *map(address_of, ins), out.size, *counter])]


@cache
def uniform_kernel(dtype: DType, placed: bool, low: float, high: float) -> str:
    """The kernel that draws evenly from low to high.

    Its words, in order:

    - pointers to the result, to the step, and if `placed` to the place in a loop
    - how many numbers to draw
    - the low and the high half of the seed
    - the scope
    - a bit of the block's number, which differs for the two draws of a Normal
    """
    w = Writer()
    out, step, *place = (w.word("ptr") for _ in range(3 if placed else 2))
    count, *given = (w.word() for _ in range(5))
    _Draws(w, dtype, [step, *place], given, (low, high)).write(out, count)
    return w.text()


class _Draws:
    """Writes the draws; all the words of a block are vectors over blocks."""

    def __init__(
        self, w: Writer, dtype: DType, counters: list[str], given: list[str], bounds: tuple[float, float]
    ) -> None:
        self.w, self.dtype, self.bounds = w, dtype, bounds
        step, *place = [w.put(f"load i64, ptr {pointer}, align 8") for pointer in counters]
        *keys, stream, lane = given
        self.step, self.stream, self.lane = self._word(step), self._word(stream), lane
        self.place = self._word(place[0]) if place else self._constant(0)
        self.keys = [self._word(key) for key in keys]

    def write(self, out: str, count: str) -> None:
        """All numbers: vectors are made in memory of the kernel's own, of which the last may be used in part."""
        w, many = self.w, 4 * BLOCKS
        kind, item = register_type(self.dtype, many), self.dtype.itemsize
        made = w.variable(kind)
        with w.loop(count, many) as first:
            numbers = self._numbers(w.put(f"lshr i64 {first}, 2"))
            left = w.put(f"sub nsw i64 {count}, {first}")
            place = w.offset(out, (first, item))
            with w.when(w.put(f"icmp sge i64 {left}, {many}")):
                w.store(numbers, place, self.dtype, many)
            with w.when(w.put(f"icmp slt i64 {left}, {many}")):
                w.store(numbers, made, self.dtype, many)
                w.copy_bytes(place, made, w.put(f"mul nsw i64 {left}, {item}"))

    def _numbers(self, block: str) -> str:
        """The numbers of sixteen blocks, in order."""
        words = self._philox(block, 0)
        lower = self._philox(block, LOW_HALVES) if self.dtype.itemsize == 8 else words
        columns = [self._number(*pair) for pair in zip(words, lower, strict=True)]
        even, odd = (self._between(columns[i], columns[i + 2], BLOCKS) for i in (0, 1))
        return self._between(even, odd, 2 * BLOCKS)

    def _between(self, x: str, y: str, lanes: int) -> str:
        """The elements of two vectors in turn."""
        order = ", ".join(f"i32 {i}, i32 {lanes + i}" for i in range(lanes))
        kind = register_type(self.dtype, lanes)
        return self.w.put(f"shufflevector {kind} {x}, {kind} {y}, <{2 * lanes} x i32> <{order}>")

    def _philox(self, block: str, half: int) -> list[str]:
        """The four random words of each block, after the rounds."""
        w = self.w
        first = self._word(w.put(f"or i64 {w.put(f'or i64 {block}, {self.lane}')}, {half}"))
        ramp = ", ".join(f"i32 {i}" for i in range(BLOCKS))
        first = w.put(f"add {_WORDS} {first}, <{ramp}>")
        words = [first, self.place, self.step, self.stream]
        for i in range(ROUNDS):
            keys = [self._op("add", key, self._constant(i * weyl)) for key, weyl in zip(self.keys, WEYL, strict=True)]
            (low_p, high_p), (low_q, high_q) = (self._product(words[k], FACTORS[k // 2]) for k in (0, 2))
            mixed = self._op("xor", high_q, words[1]), self._op("xor", high_p, words[3])
            words = [self._op("xor", mixed[0], keys[0]), low_q, self._op("xor", mixed[1], keys[1]), low_p]
        return words

    def _product(self, word: str, factor: int) -> tuple[str, str]:
        """The low and the high half of a word times a constant."""
        w = self.w
        wide = w.put(f"zext {_WORDS} {word} to {_PRODUCTS}")
        product = w.put(f"mul {_PRODUCTS} {wide}, {splat(str(factor), _PRODUCT, BLOCKS)}")
        high = w.put(f"lshr {_PRODUCTS} {product}, {splat('32', _PRODUCT, BLOCKS)}")
        return self._cut(product), self._cut(high)

    def _number(self, word: str, lower: str) -> str:
        """The highest bits as a number from 0 to below 1, then between the bounds, rounded at each step."""
        bits, dtype = BITS[self.dtype.itemsize], self.dtype
        kind = register_type(dtype, BLOCKS)
        value = self._float(self._op("lshr", word, self._constant(max(0, 32 - bits))))
        if bits > 32:
            rest = self._float(self._op("lshr", lower, self._constant(64 - bits)))
            value = self.w.put(f"fadd {kind} {self._scaled(value, 2.0 ** (bits - 32))}, {rest}")
        value = self._scaled(value, 2.0**-bits)
        low, high = self.bounds
        if high - low != 1.0:
            value = self._scaled(value, high - low)
        return self.w.put(f"fadd {kind} {value}, {splat(number(low, dtype), dtype, BLOCKS)}") if low else value

    def _float(self, word: str) -> str:
        return self.w.put(f"uitofp {_WORDS} {word} to {register_type(self.dtype, BLOCKS)}")

    def _scaled(self, value: str, factor: float) -> str:
        by = splat(number(factor, self.dtype), self.dtype, BLOCKS)
        return self.w.put(f"fmul {register_type(self.dtype, BLOCKS)} {value}, {by}")

    def _op(self, instruction: str, x: str, y: str) -> str:
        return self.w.put(f"{instruction} {_WORDS} {x}, {y}")

    def _constant(self, value: int) -> str:
        return splat(str(value % 2**32), _WORD, BLOCKS)

    def _word(self, number: str) -> str:
        """The low half of a number, for all blocks."""
        return self.w.spread(self.w.put(f"trunc i64 {number} to i32"), _WORD, BLOCKS)

    def _cut(self, product: str) -> str:
        return self.w.put(f"trunc {_PRODUCTS} {product} to {_WORDS}")


DRAWS: Mapping[type[Node], Callable[..., list[Invocation]]] = {Uniform: _uniform}
