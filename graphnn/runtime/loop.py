"""Loops: run whole epochs over data, watch for Ctrl-C, and tell the progress."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from ..backends.program import AHEAD_STEPS, Epochs, Program
from ..errors import FeedError
from .batches import read_batches
from .feeds import Feeds
from .rewind import Rewind

__all__ = ["AfterEpoch", "Loop", "showing"]

AfterEpoch: TypeAlias = Callable[[dict[str, np.ndarray]], Any]


class Loop:
    """A program with its data, which is checked once and can be run in any orders."""

    def __init__(
        self, feeds: Feeds, program: Program, data: Mapping[str, Any], batch_size: int, drop_last: bool
    ) -> None:
        self.program = program
        self.batches = read_batches(feeds, data, batch_size, drop_last)
        self.steps = len(self.batches.starts)
        if not self.steps:
            raise FeedError(
                f"there are {self.batches.samples} samples, fewer than one batch of {batch_size}, "
                "and drop_last leaves out the rest."
            )
        graph = feeds.graph
        self.scalars = {name: node for name, node in graph.outputs.items() if not node.shape}

    def run(
        self, rewind: Rewind, epochs: int, progress: Any = None, after_epoch: AfterEpoch | None = None
    ) -> dict[str, np.ndarray]:
        """Run epochs, and return the scalar outputs by name, `(epochs, steps)` each.

        `after_epoch` is called after each epoch with its scalar outputs by name, and may return True to end the loop.
        """
        records = {name: np.zeros((epochs, self.steps), node.dtype) for name, node in self.scalars.items()}
        ahead = 1 if after_epoch else max(1, AHEAD_STEPS // self.steps)
        with _interrupts() as stop, showing(progress, epochs) as told:

            def done(epochs: int) -> None:
                rewind.epoch_done(epochs)
                told(epochs)
                if after_epoch and after_epoch({name: record[epochs - 1] for name, record in records.items()}):
                    rewind.stopped = True

            self.program.loop(Epochs(self.batches, rewind, list(records.values()), stop, done, ahead))
        return records


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """A context manager that notes Ctrl-C, so that a loop can end between two steps; pressed again, it stops at once.

    It gives a function that says whether Ctrl-C was pressed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed: list[int] = []

    def note(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # somebody else's handler stays in charge
        yield lambda: False
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def showing(progress: Any, epochs: int) -> Iterator[Callable[[int], None]]:
    """A context manager that gives a function to be called with the number of epochs done.

    That is the user's own function, one that moves a progress bar, or one that does nothing.
    """
    if progress is None or progress is False:
        yield lambda done: None
    elif callable(progress):
        yield progress
    else:
        from tqdm import tqdm  # slow to import, and only wanted here

        with tqdm(total=epochs, unit="epoch", disable=None) as bar:
            yield lambda done: bar.update(done - bar.n) and None
