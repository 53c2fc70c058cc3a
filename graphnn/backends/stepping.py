"""Stepping: loops that return to Python, after each step if it has NumPy calls, or now and then to look for Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Protocol

import numpy as np

from ..errors import NonFiniteError
from .program import Epochs

__all__ = ["next_budget", "run_in_python"]

SECONDS = 0.05
"""How long compiled code may run before Python looks for Ctrl-C."""


class Stepped(Protocol):
    """A plan bound for one set of sizes, that can run a single step."""

    def step(self, feeds: Mapping[str, np.ndarray], take: Callable[[Sequence[np.ndarray]], None]) -> None:
        """Run once. `take` is called with the outputs before updates are written."""
        ...


def run_in_python(bound: Callable[[Mapping[str, int]], Stepped], epochs: Epochs) -> None:
    """Run epochs, step by step; `bound` gives what is bound for some sizes."""
    for epoch, order in enumerate(epochs.orders):
        for step, start in islice(enumerate(epochs.batches.starts), 0 if epoch else epochs.begin, None):

            def record(outputs: Sequence[np.ndarray], at: tuple[int, int] = (epoch, step)) -> None:
                scalars = [array for array in outputs if not array.ndim]
                for target, value in zip(epochs.records, scalars, strict=True):
                    target[at] = value

            feeds, sizes = epochs.batches.at(start, order)
            try:
                bound(sizes).step(feeds, record)
            except NonFiniteError as error:
                raise NonFiniteError(f"epoch {epoch + 1}, step {step + 1}: {error}") from None
            if epochs.stop():
                raise KeyboardInterrupt
        epochs.progress(epoch + 1)


def next_budget(budget: int, took: float) -> int:
    """The number of steps to run until the next look for Ctrl-C, after `budget` steps `took` so many seconds."""
    if took < SECONDS / 8:
        return budget * 4
    return max(1, int(budget * SECONDS / took))
