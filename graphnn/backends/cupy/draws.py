"""Draws: the kernel of random numbers, Philox4x32-10 with the words that `ops/philox.py` has on NumPy.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ...ops.philox import BITS
from ...ops.random import LOW_HALVES, SECOND_DRAW
from ..kernels import DType, NoKernel
from .site import Site
from .types import is_half, number, register_type, rounded, stored
from .writer import Kernel, Launch, Writer, launch

__all__ = ["lower_uniform"]


def lower_uniform(
    out: np.ndarray,
    counters: Sequence[np.ndarray],
    seed: int,
    stream: int,
    lane: int,
    low: float,
    high: float,
    at: Site,
) -> list[Launch]:
    """The launch that draws into `out` evenly from low to high; `counters` are the step, and a place in a loop.

    Raises:
        NoKernel: for a result that does not lie densely.
    """
    if not out.flags.c_contiguous:
        raise NoKernel("draws into a result that does not lie densely")
    if not out.size:
        return []
    step, *place = counters
    kernel = _uniform_kernel(out.dtype, step.dtype, bool(place), float(low), float(high))
    words = [at(out), at(step), *map(at, place), out.size, seed % 2**32, seed >> 32, stream, lane * SECOND_DRAW]
    return [launch(kernel, words, -(-out.size // 4))]


@cache
def _uniform_kernel(dtype: DType, counter: DType, placed: bool, low: float, high: float) -> Kernel:
    w, kind = Writer(), register_type(dtype)
    out, step = w.pointer(dtype, written=True), w.pointer(counter)
    place = f"(unsigned)*{w.pointer(counter)}" if placed else "0u"
    count, key0, key1, stream, lane = (w.word() for _ in range(5))
    block = w.thread(f"({count} + 3) / 4")

    def draw(half: int) -> str:
        name = f"words{half}"
        first = f"(unsigned)({block} | {lane} | {half * LOW_HALVES})"
        given = f"{first}, {place}, (unsigned)*{step}, (unsigned){stream}, (unsigned){key0}, (unsigned){key1}"
        w.line(f"const Words {name} = philox({given});")
        return f"{name}.w[i]"

    bits = BITS[dtype.itemsize]
    unit = number(2.0**-bits, np.dtype(np.float32) if is_half(dtype) else dtype)
    if bits > 32:
        value = f"({draw(0)} * {number(2.0 ** (bits - 32), dtype)} + ({draw(1)} >> {64 - bits})) * {unit}"
    else:
        value = f"({kind})({draw(0)} >> {32 - bits}) * {unit}"
    with w.braces(f"for (int i = 0; i < 4 && {block} * 4 + i < {count}; i++)"):
        w.line(f"{kind} value = {value};")
        if high - low != 1.0:
            w.line(f"value = {rounded(f'value * {number(high - low, dtype)}', dtype)};")
        if low != 0.0:
            w.line(f"value = {rounded(f'value + {number(low, dtype)}', dtype)};")
        w.line(f"{out}[{block} * 4 + i] = {stored('value', dtype)};")
    return w.kernel()
