"""The memory footprint of a program, known to the byte before any run; and the largest size that fits in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..backends.program import Program, batch_names
from ..errors import BackendError, GraphError
from ..ir.spec import check_known
from ..plan.memory import Plan
from ..plan.usage import lower_bound, show_bytes, show_largest, show_sizes

__all__ = ["Memory", "max_batch", "measure", "measure_state"]

_ENDLESS = 2**62
"""A program whose memory suffices for so large a size does not depend on the size."""


@dataclass(frozen=True)
class Memory:
    """The bytes of a program for given sizes; prints with the timeline of the steps and the largest values.

    These are the bytes that a fresh program allocates for these sizes, known before any run. They count the data of
    arrays, not Python's own objects. The arena itself may take up to 64 bytes more, so that it begins at a cache line.
    Not counted is what belongs to the caller (data, orders, results), and what an op that does not define `bind`
    allocates while it runs.
    """

    arena: int
    """The inputs, and all values that steps compute."""
    state: int
    """The parameters: weights, optimiser state, runtime scalars."""
    constants: int
    """Constants, what is computed from constants and sizes before the run, and the tables of steps.

    With `wait=False`, the last two count twice until the kernels run."""
    loop: int
    """What a loop takes in addition to a call.

    That is a copy of all parameters with updates, from which a failure is replayed; the last batch's own constants, if
    it is smaller; and for a shuffled loop, the gathered samples."""
    workspace: int = field(repr=False)
    """Scratch memory of the backend, shared by all programs: on a GPU, that of matrix products."""
    plan: Plan = field(repr=False)
    sizes: Mapping[str, int] = field(repr=False)

    @property
    def total(self) -> int:
        """The sum of all of these."""
        return self.arena + self.state + self.constants + self.loop + self.workspace

    @property
    def lower_bound(self) -> int:
        """The smallest arena that this order of steps could have: the most bytes that are in use at one time."""
        return lower_bound(self.plan, self.sizes)

    def __str__(self) -> str:
        from ..view.memory import list_memory  # a door

        parts = {"arena": self.arena, "state": self.state, "constants": self.constants, "loop": self.loop}
        if self.workspace:
            parts["workspace"] = self.workspace
        return list_memory(self.plan, self.sizes, parts)


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
    """The largest number for the one size that is not given, such that the total stays within the budget.

    Raises:
        GraphError: when not exactly one size is left open, or the total does not depend on it.
        BackendError: when not even 1 fits.
        FeedError: when a size is unknown.
    """
    name = _open_size(plan, sizes)
    check_known(plan.graph.sizes, {**sizes, name: 1})

    def fits(number: int) -> bool:
        return total({**sizes, name: number}) <= budget

    if not fits(1):
        least = {**sizes, name: 1}
        raise BackendError(
            f"max_batch: {show_bytes(budget)} do not hold {show_sizes(least)}, which takes {total(least)} bytes. "
            f"The largest values: {show_largest(plan, least)}."
        )
    if fits(_ENDLESS):
        raise GraphError(f"max_batch: the memory of this program does not depend on {name}.")
    return _largest(fits)


def _open_size(plan: Plan, sizes: Mapping[str, int]) -> str:
    """The one named size that is not given: the batch size, if a loop could tell it."""
    left = [name for name in plan.graph.sizes if name not in sizes]
    firsts = batch_names(plan.graph.inputs)
    name = left[0] if len(left) == 1 else next(iter(firsts)) if len(firsts) == 1 else None
    if name is None or name in sizes:
        said = f"{', '.join(left)} are open" if left else "all sizes are given"
        raise GraphError(f"max_batch: {said}: leave exactly one size open.")
    others = [other for other in left if other != name]
    if others:
        raise GraphError(f"max_batch: say how large {', '.join(others)} is, as in {others[0]}=30.")
    return name


def _largest(fits: Callable[[int], bool]) -> int:
    """The largest number that fits, given that 1 does, and that no number beyond one that does not."""
    low, high = 1, 2
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
