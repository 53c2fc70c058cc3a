"""The program: a plan with its arena, and the calls that are bound for each set of sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...errors import BackendError
from ...ir.leaf import fetch_for_writing
from ...ir.node import Call
from ...ir.spec import Spec
from ...plan.memory import Plan
from ...plan.usage import constants_of, kept_for_sizes
from ..bindings import Bindings
from ..block import Block, aligned_bytes
from ..program import Epochs, batch_names, batched, best_times
from .bound import Bound
from .loop import Loop, gather_rows

__all__ = ["NumpyProgram"]


class NumpyProgram:
    """A plan with one arena, and for each set of sizes the calls that are bound to it."""

    def __init__(self, plan: Plan, check_finite: str | None, block: Block[np.ndarray] | None = None) -> None:
        self.plan = plan
        self.check_finite = check_finite

        def bind(arena: np.ndarray, sizes: dict[str, int]) -> Bound:
            return Bound(plan, arena, sizes, check_finite)

        self._bindings = Bindings("numpy", plan, block or Block(aligned_bytes), bind)

    def bound(self, sizes: Mapping[str, int]) -> Bound:
        """The calls for these sizes."""
        return self._bindings.at(sizes)

    def call(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """Run once, and return copies of the outputs."""
        fetch_for_writing(self.plan.graph.parameters.values())
        bound = self.bound(sizes)
        bound.feed(feeds)
        results: list[np.ndarray] = []
        calls = bound.calls()
        with np.errstate(all="ignore"):
            bound.run(calls, lambda: results.extend([array.copy() for array in calls.outputs]))
        return results

    def loop(self, epochs: Epochs) -> None:
        """Run whole epochs. From the second epoch on, nothing is allocated."""
        fetch_for_writing(self.plan.graph.parameters.values())
        runner = Loop(self, epochs.batches, epochs.records)
        with np.errstate(all="ignore"):
            for epoch, order in enumerate(epochs.orders):
                runner.epoch(epoch, order, epochs.stop)
                epochs.progress(epoch + 1)

    def profile(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[float]:
        """The seconds of each step of the plan, the best of several runs. The parameters keep their values."""
        fetch_for_writing(self.plan.graph.parameters.values())
        bound = self.bound(sizes)
        bound.feed(feeds)
        return best_times(bound.by_step, _run, self.plan)

    def kept(self) -> Sequence[Spec]:
        """Constants, values known before the run, and the tables of steps."""
        return [*constants_of(self.plan), *kept_for_sizes(self.plan)]

    def workspace(self) -> int:
        """None: the scratch memory of steps is in the arena."""
        return 0

    def loop_bytes(self, sizes: Mapping[str, int], samples: int | None) -> int:
        """The buffers for gathered samples, and what is kept for the sizes of a smaller last batch."""
        inputs = self.plan.graph.inputs
        names = batch_names(inputs)
        if len(names) != 1:
            return 0
        [name] = names
        size = sizes[name] if samples is None else min(sizes[name], samples)
        one = {**sizes, name: 1}
        row = sum(node.spec.bytes(one) for node in batched(inputs, name).values())
        rest = max(0, size - 1) if samples is None else samples % max(1, size)
        odd = sum(spec.bytes({**sizes, name: rest}) for spec in kept_for_sizes(self.plan)) if rest else 0
        return row * gather_rows(size, row, samples) + odd

    def source(self) -> str:
        """The calls of a run, one on each line."""
        from ...view.report import list_calls  # a door

        return list_calls(self.plan)

    def assembly(self) -> str:
        """NumPy has no machine code to show.

        Raises:
            BackendError: always.
        """
        raise BackendError("the numpy backend has no machine code of its own; compile with backend='native'.")

    def notes(self) -> str:
        """No remarks: the steps run as the plan says."""
        return ""


def _run(calls: Iterable[Call]) -> None:
    for call in calls:
        call()
