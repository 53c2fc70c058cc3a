"""Stepping: loops that come back to Python: at each step, where it has NumPy calls, or for Ctrl-C now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Protocol

import numpy as np

from ..errors import NonFiniteError
from .program import Batches

__all__ = ["next_budget", "run_in_python"]

SECONDS = 0.05
"""How long compiled code runs before Python looks for Ctrl-C."""


class Stepped(Protocol):
    """A plan bound for one set of sizes, that can run a single step."""

    def step(self, feeds: Mapping[str, np.ndarray], take: Callable[[Sequence[np.ndarray]], None]) -> None:
        """Run once; `take` is given the outputs before updates land."""
        ...


def run_in_python(
    bound: Callable[[Mapping[str, int]], Stepped],
    batches: Batches,
    orders: Iterable[np.ndarray | None],
    records: Sequence[np.ndarray],
    stop: Callable[[], bool],
    progress: Callable[[int], None],
    begin: int = 0,
) -> None:
    """Run epochs in the orders given, the first of them from the step `begin` on; see `Program.loop`."""
    for epoch, order in enumerate(orders):
        for step, start in islice(enumerate(batches.starts), 0 if epoch else begin, None):

            def record(outputs: Sequence[np.ndarray], at: tuple[int, int] = (epoch, step)) -> None:
                scalars = [array for array in outputs if not array.ndim]
                for target, value in zip(records, scalars, strict=True):
                    target[at] = value

            feeds, sizes = batches.at(start, order)
            try:
                bound(sizes).step(feeds, record)
            except NonFiniteError as error:
                raise NonFiniteError(f"epoch {epoch + 1}, step {step + 1}: {error}") from None
            if stop():
                raise KeyboardInterrupt
        progress(epoch + 1)


def next_budget(budget: int, took: float) -> int:
    """Steps for about as long as Ctrl-C may wait."""
    if took < SECONDS / 8:
        return budget * 4
    return max(1, int(budget * SECONDS / took))
