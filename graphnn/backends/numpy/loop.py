"""Loops: whole epochs over bound batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...errors import NonFiniteError
from ...ir.graph import Graph
from ...ir.node import Node
from ..program import Batches
from .bound import Bound, Calls

if TYPE_CHECKING:
    from .program import NumpyProgram

__all__ = ["GATHER_BYTES", "Loop"]

GATHER_BYTES = 4 << 20
"""A loop gathers this many bytes of shuffled samples at a time: one gather for many small batches."""
_KEPT = 64
"""Unshuffled batches whose calls are kept from epoch to epoch."""


class Loop:
    """Whole epochs: shuffled samples are gathered many batches at a time, then every batch is a slice.

    A slice has a fixed address, so its calls are bound once and run in every epoch.
    """

    def __init__(self, program: NumpyProgram, batches: Batches, records: Sequence[np.ndarray]) -> None:
        self.program, self.batches = program, batches
        graph = program.plan.graph
        self.inputs = {name: graph.inputs[name] for name in batches.data}
        size = min(batches.batch_size, batches.samples)
        self.size = size
        self.full = self._bound(size)
        row = max(1, sum(a[:1].nbytes for a in batches.data.values()))
        self.chunk = size * max(1, min(GATHER_BYTES // (row * size), batches.samples // size))
        self.gathered = {name: np.empty((self.chunk, *a.shape[1:]), a.dtype) for name, a in batches.data.items()}
        self.kept: dict[tuple[bool, int, int], tuple[Bound, Calls]] = {}
        self.records = list(zip(self._scalar_positions(graph), records, strict=True))

    def _scalar_positions(self, graph: Graph) -> list[int]:
        return [i for i, node in enumerate(graph.outputs.values()) if not node.shape]

    def _bound(self, rows: int) -> Bound:
        bound = self.program.bound({**self.batches.sizes, self.batches.size_name: rows})
        for name, value in self.batches.fixed.items():
            np.copyto(bound.arrays[bound.plan.graph.inputs[name]], value, casting="same_kind")
        return bound

    def epoch(self, epoch: int, order: np.ndarray | None, stop: Callable[[], bool]) -> None:
        """One pass over the data in the given order."""
        batches, size, chunk = self.batches, self.size, self.chunk
        for step, start in enumerate(batches.starts):
            rows = min(size, batches.samples - start)
            if order is not None:
                if start % chunk == 0:
                    self._gather(order[start : start + chunk])
                start %= chunk
            bound, calls = self.kept.get((order is None, start, rows)) or self._bind(order is None, start, rows)
            try:
                bound.run(calls, partial(self._record, bound.outputs, (epoch, step)))
            except NonFiniteError as error:
                raise NonFiniteError(f"epoch {epoch + 1}, step {step + 1}: {error}") from None
            if stop():
                raise KeyboardInterrupt

    def _record(self, outputs: list[np.ndarray], at: tuple[int, int]) -> None:
        for position, record in self.records:
            record[at] = outputs[position]

    def _gather(self, rows: np.ndarray) -> None:
        for name, data in self.batches.data.items():
            data.take(rows, 0, self.gathered[name][: len(rows)], "clip")

    def _bind(self, in_place: bool, start: int, rows: int) -> tuple[Bound, Calls]:
        """The calls for one batch, of the data itself or of what was gathered; kept for the next epoch."""
        bound = self.full if rows == self.size else self._bound(rows)
        source = self.batches.data if in_place else self.gathered
        feeds: dict[Node, np.ndarray] = {node: source[name][start : start + rows] for name, node in self.inputs.items()}
        found = bound, bound.calls(feeds)
        if not in_place or len(self.kept) < _KEPT:
            self.kept[in_place, start, rows] = found
        return found
