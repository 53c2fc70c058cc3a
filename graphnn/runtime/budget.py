"""Memory budgets: what a user asks for, and the plan with which a program stays within it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..backends.program import Program
from ..errors import GraphError
from ..plan.budget import fit
from ..plan.memory import Plan
from ..plan.usage import read_bytes
from .footprint import measure

__all__ = ["Budget", "Limit"]


@dataclass(frozen=True)
class Budget:
    """The bytes that a program may take, and the sizes for which they are to suffice from the start."""

    bytes: int
    sizes: Mapping[str, int] | None = None

    @staticmethod
    def read(given: Any) -> Budget:
        """A budget as `gn.compile` takes it: an amount of memory, or a pair of an amount and sizes.

        Raises:
            GraphError: when it is neither.
        """
        amount, sizes = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        if sizes is not None and not isinstance(sizes, Mapping):
            raise GraphError(f'memory_budget: sizes are a mapping, as in ("32MiB", {{"N": 256}}), not {sizes!r}.')
        return Budget(read_bytes(amount, "memory_budget"), sizes)


@dataclass(frozen=True)
class Limit:
    """The budget of one program, with what it takes to make the program anew."""

    budget: Budget
    first: Plan
    """The plan that was made without regard to the budget."""
    bind: Callable[[Plan], Program]

    def fit(self, plan: Plan, program: Program, sizes: Mapping[str, int], samples: int | None) -> Plan:
        """A plan within the budget for given sizes: the present `plan` if it fits, else one made from the first.

        `samples` is the number of samples of a loop; None for a call.

        Raises:
            BackendError: when no such plan is found; the message names the smallest budget for which one was found.
        """
        now = measure(plan, program, sizes, samples)
        beside = now.state + now.constants + now.workspace + (0 if samples is None else now.loop)
        if now.arena + beside <= self.budget.bytes:
            return plan
        tables = _table_bytes(plan, sizes)
        return fit(self.first, sizes, self.budget.bytes, lambda other: beside + _table_bytes(other, sizes) - tables)


def _table_bytes(plan: Plan, sizes: Mapping[str, int]) -> int:
    return sum(spec.bytes(sizes) for step in plan.steps for spec in step.node.tables())
