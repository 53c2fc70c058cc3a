"""Philox4x32-10: random words that are a function of a counter and a key, and of nothing else.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..ir.node import Call
from ..ir.spec import Spec

__all__ = ["BITS", "BLOCKS", "FACTORS", "ROUNDS", "WEYL", "State", "draw", "low_word", "rounds", "work"]

BLOCKS = 4096
"""Blocks of four words that are made at a time: their working memory, 176 KiB, stays in the cache."""

FACTORS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
BITS = {2: 11, 4: 24, 8: 53}
"""Random bits of a number, by the bytes of its dtype."""
_LOW, _HIGH = (0, 1) if np.little_endian else (1, 0)


def work(blocks: int) -> tuple[Spec, ...]:
    """The working memory for so many blocks: a `State` takes arrays of these specs."""
    words, products = Spec((blocks,), np.dtype(np.uint32)), Spec((blocks,), np.dtype(np.uint64))
    return (words, words, words, products, products, products, products)


class State:
    """Counters on their way to random words: two words of each as they are, the others as halves of products."""

    def __init__(self, memory: tuple[Any, ...], blocks: int) -> None:
        self.first, self.third, self.spare, *products = (array[:blocks] for array in memory)
        self.products = ((products[0], products[1]), (products[2], products[3]))

    @property
    def words(self) -> tuple[Any, Any, Any, Any]:
        """After the rounds: the four words of each block."""
        p, q = self.products[(ROUNDS - 1) % 2]
        return self.first, _half(q, _LOW), self.third, _half(p, _LOW)


def rounds(xp: Any, state: State, second: Any, fourth: Any, key: int) -> list[Call]:
    """Calls that turn counters into random words, in place.

    The first and third words of the counters stand in `state`; `second` and `fourth` are numbers, or arrays that
    broadcast. A round multiplies the first and third word by constants, and mixes the high halves of the products
    with the other words and the key; the low halves are the next second and fourth word, and stay where they are.
    """
    calls: list[Call] = []
    factors = [xp.uint64(factor) for factor in FACTORS]
    for i in range(ROUNDS):
        p, q = state.products[i % 2]
        keys = [xp.uint32((((key >> 32 * k) & 0xFFFFFFFF) + i * WEYL[k]) & 0xFFFFFFFF) for k in (0, 1)]
        calls += [
            partial(xp.multiply, state.first, factors[0], p, dtype=np.uint64),
            partial(xp.multiply, state.third, factors[1], q, dtype=np.uint64),
            partial(xp.bitwise_xor, _half(q, _HIGH), second, state.first),
            partial(xp.bitwise_xor, state.first, keys[0], state.first),
            partial(xp.bitwise_xor, _half(p, _HIGH), fourth, state.third),
            partial(xp.bitwise_xor, state.third, keys[1], state.third),
        ]
        second, fourth = _half(q, _LOW), _half(p, _LOW)
    return calls


def draw(xp: Any, state: State, part: Any, low: bool) -> list[Call]:
    """Calls that make words into numbers from 0 to below 1: the highest bits as a whole number, times 2**-bits.

    For float64 the words are the highest 32 bits, and those of a second run, with `low`, the other 21. So a number is
    the same one in every dtype, cut off at its bits.
    """
    words, spare = state.words, state.spare
    calls: list[Call] = []
    bits = BITS[part.dtype.itemsize]
    unit = part.dtype.type(2.0**-bits)
    for i in range(4):
        target = part[i::4]
        word, held = words[i][: len(target)], spare[: len(target)]
        if bits < 32:
            calls.append(partial(xp.right_shift, word, np.uint32(32 - bits), held))
            calls.append(partial(xp.multiply, held, unit, target, dtype=part.dtype, casting="same_kind"))
        elif low:
            calls.append(partial(xp.right_shift, word, np.uint32(11), held))
            calls.append(partial(xp.add, target, held, target))
            calls.append(partial(xp.multiply, target, unit, target))
        else:
            calls.append(partial(xp.multiply, word, 2.0**21, target))
    return calls


def low_word(number: Any) -> Any:
    """The low half of a 64-bit scalar in memory, as a view that follows it."""
    return number.reshape(1).view(np.uint32)[_LOW : _LOW + 1]


def _half(products: Any, which: int) -> Any:
    return products.view(np.uint32)[which::2]
