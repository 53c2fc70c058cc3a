"""Loops: whole epochs on the device, from data that lies there.

A step gathers its batch, runs the program, keeps the scalar outputs and counts itself. Steps are launched many at a
time, as replays of what was captured, or by one kernel where the net is tiny. Python launches until it is time to
look for Ctrl-C; only then it waits, and learns whether a check has stopped the program. What follows a check that
failed does nothing, so that everything stands as before the step that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from ...errors import NonFiniteError
from ..program import Epochs
from ..stepping import next_budget
from .bound import Bound
from .captured import Captured
from .device import Device
from .feeding import lower_gather, lower_place, lower_record, lower_tick
from .lower import Launched
from .tiny import make_tiny

__all__ = ["Loop"]


class Loop:
    """The epochs of one loop."""

    def __init__(self, bound: Callable[[Mapping[str, int]], Bound], epochs: Epochs, device: Device) -> None:
        self.epochs, self.batches, self.device = epochs, epochs.batches, device
        last = self.batches.last_sizes
        self.full = bound(self.batches.first_sizes)
        self.odd = bound(last) if last else None
        self.steps = len(self.batches.starts)

    @property
    def whole(self) -> bool:
        """Is every step in kernels?"""
        return self.full.whole and (self.odd is None or self.odd.whole)

    def run(self) -> None:
        """Run the epochs, as many at a time as their orders may be taken ahead."""
        done, orders = 0, iter(self.epochs.orders)
        running: _Running | None = None
        while taken := list(islice(orders, self.epochs.ahead)):
            running = running or _Running(self, len(taken), taken[0] is not None)
            running.run(taken, done)
            done += len(taken)


class Steps(Protocol):
    """What launches steps: replays, or one kernel that runs them all."""

    def launch(self, step: int, most: int) -> int:
        """Launch steps from that one on, as many as it likes but `most` where it can choose; how many they are."""
        ...


class _Running:
    """A loop on the device, with what its steps read and write there: data, orders, records."""

    def __init__(self, loop: Loop, epochs: int, shuffled: bool) -> None:
        self.loop, self.device, self.records = loop, loop.device, loop.epochs.records
        self.room = loop.full.room
        batches, device = loop.batches, loop.device
        self.data = {name: _sent(array, device) for name, array in (*batches.data.items(), *batches.fixed.items())}
        self.order = device.allocate(8 * epochs * batches.samples) if shuffled else None
        self.kept = [device.allocate(epochs * loop.steps * record.itemsize) for record in self.records]
        full, odd = self._step(loop.full), self._step(loop.odd) if loop.odd else []
        self.steps: Steps = make_tiny(loop.full, full, odd, loop.steps) or Captured(loop.full, full, odd, loop.steps)
        self.budget = 1

    def _step(self, bound: Bound) -> list[Launched]:
        """All launches of a step."""
        launches = [*self._gather(bound), *(k for work in bound.works_before for k in work.kernels)]
        scalars = [array for array in bound.outputs if not array.ndim]
        for value, memory in zip(scalars, self.kept, strict=True):
            launches += lower_record(value, memory.ptr, bound.site)
        return [*launches, *(k for work in bound.works_after for k in work.kernels), *lower_tick()]

    def _gather(self, bound: Bound) -> list[Launched]:
        """The batch, and the inputs that stay the same: another batch size has them in another place."""
        batches, at, launches = self.loop.batches, bound.site, list[Launched]()
        order = int(self.order.ptr) if self.order is not None else 0
        epoch = self.loop.steps, min(batches.batch_size, batches.samples), batches.samples
        for name, node in bound.plan.graph.inputs.items():
            out, data = bound.arrays[node], int(self.data[name].ptr)
            launches += (
                lower_gather(out, data, order, epoch, at) if name in batches.data else lower_place(out, data, at)
            )
        return launches

    def run(self, orders: Sequence[np.ndarray | None], done: int) -> None:
        """Run epochs together; `done` epochs came before."""
        given = [order for order in orders if order is not None]
        if self.order is not None:
            self.device.upload(self.order.ptr, np.ascontiguousarray(np.concatenate(given), np.int64))
        self.device.upload(self.room.status.ptr, np.zeros(2, np.int64))
        total, step, told = len(orders) * self.loop.steps, 0, 0
        while step < total:
            self.loop.full.send_parameters()
            begun, end = perf_counter(), min(total, step + self.budget)
            while step < end:
                step += self.steps.launch(step, end - step)
            self.loop.full.note_updates()
            epochs = self._wait(done) // self.loop.steps
            self.budget = next_budget(self.budget, perf_counter() - begun)
            self._keep(done, told, epochs)
            for epoch in range(told, epochs):
                self.loop.epochs.progress(done + epoch + 1)
            told = epochs
            if self.loop.epochs.stop():
                raise KeyboardInterrupt

    def _wait(self, done: int) -> int:
        """Wait for what was launched; the steps done. Raises the error of a check that failed."""
        status = np.zeros(2, np.int64)
        self.device.download(status, self.room.status.ptr)
        code, step = (int(word) for word in status)
        if code:
            epoch, place = divmod(step, self.loop.steps)
            bound = self.loop.odd if self.loop.odd and place == self.loop.steps - 1 else self.loop.full
            try:
                bound.stopped(code)
            except NonFiniteError as error:
                raise NonFiniteError(f"epoch {done + epoch + 1}, step {place + 1}: {error}") from None
        return step

    def _keep(self, done: int, first: int, last: int) -> None:
        """Bring the scalar outputs of some epochs to the host."""
        for record, memory in zip(self.records, self.kept, strict=True):
            begin = first * self.loop.steps * record.itemsize
            self.device.download(record[done + first : done + last], int(memory.ptr) + begin)


def _sent(array: np.ndarray, device: Device) -> Any:
    """Memory of the device that holds an array."""
    memory = device.allocate(array.nbytes)
    device.upload(memory.ptr, np.ascontiguousarray(array))
    return memory
