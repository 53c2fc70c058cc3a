"""The program: a plan, its arena, and the tapes bound for each set of sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ...ir.leaf import fetch_for_writing
from ...ir.spec import Spec
from ...plan.memory import Plan
from ...plan.usage import constants_of, kept_for_sizes
from ..bindings import Bindings
from ..block import Block, aligned_bytes
from ..program import AHEAD_STEPS, Epochs, batch_names, best_times
from .bound import Bound
from .driver import loop_kernel
from .loops import run_loop
from .machine import machine

__all__ = ["NativeProgram", "bind"]


def bind(plan: Plan, check_finite: str | None) -> NativeProgram:
    """The plan as a program."""
    return NativeProgram(plan, check_finite)


class NativeProgram:
    """A plan and one arena; for each set of sizes the tapes bound to it."""

    def __init__(self, plan: Plan, check_finite: str | None, block: Block[np.ndarray] | None = None) -> None:
        self.plan = plan
        self.check_finite = check_finite

        def bind(arena: np.ndarray, sizes: dict[str, int]) -> Bound:
            return Bound(plan, arena, sizes, check_finite)

        self._bindings = Bindings("native", plan, block or Block(aligned_bytes), bind)

    def bound(self, sizes: Mapping[str, int]) -> Bound:
        """The tapes for these sizes."""
        return self._bindings.at(sizes)

    def call(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """Run once; the outputs, as copies."""
        fetch_for_writing(self.plan.graph.parameters.values())
        results: list[np.ndarray] = []
        with np.errstate(all="ignore"):
            self.bound(sizes).step(feeds, lambda outputs: results.extend(array.copy() for array in outputs))
        return results

    def loop(self, epochs: Epochs) -> None:
        """Run whole epochs: in machine code, from one look at Ctrl-C to the next, where every step has a kernel."""
        fetch_for_writing(self.plan.graph.parameters.values())
        with np.errstate(all="ignore"):
            run_loop(self.bound, epochs)

    def profile(self, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> list[float]:
        """Seconds for each step of the plan, the best of several; parameters are put back."""
        fetch_for_writing(self.plan.graph.parameters.values())
        bound = self.bound(sizes)
        bound.feed(feeds)
        return best_times(bound.by_step(), bound.run_parts, self.plan)

    def kept(self) -> Sequence[Spec]:
        """Constants; what is made of them and of sizes before the run; the tables of steps."""
        return [*constants_of(self.plan), *kept_for_sizes(self.plan)]

    def workspace(self) -> int:
        """None: a step's scratch is in the arena."""
        return 0

    def loop_bytes(self, sizes: Mapping[str, int], samples: int | None) -> int:
        """The orders of the epochs that are run at once, and what the odd last batch has of its own."""
        names = batch_names(self.plan.graph.inputs)
        if len(names) != 1:
            return 0
        [name] = names
        size = max(1, sizes[name] if samples is None else min(sizes[name], samples))
        rest = size - 1 if samples is None else samples % size
        odd = sum(spec.bytes({**sizes, name: rest}) for spec in kept_for_sizes(self.plan)) if rest else 0
        epochs = 2 if samples is None else AHEAD_STEPS // max(1, math.ceil(samples / size))
        orders = 8 * (size * AHEAD_STEPS if samples is None else samples * epochs) if epochs > 1 else 0
        return orders + odd

    def source(self) -> str:
        """The kernels as LLVM's language, in the order of their first use, and the driver that runs the loop."""
        return "\n".join(f"; {what}\n{text}" for text, what in self._kernels().items())

    def assembly(self) -> str:
        """The kernels as the processor's instructions."""
        return "\n".join(f"# {what}\n{machine().assembly(text)}" for text, what in self._kernels().items())

    def _kernels(self) -> dict[str, str]:
        """Each distinct kernel with what it is for."""
        bound = self._bindings.any()
        uses: dict[str, list[str]] = {}
        for part in bound.all_parts():
            for kernel, op in part.uses():
                uses.setdefault(kernel, []).append(op)
        named = {text: f"{', '.join(dict.fromkeys(ops))}: {len(ops)} in a step" for text, ops in uses.items()}
        return {**named, loop_kernel(): "the loop over epochs and batches"}

    def notes(self) -> str:
        """Which steps run on NumPy, and why."""
        bound = self._bindings.any()
        if not bound.reasons:
            return "every step has a kernel: a loop runs without entering Python"
        lines = [f"  {node.op} ({node.origin}): {reason}" for node, reason in bound.reasons.items()]
        return "\n".join([f"{len(lines)} steps run on NumPy, so a loop enters Python for each:", *lines])
