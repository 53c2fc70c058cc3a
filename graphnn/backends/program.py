"""What every backend binds: a program that can be called, and looped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["Batches", "Program"]


@dataclass(frozen=True)
class Batches:
    """The data of a loop: arrays whose first axis is cut into batches, and values that stay the same."""

    size_name: str
    """The named size that a batch fixes."""
    data: Mapping[str, np.ndarray]
    """Per input, all samples, in the input's dtype and C order."""
    fixed: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    """The other named sizes."""
    samples: int
    batch_size: int
    drop_last: bool

    @property
    def starts(self) -> range:
        """Where each batch begins."""
        stop = self.samples - self.samples % self.batch_size if self.drop_last else self.samples
        return range(0, stop, self.batch_size)


class Program(Protocol):
    """A plan bound to memory and machine: what an executable holds."""

    def call(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """Run once; the outputs, as copies."""
        ...

    def loop(
        self,
        batches: Batches,
        orders: Iterable[np.ndarray | None],
        records: Sequence[np.ndarray],
        stop: Callable[[], bool],
        progress: Callable[[int], None],
    ) -> None:
        """Run whole epochs: one order of the samples an epoch, None for their own.

        Scalar outputs are written into `records`, (epochs, steps) each. `stop` is asked at step boundaries, and
        `progress` told the number of epochs done.
        """
        ...

    def source(self) -> str:
        """The program as text."""
        ...

    def profile(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[float]:
        """Seconds for each step of the plan."""
        ...

    def loop_bytes(self, sizes: Mapping[str, int]) -> int:
        """Bytes that a loop takes beside arena and state, at most, for a batch of these sizes."""
        ...
