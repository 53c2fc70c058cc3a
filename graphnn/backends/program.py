"""What every backend binds: a program that can be called, and looped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..ir.leaf import Input
from ..ir.spec import Size, Spec
from ..plan.memory import Plan

__all__ = ["AHEAD_STEPS", "Batches", "OnDevice", "Program", "batch_names", "batched", "best_times"]

AHEAD_STEPS = 4096
"""A loop that nobody watches may have the orders of so many steps before the first is run."""
_ROUNDS = 20
"""A profile takes the best of so many."""


def batch_names(inputs: Mapping[str, Input]) -> set[str]:
    """The named sizes along which a loop could cut these inputs into batches: it can when there is one."""
    firsts = (node.shape[0] for node in inputs.values() if node.shape)
    return {dim.name for dim in firsts if isinstance(dim, Size) and dim == Size(dim.name)}


def batched(inputs: Mapping[str, Input], size_name: str) -> dict[str, Input]:
    """The inputs that a loop cuts into batches."""
    return {name: node for name, node in inputs.items() if node.shape and node.shape[0] == Size(size_name)}


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
    def first_sizes(self) -> dict[str, int]:
        """The named sizes for the first batch."""
        return {**self.sizes, self.size_name: min(self.batch_size, self.samples)}

    @property
    def starts(self) -> range:
        """Where each batch begins."""
        stop = self.samples - self.samples % self.batch_size if self.drop_last else self.samples
        return range(0, stop, self.batch_size)

    def at(self, start: int, order: np.ndarray | None) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """What the step that begins at a sample is fed: arrays by input, and the named sizes."""
        rows = slice(start, min(start + self.batch_size, self.samples))
        chosen = rows if order is None else order[rows]
        sizes = {**self.sizes, self.size_name: rows.stop - start}
        return {**self.fixed, **{name: array[chosen] for name, array in self.data.items()}}, sizes


class Program(Protocol):
    """A plan bound to memory and machine: what an executable holds."""

    check_finite: str | None
    """What is watched for NaN and infinity: "loss", "all", or nothing."""

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
        ahead: int = 1,
    ) -> None:
        """Run whole epochs: one order of the samples an epoch, None for their own.

        Scalar outputs are written into `records`, (epochs, steps) each. `stop` is asked at step boundaries, and
        `progress` told the number of epochs done: it may change parameters, or end the orders. Up to `ahead` orders
        may be pulled before `progress` is told of the first of them; with 1, an order is pulled when its epoch begins.
        """
        ...

    def source(self) -> str:
        """The program as text."""
        ...

    def profile(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[float]:
        """Seconds for each step of the plan."""
        ...

    def assembly(self) -> str:
        """The program as the processor's instructions.

        Raises:
            BackendError: where there are none.
        """
        ...

    def notes(self) -> str:
        """What the backend has to say about how it runs the plan, for `explain`; nothing, or some lines."""
        ...

    def kept(self) -> Sequence[Spec]:
        """What is held beside arena and parameters while bound to a set of sizes: constants, tables."""
        ...

    def workspace(self) -> int:
        """Bytes of scratch memory that the backend has beside these, one for all programs."""
        ...

    def loop_bytes(self, sizes: Mapping[str, int], samples: int | None) -> int:
        """Bytes that a shuffled loop takes beside those of a call, for batches of these sizes.

        Without the number of samples, the most that it takes for any.
        """
        ...


@runtime_checkable
class OnDevice(Protocol):
    """A program whose results may stay where it runs, on a device."""

    def call_on_device(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[Any]:
        """Run once; the outputs, as copies there: arrays of the device's own library."""
        ...


def best_times(steps: Sequence[Any], run: Callable[[Any], None], plan: Plan) -> list[float]:
    """Seconds for each bound step of a plan, the best of several rounds; parameters are put back."""
    kept = [(p, p.value) for p in plan.graph.parameters.values()]
    best = [math.inf] * len(steps)
    try:
        with np.errstate(all="ignore"):
            for _ in range(_ROUNDS):
                for i, step in enumerate(steps):
                    start = time.perf_counter()
                    run(step)
                    best[i] = min(best[i], time.perf_counter() - start)
    finally:
        for parameter, value in kept:
            parameter.storage[...] = value
    return best
