"""A plan bound to kernels and memory, for one set of sizes: tapes, and NumPy calls for what has no kernel.

`before` makes the outputs and looks whether they are finite, `after` lands updates. Each is a list of parts, tapes
and NumPy calls in turn; a program without NumPy calls has one tape in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np

from ...ir.node import Node, describe
from ...ir.spec import Dim
from ...ops.control import Cond, Scan
from ...plan.memory import Plan, Step
from ..works import Work, Works
from .control import Inside, lower_branches, lower_turns
from .driver import finite_kernel
from .indices import lower_check
from .lower import lower
from .maps import copy
from .parts import Part, Parts, make_parts
from .tape import Invocation, Tape, address_of
from .types import NoKernel

__all__ = ["Bound", "BoundBody"]


class Lowered(Works[Invocation]):
    """The works of a plan for one set of sizes, in kernels of this backend where there are some."""

    backend = "native"

    def lower(
        self, node: Node, ins: tuple[Any, ...], out: Any, declared: Node, working: tuple[np.ndarray, ...]
    ) -> list[Invocation]:
        """By the rules of this backend."""
        return lower(node, ins, out, declared, working)

    def copy(self, dims: tuple[Dim, ...], target: np.ndarray, source: np.ndarray) -> list[Invocation]:
        """By a map."""
        return copy(dims, target, source)

    def lower_check(self, dims: tuple[Dim, ...], labels: np.ndarray, classes: int) -> list[Invocation]:
        """By a loop over the labels."""
        return lower_check(dims, labels, classes)

    def finite(self, array: np.ndarray) -> list[Invocation]:
        """By a loop over the elements."""
        return [Invocation(finite_kernel(array.dtype), [address_of(array), array.size])]

    @cached_property
    def inside(self) -> list[Inside]:
        """The steps with bodies that are in kernels."""
        return []

    def lower_bodies(self, i: int, step: Step, node: Node, ins: tuple[Any, ...], out: Any) -> Work[Invocation]:
        """By tapes that a kernel runs, where all of the bodies is in kernels.

        Raises:
            NoKernel: naming the node inside that has none.
        """
        bodies = cast("tuple[BoundBody, ...]", self.bodies(i, step, ins))
        for body in bodies:
            for inner, reason in body.reasons.items():
                raise NoKernel(f"inside, {describe(inner)}: {reason}")
        match node:
            case Scan():
                turns = node.bound_turns(ins, out, self.working_memory(i, step, node), bodies[0])
                inside = lower_turns(turns, node.turns(turns.length), bodies[0])
            case Cond():
                inside = lower_branches(ins[0], [node.bound_end(out, body) for body in bodies], bodies)
            case _:
                raise NoKernel("the op has no kernel")
        self.inside.append(inside)
        return Work(i, inside.calls, error=inside.fail)

    def bind_body(self, plan: Plan, offsets: Sequence[int], given: Mapping[Any, Any]) -> BoundBody:
        """The body of a loop or branch, in the same arena."""
        return BoundBody(plan, self.arena, self.sizes, self.check, offsets, given)

    def parts_inside(self) -> Iterator[Part]:
        """The tapes that steps run inside, and inside those."""
        for inside in self.inside:
            yield from inside.parts
            for body in inside.bodies:
                yield from body.parts_inside()

    def run_parts(self, parts: Parts) -> None:
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


class Bound(Lowered):
    """A program's plan for one set of sizes."""

    def __init__(self, plan: Plan, arena: np.ndarray, sizes: dict[str, int], check: str | None) -> None:
        super().__init__(plan, arena, sizes, check)
        self.before: Parts = make_parts(self.works_before, plan)
        self.after: Parts = make_parts(self.works_after, plan)

    @property
    def whole(self) -> bool:
        """Is it all in kernels, so that a loop need not enter Python?"""
        return all(isinstance(part, Part) for part in (*self.before, *self.after))

    def step(self, feeds: Mapping[str, np.ndarray], take: Callable[[Sequence[np.ndarray]], None]) -> None:
        """Run once; `take` is given the outputs before updates land."""
        self.feed(feeds)
        self.run_parts(self.before)
        take(self.outputs)
        self.run_parts(self.after)

    def tapes(self) -> list[Tape]:
        """All tapes."""
        return [part.tape for part in self.all_parts()]

    def all_parts(self) -> list[Part]:
        """All parts that are tapes, those inside steps too."""
        return [*(part for part in (*self.before, *self.after) if isinstance(part, Part)), *self.parts_inside()]

    def by_step(self) -> list[Parts]:
        """The parts of each step of the plan, to be timed."""
        return [make_parts(group, self.plan) for group in self.works]


class BoundBody(Lowered):
    """The body of a loop or branch: a part of the tapes of its step, or tapes that Python runs turn by turn."""

    @property
    def results(self) -> Sequence[Any]:
        """The arrays of the results."""
        return self.outputs

    @cached_property
    def parts(self) -> Parts:
        """Its own tapes, for a step that is not in kernels as a whole."""
        return make_parts([*self.works_before, *self.works_after], self.plan)

    def run(self) -> None:
        """Compute the results."""
        self.run_parts(self.parts)
