"""Loops: whole epochs on NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...errors import NonFiniteError
from ...ir.graph import Graph
from ...ir.node import Node
from ...plan.usage import out_of_memory
from ..program import Batches
from .bound import Bound
from .calls import Calls

if TYPE_CHECKING:
    from .program import NumpyProgram

__all__ = ["GATHER_BYTES", "Loop", "gather_rows"]

GATHER_BYTES = 256 << 10
"""A loop gathers so many bytes of shuffled samples at a time, but at least one batch."""
_BATCHES = 64
"""The most batches that are gathered at a time: more would save next to nothing."""
_KEPT = 64
"""The number of unshuffled batches whose calls are kept from epoch to epoch."""


def gather_rows(size: int, row_bytes: int, samples: int | None) -> int:
    """How many samples are gathered at a time for batches of `size`. It never falls when `size` grows."""
    rows = min(_BATCHES * size, max(size, GATHER_BYTES // max(1, row_bytes)))
    return rows if samples is None else min(rows, samples)


class Loop:
    """The epochs of one loop. Shuffled samples are gathered many batches at a time, so that every batch is a slice.

    A slice has a fixed address, so its calls are bound once and run in every epoch.
    """

    def __init__(self, program: NumpyProgram, batches: Batches, records: Sequence[np.ndarray]) -> None:
        self.program, self.batches = program, batches
        graph = program.plan.graph
        self.inputs = {name: graph.inputs[name] for name in batches.data}
        self.fixed: dict[Node, np.ndarray] = {graph.inputs[name]: value for name, value in batches.fixed.items()}
        self.size = size = batches.first_sizes[batches.size_name]
        self.full = program.bound(batches.first_sizes)
        last = batches.last_sizes
        if last:
            program.bound(last)  # now, so that the memory it needs is allocated before the first step
        rows = gather_rows(size, sum(a[:1].nbytes for a in batches.data.values()), batches.samples)
        self.chunk = rows if rows == batches.samples else rows - rows % size
        self.gathered: dict[str, np.ndarray] = {}
        self.rows = rows
        self.kept: dict[tuple[bool, int, int], tuple[Bound, Calls]] = {}
        self.records = list(zip(self._scalar_positions(graph), records, strict=True))

    def _scalar_positions(self, graph: Graph) -> list[int]:
        return [i for i, node in enumerate(graph.outputs.values()) if not node.shape]

    def _bound(self, rows: int) -> Bound:
        return self.program.bound({**self.batches.sizes, self.batches.size_name: rows})

    def epoch(self, epoch: int, order: np.ndarray | None, stop: Callable[[], bool]) -> None:
        """Run one epoch in the given order."""
        batches, size, chunk = self.batches, self.size, self.chunk
        for step, start in enumerate(batches.starts):
            rows = min(size, batches.samples - start)
            if order is not None:
                if start % chunk == 0:
                    self._gather(order[start : start + chunk])
                start %= chunk
            bound, calls = self.kept.get((order is None, start, rows)) or self._bind(order is None, start, rows)
            try:
                bound.run(calls, partial(self._record, calls.outputs, (epoch, step)))
            except NonFiniteError as error:
                raise NonFiniteError(f"epoch {epoch + 1}, step {step + 1}: {error}") from None
            if stop():
                raise KeyboardInterrupt

    def _record(self, outputs: list[np.ndarray], at: tuple[int, int]) -> None:
        for position, record in self.records:
            record[at] = outputs[position]

    def _gather(self, rows: np.ndarray) -> None:
        if not self.gathered:
            rows_of = self.batches.data.items()
            try:
                self.gathered = {name: np.empty((self.rows, *a.shape[1:]), a.dtype) for name, a in rows_of}
            except MemoryError as error:
                raise out_of_memory("numpy", self.program.plan, self.batches.first_sizes) from error
        for name, data in self.batches.data.items():
            data.take(rows, 0, self.gathered[name][: len(rows)], "clip")

    def _bind(self, in_place: bool, start: int, rows: int) -> tuple[Bound, Calls]:
        """The calls for one batch, which reads the data itself or what was gathered, kept for the next epoch."""
        bound = self.full if rows == self.size else self._bound(rows)
        source = self.batches.data if in_place else self.gathered
        feeds: dict[Node, np.ndarray] = {node: source[name][start : start + rows] for name, node in self.inputs.items()}
        feeds |= self.fixed
        found = bound, bound.calls(feeds)
        if not in_place or len(self.kept) < _KEPT:
            self.kept[in_place, start, rows] = found
        return found
