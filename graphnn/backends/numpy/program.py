"""The program: a plan, its arena, and the calls bound for each set of sizes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ...plan.memory import ALIGNMENT, Plan
from ..program import Batches
from .bound import Bound
from .loop import GATHER_BYTES, Loop

__all__ = ["NumpyProgram"]


class NumpyProgram:
    """A plan and one arena; for each set of sizes the calls bound to it."""

    def __init__(self, plan: Plan, check_finite: str | None) -> None:
        self.plan = plan
        self.check_finite = check_finite
        self._arena = aligned_bytes(0)
        self._bound: dict[tuple[tuple[str, int], ...], Bound] = {}

    def bound(self, sizes: Mapping[str, int]) -> Bound:
        """The calls for these sizes, over the one arena; a larger arena binds everything anew."""
        key = tuple(sorted(sizes.items()))
        found = self._bound.get(key)
        if found is None:
            needed = self.plan.offsets(sizes)[1]
            if needed > self._arena.nbytes:
                self._bound.clear()
                self._arena = aligned_bytes(needed)
            elif len(self._bound) >= 8:
                self._bound.pop(next(iter(self._bound)))
            found = self._bound[key] = Bound(self.plan, self._arena, dict(sizes), self.check_finite)
        return found

    def call(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """Run once; the outputs, as copies."""
        bound = self.bound(sizes)
        bound.feed(feeds)
        results: list[np.ndarray] = []
        with np.errstate(all="ignore"):
            bound.run(bound.calls(), lambda: results.extend([array.copy() for array in bound.outputs]))
        return results

    def loop(
        self,
        batches: Batches,
        orders: Iterable[np.ndarray | None],
        records: Sequence[np.ndarray],
        stop: Callable[[], bool],
        progress: Callable[[int], None],
    ) -> None:
        """Run whole epochs over bound batches: nothing is allocated from the second epoch on."""
        runner = Loop(self, batches, records)
        with np.errstate(all="ignore"):
            for epoch, order in enumerate(orders):
                runner.epoch(epoch, order, stop)
                progress(epoch + 1)

    def profile(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[float]:
        """Seconds for each step of the plan, the best of several; parameters are put back."""
        bound = self.bound(sizes)
        bound.feed(feeds)
        kept = [(p, p.value) for p in self.plan.graph.parameters.values()]
        best = [math.inf] * len(self.plan.steps)
        try:
            with np.errstate(all="ignore"):
                for _ in range(20):
                    for i, calls in enumerate(bound.by_step):
                        start = time.perf_counter()
                        for call in calls:
                            call()
                        best[i] = min(best[i], time.perf_counter() - start)
        finally:
            for parameter, value in kept:
                parameter.storage[...] = value
        return best

    def loop_bytes(self, sizes: Mapping[str, int]) -> int:
        """The buffer that shuffled samples are gathered into, at most."""
        row = sum(node.spec.bytes(sizes) for node in self.plan.graph.inputs.values() if node.spec.sizes)
        return max(row, GATHER_BYTES)

    def source(self) -> str:
        """The calls of a step, one a line."""
        from ...view.report import list_calls  # a door

        return list_calls(self.plan)


def aligned_bytes(size: int) -> np.ndarray:
    """Uninitialised bytes that begin at a cache line."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
