"""A plan bound to kernels and memory, for one set of sizes: tapes, and NumPy calls for what has no kernel.

`before` makes the outputs and looks whether they are finite, `after` lands updates. Each is a list of parts, tapes
and NumPy calls in turn; a program without NumPy calls has one tape in each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ...ir.node import Node
from ...ir.spec import Dim
from ...plan.memory import Plan
from ..works import Work, Works
from .driver import finite_kernel
from .lower import copy, lower, lower_check
from .tape import Invocation, Tape, address_of

__all__ = ["Bound", "Part"]


@dataclass(frozen=True)
class Part:
    """A tape, with the work that each entry belongs to; or NumPy calls."""

    tape: Tape
    works: Sequence[Work[Invocation]]


Parts: TypeAlias = "list[Part | Work[Invocation]]"


class Bound(Works[Invocation]):
    """The plan's steps for one set of sizes."""

    backend = "native"

    def __init__(
        self,
        plan: Plan,
        arena: np.ndarray,
        sizes: dict[str, int],
        check: str | None,
        offsets: Sequence[int] | None = None,
        given: Mapping[Node, Any] | None = None,
    ) -> None:
        super().__init__(plan, arena, sizes, check, offsets, given)
        self.before: Parts = _parts(self.works_before)
        self.after: Parts = _parts(self.works_after)

    def lower(
        self, node: Node, ins: tuple[Any, ...], out: Any, declared: Node, working: tuple[np.ndarray, ...]
    ) -> list[Invocation]:
        """By the rules of this backend."""
        return lower(node, ins, out, declared, working)

    def copy(self, dims: tuple[Dim, ...], target: np.ndarray, source: np.ndarray) -> list[Invocation]:
        """By a map."""
        return copy(dims, target, source)

    def lower_check(self, labels: np.ndarray, classes: int) -> list[Invocation]:
        """By a loop over the labels."""
        return lower_check(labels, classes)

    def finite(self, array: np.ndarray) -> list[Invocation]:
        """By a loop over the elements."""
        return [Invocation(finite_kernel(array.dtype), [address_of(array), array.size])]

    @property
    def whole(self) -> bool:
        """Is it all in kernels, so that a loop need not enter Python?"""
        return all(isinstance(part, Part) for part in (*self.before, *self.after))

    def bind_body(self, plan: Plan, offsets: Sequence[int], given: Mapping[Any, Any]) -> BoundBody:
        """The tapes of a body."""
        return BoundBody(Bound(plan, self.arena, self.sizes, self.check, offsets, given))

    # Running -----------------------------------------------------------------------------------------------------

    def run(self, parts: Parts) -> None:
        """Run the parts in order.

        Raises:
            LabelError, NonFiniteError: from the check that stopped it.
            BackendError: naming the node, when a NumPy call fails.
        """
        for part in parts:
            if isinstance(part, Part):
                stopped = part.tape.run()
                if stopped:
                    self.fail(part.works[stopped - 1])
            else:
                self.call(part)

    def step(self, feeds: Mapping[str, np.ndarray], take: Callable[[Sequence[np.ndarray]], None]) -> None:
        """Run once; `take` is given the outputs before updates land."""
        self.feed(feeds)
        self.run(self.before)
        take(self.outputs)
        self.run(self.after)

    def tapes(self) -> list[Tape]:
        """All tapes."""
        return [part.tape for part in (*self.before, *self.after) if isinstance(part, Part)]

    def by_step(self) -> list[list[Part | Work[Invocation]]]:
        """The parts of each step of the plan, to be timed."""
        return [_parts(group) for group in self.works]


class BoundBody:
    """The body of a loop or branch as tapes, in the arena of the program around it."""

    def __init__(self, bound: Bound) -> None:
        self.arrays: Mapping[Node, Any] = bound.arrays
        self.results: Sequence[Any] = bound.outputs
        self._bound, self._parts = bound, [*bound.before, *bound.after]

    def run(self) -> None:
        """Compute the results."""
        self._bound.run(self._parts)


def _parts(works: Sequence[Work[Invocation]]) -> Any:
    """Work in order, with neighbouring kernels on one tape."""
    parts: list[Any] = []
    tape: list[tuple[Invocation, Work[Invocation]]] = []

    def close() -> None:
        if tape:
            parts.append(Part(Tape([call for call, _ in tape]), [work for _, work in tape]))
            tape.clear()

    for work in works:
        tape.extend((call, work) for call in work.kernels)
        if work.calls:
            close()
            parts.append(work)
    close()
    return parts
