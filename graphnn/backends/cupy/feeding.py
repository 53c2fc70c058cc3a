"""Feeding: kernels that copy a batch into the inputs of a program, record its scalar outputs, and count the steps.

The number of the step is in device memory, right behind the status. So one captured step can be replayed for every
step of a loop.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..kernels import DType
from .site import Site
from .writer import Kernel, Launch, Writer, launch

__all__ = ["STATUS_BYTES", "lower_gather", "lower_place", "lower_record", "lower_tick"]

STATUS_BYTES = 16
"""The size of the status: two words, the code of the check that has stopped the program, and the steps done so far."""
_STEP = "status[1]"


def lower_gather(out: np.ndarray, data: int, order: int, epoch: tuple[int, int, int], at: Site) -> list[Launch]:
    """The launch that copies the samples of a step into `out`.

    `data` is the address of all samples. `order` is the address of their order in each epoch, one epoch after the
    other, as int64; with 0, samples are taken in the order of the data. `epoch` holds three numbers: the steps of an
    epoch, the samples of a batch, and all samples, which is the length of an order.
    """
    if not out.size:
        return []
    words = [at(out), data, order, out.size, out.size // len(out), *epoch]
    return [launch(_gather_kernel(out.dtype, bool(order)), words, out.size)]


def lower_place(out: np.ndarray, data: int, at: Site) -> list[Launch]:
    """The launch that copies an input into `out` that is the same at every step. It is a gather of a single sample."""
    if not out.size:
        return []
    words = [at(out), data, 0, out.size, out.size, 1, 0, 0]
    return [launch(_gather_kernel(out.dtype, False), words, out.size)]


@cache
def _gather_kernel(dtype: DType, shuffled: bool) -> Kernel:
    w = Writer()
    out, data, order = w.pointer(dtype, written=True), w.pointer(dtype), w.pointer(np.dtype(np.int64))
    count, width, steps, batch_size, samples = (w.word() for _ in range(5))
    i = w.thread(count)
    place = w.put("long long", f"{_STEP} % {steps} * {batch_size} + {i} / {width}")
    row = w.put("long long", f"{order}[{_STEP} / {steps} * {samples} + {place}]") if shuffled else place
    w.line(f"{out}[{i}] = {data}[{row} * {width} + {i} % {width}];")
    return w.kernel()


def lower_record(value: np.ndarray, records: int, at: Site) -> list[Launch]:
    """The launch that writes a scalar output into `records`, the address of an array with an element for each step."""
    return [launch(_record_kernel(value.dtype), [records, at(value)], 1)]


@cache
def _record_kernel(dtype: DType) -> Kernel:
    w = Writer()
    records, value = w.pointer(dtype, written=True), w.pointer(dtype)
    w.thread("1")
    w.line(f"{records}[{_STEP}] = *{value};")
    return w.kernel()


def lower_tick() -> list[Launch]:
    """The launch that adds 1 to the number of steps done."""
    return [launch(_tick_kernel(), [], 1)]


@cache
def _tick_kernel() -> Kernel:
    w = Writer()
    w.thread("1")
    w.line(f"{_STEP} += 1;")
    return w.kernel()
