"""The memory of a program before any run: what it will allocate, to the byte, and the largest size that fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .backends.program import Program, batch_names
from .errors import BackendError, GraphError
from .ir.spec import check_known
from .plan.budget import fit
from .plan.memory import Plan
from .plan.usage import lower_bound, read_bytes, show_bytes, show_largest, show_sizes

__all__ = ["Budget", "Memory", "max_batch", "measure", "measure_state"]


@dataclass(frozen=True)
class Memory:
    """Bytes before any run, for given sizes; prints with the timeline of the steps and the largest values.

    They are what a fresh program allocates for these sizes: the data of arrays, not Python's objects, and up to 64
    bytes less than the arena's block, which is made to begin at a cache line. Beside them stand what belongs to
    the caller (data, orders, results) and what an op without a `bind` of its own allocates while it runs.
    """

    arena: int
    """Inputs and all values that steps compute."""
    state: int
    """The parameters: weights, optimiser state, runtime scalars."""
    constants: int
    """Constants, what is made of them and of sizes before the run, and the tables of steps: with `wait=False` these
    twice, until the kernels run."""
    loop: int
    """What a loop adds: a copy of all that is updated, from the start of the epoch, so that a failure can be replayed;
    the odd last batch's own constants; and, shuffled, gathered samples."""
    workspace: int = field(repr=False)
    """Scratch memory that the backend has beside these, one for all programs: on a GPU that of matrix products."""
    plan: Plan = field(repr=False)
    sizes: Mapping[str, int] = field(repr=False)

    @property
    def total(self) -> int:
        """All of it."""
        return self.arena + self.state + self.constants + self.loop + self.workspace

    @property
    def lower_bound(self) -> int:
        """The least arena that this order of steps could do with: the most bytes in use at one time."""
        return lower_bound(self.plan, self.sizes)

    def __str__(self) -> str:
        from .view.memory import list_memory  # a door

        parts = {"arena": self.arena, "state": self.state, "constants": self.constants, "loop": self.loop}
        if self.workspace:
            parts["workspace"] = self.workspace
        return list_memory(self.plan, self.sizes, parts)


@dataclass(frozen=True)
class Budget:
    """Bytes that a program has to stay within, and the sizes for which it is to do so from the start."""

    bytes: int
    sizes: Mapping[str, int] | None = None

    @staticmethod
    def read(given: Any) -> Budget:
        """A budget as `gn.compile` takes it: an amount of memory, or a pair of one and sizes.

        Raises:
            GraphError: when it is neither.
        """
        amount, sizes = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        if sizes is not None and not isinstance(sizes, Mapping):
            raise GraphError(f'memory_budget: sizes are a mapping, as in ("32MiB", {{"N": 256}}), not {sizes!r}.')
        return Budget(read_bytes(amount, "memory_budget"), sizes)

    def fit(
        self, first: Plan, plan: Plan, program: Program, sizes: Mapping[str, int], samples: int | None, loop: bool
    ) -> Plan:
        """A plan that stays within the budget for given sizes: the present one when it does, else made from the first.

        Raises:
            BackendError: when there is none, naming the smallest budget for which one was found.
        """
        now = measure(plan, program, sizes, samples)
        beside = now.state + now.constants + now.workspace + (now.loop if loop else 0)
        if now.arena + beside <= self.bytes:
            return plan
        tables = _table_bytes(plan, sizes)
        return fit(first, sizes, self.bytes, lambda other: beside + _table_bytes(other, sizes) - tables)


def _table_bytes(plan: Plan, sizes: Mapping[str, int]) -> int:
    return sum(spec.bytes(sizes) for step in plan.steps for spec in step.node.tables())


def measure_state(plan: Plan) -> int:
    """The bytes of all parameters."""
    return sum(p.storage.nbytes for p in plan.graph.parameters.values())


def measure(plan: Plan, program: Program, sizes: Mapping[str, int], samples: int | None) -> Memory:
    """The memory of a program for given sizes.

    Raises:
        FeedError: when a named size is missing, or unknown.
    """
    check_known(plan.graph.sizes, sizes)
    return Memory(
        plan.offsets(sizes)[1],
        measure_state(plan),
        sum(spec.bytes(sizes) for spec in program.kept()),
        program.loop_bytes(sizes, samples) + sum(p.storage.nbytes for p in plan.graph.updates),
        program.workspace(),
        plan,
        dict(sizes),
    )


def max_batch(plan: Plan, total: Callable[[dict[str, int]], int], budget: int, sizes: Mapping[str, int]) -> int:
    """The largest number for the one open size with which the total stays within the budget.

    Raises:
        GraphError: when no one size is open, or the total does not depend on it.
        BackendError: when not even 1 fits.
        FeedError: when a size is unknown.
    """
    open_sizes = [name for name in plan.graph.sizes if name not in sizes]
    firsts = batch_names(plan.graph.inputs)
    name = open_sizes[0] if len(open_sizes) == 1 else next(iter(firsts)) if len(firsts) == 1 else None
    if name is None or name in sizes:
        raise GraphError(f"max_batch: sizes {', '.join(open_sizes) or 'are all'} given: leave exactly one size open.")
    others = [other for other in open_sizes if other != name]
    if others:
        raise GraphError(f"max_batch: say how large {', '.join(others)} is, as in {others[0]}=30.")
    check_known(plan.graph.sizes, {**sizes, name: 1})

    def fits(number: int) -> bool:
        return total({**sizes, name: number}) <= budget

    if not fits(1):
        least = {**sizes, name: 1}
        raise BackendError(
            f"max_batch: {show_bytes(budget)} do not hold {show_sizes(least)}, which takes {total(least)} bytes. "
            f"The largest values: {show_largest(plan, least)}."
        )
    low, high = 1, 2
    while fits(high):
        low, high = high, 2 * high
        if high > 2**62:
            raise GraphError(f"max_batch: the memory of this program does not depend on {name}.")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
