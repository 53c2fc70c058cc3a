"""The works of a plan in kernels of this backend, for a whole program and for the bodies of loops and branches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from ...ir.node import Node, describe
from ...ir.spec import Dim
from ...ops.control import Cond, Scan
from ...plan.memory import Plan, Step
from ..kernels import NoKernel
from ..numpy.bound import Bound as HostBound
from ..numpy.bound import BoundBody as HostBody
from ..works import Work, Works
from .control import lower_branches, lower_turns
from .labels import lower_finite_check, lower_label_check
from .lower import Launched, copy, lower
from .site import Multiply, Site

__all__ = ["Checks", "Lowered"]


class Checks:
    """The checks of a program, by code. A check that fails writes its code into the status, which stops the program."""

    def __init__(self) -> None:
        self.works: dict[int, Work[Launched]] = {}
        self._codes = count(1)

    def code(self) -> int:
        """A code for the next check."""
        return next(self._codes)

    def note(self, works: Iterable[Work[Launched]]) -> None:
        """Add the checks among these works. Those inside loops and branches have been added before."""
        for work in works:
            for launched in work.kernels:
                if isinstance(launched, Multiply) or not launched.code:
                    continue
                self.works.setdefault(launched.code, work)


class Lowered(Works[Launched]):
    """The works of a plan for one set of sizes."""

    backend = "cupy"

    def __init__(
        self,
        plan: Plan,
        arena: np.ndarray,
        sizes: dict[str, int],
        check: str | None,
        site: Site,
        checks: Checks,
        offsets: Sequence[int] | None = None,
        given: Mapping[Node, Any] | None = None,
    ) -> None:
        self.site, self.checks = site, checks
        super().__init__(plan, arena, sizes, check, offsets, given)
        self.checks.note(self.all_works)

    @property
    def all_works(self) -> tuple[Work[Launched], ...]:
        """All works, in order."""
        return (*self.works_before, *self.works_after)

    def lower(
        self, node: Node, ins: tuple[Any, ...], out: Any, declared: Node, working: tuple[np.ndarray, ...]
    ) -> Sequence[Launched]:
        """The launches for an op, by the rules of this backend. Its kernels need no working memory."""
        return lower(node, ins, out, declared, self.site)

    def lower_bodies(self, i: int, step: Step, node: Node, ins: tuple[Any, ...], out: Any) -> Work[Launched]:
        """The work of a loop or branch: the launches of its bodies, if all their steps have kernels.

        Raises:
            NoKernel: when a step inside has no kernel; the message names its node.
        """
        bodies = [self._launches_of(*placed) for placed in self.placed_bodies(step, ins)]
        match node:
            case Scan():
                loop = node.bound_turns(ins, out, self.working_memory(i, step, node), bodies[0][0])
                launches = lower_turns(loop, node.turns(loop.length), bodies[0][1], self.site)
            case Cond():
                ends = [node.bound_end(out, body) for body, _ in bodies]
                launches = lower_branches(ins[0], [inside for _, inside in bodies], ends, self.site)
            case _:
                raise NoKernel("the op has no kernel")
        return Work(i, tuple(launches))

    def _launches_of(
        self, plan: Plan, offsets: Sequence[int], given: Mapping[Any, Any]
    ) -> tuple[_Body, list[Launched]]:
        """A body bound to kernels, and its launches in order."""
        body = _Body(plan, self.arena, self.sizes, self.check, self.site, self.checks, offsets, given)
        for inner, reason in body.reasons.items():
            raise NoKernel(f"inside, {describe(inner)}: {reason}")
        return body, [launched for work in body.all_works for launched in work.kernels]

    def bind_body(self, plan: Plan, offsets: Sequence[int], given: Mapping[Any, Any]) -> HostBody:
        """The body of a loop or branch that runs on NumPy."""
        return HostBody(HostBound(plan, self.arena, self.sizes, self.check, offsets, given))

    def copy(self, dims: tuple[Dim, ...], target: np.ndarray, source: np.ndarray) -> Sequence[Launched]:
        """The launches that copy an array, by a map."""
        return copy(dims, target, source, self.site)

    def lower_check(self, dims: tuple[Dim, ...], labels: np.ndarray, classes: int) -> Sequence[Launched]:
        """The check of labels, with a thread for each label."""
        return lower_label_check(dims, labels, classes, self.checks.code(), self.site)

    def finite(self, array: np.ndarray) -> Sequence[Launched]:
        """The check that all elements are finite, with a thread for each element."""
        return lower_finite_check(array, self.checks.code(), self.site)


class _Body(Lowered):
    """The body of a loop or branch, whose launches are part of those of its step."""

    @property
    def results(self) -> Sequence[Any]:
        """The arrays of the results."""
        return self.outputs
