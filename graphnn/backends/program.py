"""Programs: what a backend binds a plan to. A program can be called, and run whole epochs."""

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

__all__ = ["AHEAD_STEPS", "Batches", "Epochs", "OnDevice", "Program", "batch_names", "batched", "best_times"]

AHEAD_STEPS = 4096
"""When nothing is called after each epoch, a loop may take the orders for so many steps at once."""
_ROUNDS = 20
"""The time of a step in a profile is the best of so many runs."""


def batch_names(inputs: Mapping[str, Input]) -> set[str]:
    """The named sizes of first axes, along which a loop could cut these inputs into batches. It can if there is one."""
    firsts = (node.shape[0] for node in inputs.values() if node.shape)
    return {dim.name for dim in firsts if isinstance(dim, Size) and dim == Size(dim.name)}


def batched(inputs: Mapping[str, Input], size_name: str) -> dict[str, Input]:
    """The inputs that a loop cuts into batches, by name."""
    return {name: node for name, node in inputs.items() if node.shape and node.shape[0] == Size(size_name)}


@dataclass(frozen=True)
class Batches:
    """The data of a loop: arrays whose first axis is cut into batches, and arrays that are the same for every batch."""

    size_name: str
    """The named size that is the number of samples in a batch."""
    data: Mapping[str, np.ndarray]
    """For each input that is cut, all samples, in the dtype of the input and in C order."""
    fixed: Mapping[str, np.ndarray]
    """For each other input, its array."""
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
    def last_sizes(self) -> dict[str, int] | None:
        """The named sizes for the last batch, if it is smaller than the others."""
        rest = 0 if self.drop_last else self.samples % min(self.batch_size, self.samples)
        return {**self.sizes, self.size_name: rest} if rest else None

    @property
    def starts(self) -> range:
        """The number of the first sample of each batch."""
        stop = self.samples - self.samples % self.batch_size if self.drop_last else self.samples
        return range(0, stop, self.batch_size)

    def at(self, start: int, order: np.ndarray | None) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """The feeds of the step that begins at sample `start`, and its named sizes."""
        rows = slice(start, min(start + self.batch_size, self.samples))
        chosen = rows if order is None else order[rows]
        sizes = {**self.sizes, self.size_name: rows.stop - start}
        return {**self.fixed, **{name: array[chosen] for name, array in self.data.items()}}, sizes


@dataclass(frozen=True)
class Epochs:
    """The epochs that a program is to run: their data and orders, where results go, and whom to tell."""

    batches: Batches
    orders: Iterable[np.ndarray | None]
    """The order of the samples in each epoch; None for the order of the data."""
    records: Sequence[np.ndarray]
    """For each scalar output, the array `(epochs, steps)` that it is written into."""
    stop: Callable[[], bool]
    """Called between steps: True ends the loop with KeyboardInterrupt."""
    progress: Callable[[int], None]
    """Called with the number of epochs done. It may change parameters, or end `orders`."""
    ahead: int = 1
    """How many orders may be taken before `progress` is called; with 1, an order is taken when its epoch begins."""
    begin: int = 0
    """The step at which the first epoch begins."""


class Program(Protocol):
    """A plan bound to memory and to a machine: what an executable runs."""

    check_finite: str | None
    """What is watched for NaN and infinity: "loss", "all" nodes, or None."""

    def call(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """Run once, and return copies of the outputs."""
        ...

    def loop(self, epochs: Epochs) -> None:
        """Run whole epochs."""
        ...

    def source(self) -> str:
        """The program as text."""
        ...

    def profile(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[float]:
        """Seconds for each step of the plan."""
        ...

    def assembly(self) -> str:
        """The program as instructions of the processor.

        Raises:
            BackendError: when there are none to show.
        """
        ...

    def notes(self) -> str:
        """Remarks for `explain` on how the backend runs the plan; possibly none."""
        ...

    def kept(self) -> Sequence[Spec]:
        """The specs of what is held for a set of sizes beside the arena and the parameters: constants, tables."""
        ...

    def workspace(self) -> int:
        """The bytes of scratch memory that all programs of the backend share."""
        ...

    def loop_bytes(self, sizes: Mapping[str, int], samples: int | None) -> int:
        """The bytes that a shuffled loop takes in addition to a call, for batches of these sizes.

        If the number of samples is None, the most that any number of samples takes.
        """
        ...


@runtime_checkable
class OnDevice(Protocol):
    """A program that runs on a device, and can leave its results there."""

    def call_on_device(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[Any]:
        """Run once, and return copies of the outputs on the device, as arrays of its library."""
        ...


def best_times(steps: Sequence[Any], run: Callable[[Any], None], plan: Plan) -> list[float]:
    """The seconds of each bound step of a plan, the best of several runs. The parameters keep their values."""
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
