"""Not waiting: a program that begins on NumPy while its kernels are compiled in another thread.

The thread binds the program that is to run, in the same block of memory, which it only takes addresses of; so there
is one arena, while what is known before the run is there twice. A call, and in a loop a step, that begins after that
runs in machine code. Results agree within rounding wherever the switch falls, but not bit by bit from run to run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice

import numpy as np

from ...ir.spec import Spec
from ...plan.memory import Plan
from ...plan.usage import kept_for_sizes
from ..block import Block, aligned_bytes
from ..numpy import NumpyProgram
from ..program import Epochs
from .program import NativeProgram

__all__ = ["WaitingProgram", "begin"]


def begin(plan: Plan, check_finite: str | None) -> WaitingProgram:
    """The plan as a program that does not wait for its kernels."""
    return WaitingProgram(plan, check_finite)


class WaitingProgram:
    """A program on NumPy until its kernels are ready."""

    def __init__(self, plan: Plan, check_finite: str | None) -> None:
        self._plan, self.check_finite = plan, check_finite
        self._block = Block(aligned_bytes)
        self._slow: NumpyProgram | None = NumpyProgram(plan, check_finite, self._block)
        self._fast = NativeProgram(plan, check_finite, self._block)
        self._thread: threading.Thread | None = None
        self._compiled = threading.Event()
        self._error: Exception | None = None

    def ready(self, sizes: Mapping[str, int]) -> bool:
        """Are the kernels there? The first time that it is asked, a thread begins to compile them."""
        if self._thread is None:
            assert self._slow is not None
            self._slow.bound(sizes)  # so that the memory is there before another thread looks for it
            self._thread = threading.Thread(target=self._compile, args=(dict(sizes),), daemon=True)
            self._thread.start()
        if self._error is not None:
            raise self._error
        return self._compiled.is_set()

    def _compile(self, sizes: Mapping[str, int]) -> None:
        try:
            self._fast.bound(sizes)
            self._fast.source()
            self._compiled.set()
        except Exception as error:  # raised where the program is run next
            self._error = error

    def call(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """Run once."""
        return self._at_hand(sizes).call(feeds, sizes)

    def _at_hand(self, sizes: Mapping[str, int]) -> NativeProgram | NumpyProgram:
        """What to run now; once the kernels are ready the program on NumPy goes."""
        if self._slow is not None and not self.ready(sizes):
            return self._slow
        self._slow = None
        return self._fast

    def loop(self, epochs: Epochs) -> None:
        """Run whole epochs, on NumPy up to the step after which the kernels are ready."""
        sizes, steps = epochs.batches.first_sizes, len(epochs.batches.starts)
        done, begin, rest = 0, epochs.begin, iter(epochs.orders)

        def remaining(orders: Iterable[np.ndarray | None]) -> Epochs:
            before = done
            records = [record[before:] for record in epochs.records]
            return replace(epochs, orders=orders, records=records, progress=lambda n: epochs.progress(before + n))

        while not begin and (program := self._at_hand(sizes)) is not self._fast:
            order = list(islice(rest, 1))
            if not order:
                return
            watch = _Watch(epochs.stop, lambda: self.ready(sizes), steps)
            try:
                program.loop(replace(remaining(order), stop=watch))
                done += 1
            except KeyboardInterrupt:
                if not watch.switches:
                    raise
                begin, rest = watch.steps, chain(order, rest)
        program = self._fast  # nothing holds the one on NumPy any longer
        first = list(islice(rest, 1))
        if first:
            self._slow = None
            program.loop(replace(remaining(chain(first, rest)), begin=begin))

    def source(self) -> str:
        """The kernels."""
        return self._fast.source()

    def assembly(self) -> str:
        """The kernels as the processor's instructions."""
        return self._fast.assembly()

    def notes(self) -> str:
        """What the kernels say, and whether they run yet."""
        running = "the kernels are ready" if self._compiled.is_set() else "NumPy runs until the kernels are ready"
        return f"{self._fast.notes()}\n{running}"

    def profile(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[float]:
        """Seconds for each step of the plan, in kernels."""
        return self._fast.profile(feeds, sizes)

    def kept(self) -> Sequence[Spec]:
        """As the kernels have it; what is made for the sizes twice, until they run."""
        return [*self._fast.kept(), *(kept_for_sizes(self._plan) if self._slow is not None else ())]

    def workspace(self) -> int:
        """As the kernels have it."""
        return self._fast.workspace()

    def loop_bytes(self, sizes: Mapping[str, int], samples: int | None) -> int:
        """The most of those that may run."""
        both = (self._fast, self._slow) if self._slow is not None else (self._fast,)
        return max(program.loop_bytes(sizes, samples) for program in both)


class _Watch:
    """Asked after each step of an epoch whether to stop: on a wish to, or to go on in kernels with the next."""

    def __init__(self, stop: Callable[[], bool], ready: Callable[[], bool], last: int) -> None:
        self._stop, self._ready, self._last = stop, ready, last
        self.steps = 0
        """How many have been run."""
        self.switches = False

    def __call__(self) -> bool:
        self.steps += 1
        if self._stop():
            return True
        self.switches = self.steps < self._last and self._ready()
        return self.switches
