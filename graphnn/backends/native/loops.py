"""Loops: whole epochs as calls of the driver, each long enough to be cheap and short enough for Ctrl-C.

Each call of the driver has a budget of steps: about as many as run in a twentieth of a second, estimated from the time
of the last call. Between two calls Python reacts to Ctrl-C and reports the progress.

Batches that are not shuffled are not copied either. The words that hold an address in an input are set to the batch's
rows in the data instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from ...errors import NonFiniteError
from ...plan.memory import Plan
from ..program import Batches, Epochs
from ..stepping import next_budget, run_in_python
from .bound import Bound
from .driver import LOOP_WORDS, RUN_WORDS, gather_kernel, loop_kernel
from .parts import Part, Parts
from .tape import Invocation, Tape, address_of, driver

__all__ = ["run_loop"]

_DONE, _TIRED, _STOPPED, _FAILED = range(4)
_SMALL_ROW = 256
"""The most bytes of a row for which the gathering kernel is compiled for that number of bytes."""


def run_loop(bound: Callable[[Mapping[str, int]], Bound], epochs: Epochs) -> None:
    """Run epochs; see `Program.loop`."""
    epochs = replace(epochs, batches=_aligned(epochs.batches))
    last = epochs.batches.last_sizes
    full = bound(epochs.batches.first_sizes)
    odd = bound(last) if last else None
    if full.whole and (odd is None or odd.whole):
        loop = _Loop(full, odd, epochs)
        try:
            loop.run()
        finally:
            loop.put_back()
    else:
        run_in_python(bound, epochs)


@dataclass(frozen=True)
class _Moved:
    """A word of a tape that holds an address in an input.

    `bound` is the address in the arena, and `data` the same place in the data of the first batch. For each sample that
    a batch begins further on, the word moves by `row` bytes: 0 for an input that is the same in all batches.
    """

    words: np.ndarray
    index: int
    bound: int
    data: int
    row: int


def _aligned(batches: Batches) -> Batches:
    """The data as a kernel may read it: dense, with each element at an address that is a multiple of its size."""

    def at_home(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: np.require(a, requirements=("C", "A")) if a.ndim else a for name, a in arrays.items()}

    return replace(batches, data=at_home(batches.data), fixed=at_home(batches.fixed))


class _Run:
    """The words that the driver reads for the batches of one size (`RUN_WORDS`)."""

    def __init__(self, bound: Bound, batches: Batches, records: Sequence[np.ndarray], loop_words: int) -> None:
        self.bound = bound
        inputs = bound.plan.graph.inputs
        self.before = _only(bound.before, bound.plan)
        self.after = _only(bound.after, bound.plan)
        scalars = [array for array in bound.outputs if not array.ndim]
        self.record = np.array(
            [(address_of(a), address_of(r), r.itemsize) for a, r in zip(scalars, records, strict=True)], np.int64
        ).reshape(-1, 3)
        self.record_starts = self.record[:, 1].copy()
        self.moved: list[_Moved] = []
        for name, data in (*batches.data.items(), *batches.fixed.items()):
            self._move(bound.arrays[inputs[name]], data, data[:1].nbytes if name in batches.data else 0)
        table = [(address_of(word.words) + 8 * word.index, word.data, word.row) for word in self.moved]
        self.patch = np.array(table, np.int64).reshape(-1, 3)
        self.gather = Tape([self._gather(bound.arrays[inputs[n]], d, loop_words) for n, d in batches.data.items()])
        values = {
            "gather": address_of(self.gather.entries), "gathers": len(self.gather),
            "before": address_of(self.before.tape.entries), "befores": len(self.before.tape),
            "after": address_of(self.after.tape.entries), "afters": len(self.after.tape),
            "record": address_of(self.record), "records": len(self.record),
            "patch": address_of(self.patch), "patches": len(self.patch),
        }  # fmt: skip
        self.words = np.array([values[name] for name in RUN_WORDS], np.int64)

    def _move(self, place: np.ndarray, data: np.ndarray, row: int) -> None:
        low = address_of(place)
        high = low + place.nbytes
        found = [(tape.words, index, word) for tape in self.bound.tapes() for index, word in tape.addresses(low, high)]
        flat = self.record.reshape(-1)
        found += [(flat, 3 * i, int(word)) for i, word in enumerate(self.record[:, 0]) if low <= word < high]
        self.moved += [_Moved(words, i, word, address_of(data) + word - low, row) for words, i, word in found]

    def _gather(self, place: np.ndarray, data: np.ndarray, loop_words: int) -> Invocation:
        row = data[:1].nbytes
        kernel = gather_kernel(row if row <= _SMALL_ROW else None)
        return Invocation(
            kernel, [address_of(place), address_of(data), loop_words, *([] if row <= _SMALL_ROW else [row])]
        )


def _only(parts: Parts, plan: Plan) -> Part:
    [part] = parts or [Part(Tape([]), [], plan)]
    assert isinstance(part, Part)
    return part


class _Loop:
    """A loop in machine code."""

    def __init__(self, full: Bound, odd: Bound | None, epochs: Epochs) -> None:
        self.epochs, batches, records = epochs, epochs.batches, epochs.records
        self.words = np.zeros(len(LOOP_WORDS), np.int64)
        self.flag = np.zeros(1, np.int64)
        base = address_of(self.words)
        self.full = _Run(full, batches, records, base)
        self.odd = self.full if odd is None else _Run(odd, batches, records, base)
        self.runs = [self.full] if odd is None else [self.full, self.odd]
        self.steps = len(batches.starts)
        self._set("steps", self.steps)
        self._set("size", min(batches.batch_size, batches.samples))
        self._set("samples", batches.samples)
        self._set("full", address_of(self.full.words))
        self._set("odd", address_of(self.odd.words))
        self._set("last", -1 if odd is None else self.steps - 1)
        self._set("stop", address_of(self.flag))

    def _set(self, name: str, value: int) -> None:
        self.words[LOOP_WORDS.index(name)] = value

    def _get(self, name: str) -> int:
        return int(self.words[LOOP_WORDS.index(name)])

    def run(self) -> None:
        """Run the epochs, together as many as may have their orders drawn ahead (`Epochs.ahead`)."""
        done, budget, orders = 0, 1, iter(self.epochs.orders)
        self._set("step", self.epochs.begin)  # the driver sets it to 0 at the end of an epoch
        while taken := list(islice(orders, self.epochs.ahead)):
            budget = self._together(taken, done, budget)
            done += len(taken)

    def _together(self, orders: list[np.ndarray | None], done: int, budget: int) -> int:
        """Run epochs together, of which `done` came before, and return the new budget of steps."""
        shuffled = orders[0] is not None
        one_array = _one_array(orders)
        self._place(shuffled)
        self._set("shuffled", address_of(one_array) if one_array is not None else 0)
        self._set("epochs", len(orders))
        self._set("epoch", 0)
        for run in self.runs:
            run.record[:, 1] = run.record_starts + [done * self.steps * r.itemsize for r in self.epochs.records]
        run_steps, words, told = driver(loop_kernel), self.words.ctypes.data, 0
        status = _TIRED
        while status == _TIRED:
            self._set("budget", budget)
            start = time.perf_counter()
            status = run_steps(words)
            took = time.perf_counter() - start
            if status == _TIRED:  # a run that ended early took less time than its budget allows
                budget = next_budget(budget, took)
            while told < self._get("epoch"):
                told += 1
                self.epochs.progress(done + told)
            if status == _FAILED:
                self._fail(done, orders)
            if self.epochs.stop():
                raise KeyboardInterrupt
        return budget

    def _place(self, shuffled: bool) -> None:
        """Set the words of inputs: to the arena if batches are shuffled, and so gathered there, else to the data."""
        for run in self.runs:
            for word in run.moved:
                word.words[word.index] = word.bound if shuffled and word.row else word.data

    def put_back(self) -> None:
        """Set the words of inputs to the arena again, where the next call of the program puts them."""
        for run in self.runs:
            for word in run.moved:
                word.words[word.index] = word.bound

    def _fail(self, done: int, orders: list[np.ndarray | None]) -> None:
        epoch, step, entry = self._get("epoch"), self._get("step"), self._get("failed")
        run = self.odd if step == self._get("last") else self.full
        batches = self.epochs.batches
        run.bound.feed(batches.at(batches.starts[step], orders[epoch])[0])  # these were not copied to the arena
        try:
            run.bound.fail((run.before if entry > 0 else run.after).works[abs(entry) - 1])
        except NonFiniteError as error:
            raise NonFiniteError(f"epoch {done + epoch + 1}, step {step + 1}: {error}") from None


def _one_array(orders: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The orders of the epochs in one array, as the driver reads them. None if the epochs are not shuffled."""
    given = [order for order in orders if order is not None]
    if not given:
        return None
    return np.ascontiguousarray(given[0] if len(given) == 1 else np.concatenate(given), np.int64)
