"""The program: a plan, its arena on the device and the host's twin of it, and what is bound for each set of sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import BackendError
from ...ir.spec import Spec
from ...ops.control import Cond
from ...plan.memory import Plan
from ...plan.usage import constants_of, kept_for_sizes, out_of_memory, show_bytes, whole
from ..bindings import Bindings
from ..block import Block, aligned_bytes
from ..program import AHEAD_STEPS, Epochs, batch_names, batched, best_times
from ..stepping import run_in_python
from .blaslt import ONES_BYTES
from .bound import Bound, Room
from .control import GATES_BYTES
from .device import WORKSPACE, open_device
from .feeding import STATUS_BYTES
from .loops import Loop
from .notes import notes_on
from .types import PRELUDE

__all__ = ["CupyProgram", "bind"]


def bind(plan: Plan, check_finite: str | None, precision: str = "float32") -> CupyProgram:
    """The plan as a program; products of float32 are computed in that precision, one of `blaslt.PRECISIONS`.

    Raises:
        BackendError: for another precision than float32 where cuBLASLt does not work.
    """
    library = open_device().library
    if precision != "float32" and isinstance(library, str):
        raise BackendError(f"cupy: precision={precision!r} needs cuBLASLt, which does not work here: {library}.")
    return CupyProgram(plan, check_finite, precision)


def _room(needed: int) -> Room:
    """The memory of a program, of so many bytes."""
    device = open_device()
    return Room(aligned_bytes(needed), device.allocate(needed), device.allocate(STATUS_BYTES))


class CupyProgram:
    """A plan and one arena; for each set of sizes what is bound to it."""

    def __init__(self, plan: Plan, check_finite: str | None, precision: str = "float32") -> None:
        self.plan, self.precision = plan, precision
        self.check_finite = check_finite

        def bind(room: Room, sizes: dict[str, int]) -> Bound:
            return Bound(plan, room, sizes, check_finite, open_device(), precision)

        self._bindings = Bindings("cupy", plan, Block(_room), bind)

    def bound(self, sizes: Mapping[str, int]) -> Bound:
        """What is bound for these sizes.

        Raises:
            BackendError: when the device has not enough memory, or the process was forked.
        """
        open_device()
        return self._bindings.at(sizes)

    def call(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """Run once; the outputs, as copies."""
        results: list[np.ndarray] = []
        with np.errstate(all="ignore"):
            self.bound(sizes).step(feeds, lambda outputs: results.extend(array.copy() for array in outputs))
        return results

    def call_on_device(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[Any]:
        """Run once; the outputs, as CuPy arrays of their own."""
        results: list[Any] = []
        bound = self.bound(sizes)
        try:
            with np.errstate(all="ignore"):
                bound.run_step(feeds, lambda: results.extend(map(bound.kept, bound.outputs)))
        except MemoryError as error:
            copies = show_bytes(sum(array.nbytes for array in bound.outputs))
            raise out_of_memory("cupy", self.plan, sizes, f", and copies of the results {copies}") from error
        return results

    def loop(self, epochs: Epochs) -> None:
        """Run whole epochs: on the device alone where every step has a kernel."""
        try:
            loop = Loop(self.bound, epochs, open_device())
            if loop.whole:
                loop.run()
                return
        except MemoryError as error:
            sizes = epochs.batches.first_sizes
            data = show_bytes(self.loop_bytes(sizes, epochs.batches.samples))
            raise out_of_memory("cupy", self.plan, sizes, f", and all samples with their orders {data}") from error
        with np.errstate(all="ignore"):
            run_in_python(self.bound, epochs)

    def profile(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[float]:
        """Seconds for each step of the plan, its launches included, the best of several; parameters are put back."""
        bound = self.bound(sizes)
        bound.send(feeds)
        return best_times(bound.by_step(), bound.run, self.plan)

    def kept(self) -> Sequence[Spec]:
        """Constants; what is made of them and of sizes before the run; the tables of steps."""
        return [*constants_of(self.plan), *kept_for_sizes(self.plan)]

    def workspace(self) -> int:
        """What products of the library and large sums use, their factor 1, the status, and the gates of branches."""
        ones = 0 if isinstance(open_device().library, str) else ONES_BYTES
        choices = sum(isinstance(step.node, Cond) for part in whole(self.plan) for step in part.steps)
        return WORKSPACE + ones + STATUS_BYTES + choices * GATES_BYTES

    def loop_bytes(self, sizes: Mapping[str, int], samples: int | None) -> int:
        """All samples, and the orders and scalar outputs of the epochs that run at once, which lie on the device.

        Without the number of samples, those of one batch: the device holds all, so there is no most.
        """
        inputs = self.plan.graph.inputs
        names = batch_names(inputs)
        if len(names) != 1:
            return 0
        [name] = names
        count = sizes[name] if samples is None else samples
        size = max(1, min(sizes[name], count))
        cut = batched(inputs, name)
        row = sum(node.spec.bytes({**sizes, name: 1}) for node in cut.values())
        still = sum(node.spec.bytes(sizes) for other, node in inputs.items() if other not in cut)
        steps = max(1, -(-count // size))
        epochs = max(1, AHEAD_STEPS // steps)
        outputs = self.plan.graph.outputs.values()
        records = epochs * steps * sum(node.dtype.itemsize for node in outputs if not node.shape)
        rest = count % size
        odd = sum(spec.bytes({**sizes, name: rest}) for spec in kept_for_sizes(self.plan)) if rest else 0
        return count * (row + 8 * epochs) + still + records + odd

    def source(self) -> str:
        """The kernels as CUDA C++, in the order of their first use."""
        kernels = self._bindings.any().kernels()
        said = [f"// {', '.join(dict.fromkeys(ops))}: {len(ops)} in a step" for ops in kernels.values()]
        texts = [kernel.text for kernel in kernels]
        return "\n".join([PRELUDE, *(f"{line}\n{text}" for line, text in zip(said, texts, strict=True))])

    def assembly(self) -> str:
        """There is none to show.

        Raises:
            BackendError: saying so.
        """
        raise BackendError("the cupy backend shows no machine code: see f.source for its kernels as CUDA C++.")

    def notes(self) -> str:
        """Which steps run on NumPy, and why; and who multiplies matrices."""
        return notes_on(self._bindings.any(), open_device().library)
