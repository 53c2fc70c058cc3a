"""Loops: whole epochs as calls of the driver, each long enough to be cheap and short enough for Ctrl-C.

The driver is told how many steps it may run: as many as take some twentieth of a second, by the time the last call
took. In between, Python hears of Ctrl-C and tells the progress. Unshuffled batches are not copied: the words that
hold addresses in an input move through the data.
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
"""Rows of up to so many bytes are copied by a kernel of their own."""


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
    """A word that holds an address in an input: as bound, and in the data, where it moves by the bytes of a row."""

    words: np.ndarray
    index: int
    bound: int
    data: int
    row: int


def _aligned(batches: Batches) -> Batches:
    """The data where a kernel may read it: elements at multiples of their size."""

    def at_home(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: np.require(a, requirements=("C", "A")) if a.ndim else a for name, a in arrays.items()}

    return replace(batches, data=at_home(batches.data), fixed=at_home(batches.fixed))


class _Run:
    """One batch size: the words that the driver needs for it."""

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
        """Run the epochs, as many at a time as their orders may be taken ahead."""
        done, budget, orders = 0, 1, iter(self.epochs.orders)
        self._set("step", self.epochs.begin)  # where an epoch ends, the driver leaves 0 there
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
            if status == _TIRED:  # else it did less than it might have
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
        """Let inputs be read from where batches are gathered to; those that stay the same from where they are."""
        for run in self.runs:
            for word in run.moved:
                word.words[word.index] = word.bound if shuffled and word.row else word.data

    def put_back(self) -> None:
        """Let a call find the inputs in the arena again."""
        for run in self.runs:
            for word in run.moved:
                word.words[word.index] = word.bound

    def _fail(self, done: int, orders: list[np.ndarray | None]) -> None:
        epoch, step, entry = self._get("epoch"), self._get("step"), self._get("failed")
        run = self.odd if step == self._get("last") else self.full
        batches = self.epochs.batches
        run.bound.feed(batches.at(batches.starts[step], orders[epoch])[0])  # they were read where they are
        try:
            run.bound.fail((run.before if entry > 0 else run.after).works[abs(entry) - 1])
        except NonFiniteError as error:
            raise NonFiniteError(f"epoch {done + epoch + 1}, step {step + 1}: {error}") from None


def _one_array(orders: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The orders one after the other, as the driver reads them; None for the samples' own."""
    given = [order for order in orders if order is not None]
    if not given:
        return None
    return np.ascontiguousarray(given[0] if len(given) == 1 else np.concatenate(given), np.int64)
