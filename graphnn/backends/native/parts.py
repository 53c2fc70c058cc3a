"""Parts: the works of a program in order. Kernel calls that follow each other are on one tape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ...plan.memory import Plan
from ..works import Work
from .tape import Invocation, Tape

__all__ = ["Part", "Parts", "make_parts"]


@dataclass(frozen=True)
class Part:
    """A tape, and for each of its entries the work that the entry belongs to."""

    tape: Tape
    works: Sequence[Work[Invocation]]
    plan: Plan

    def uses(self) -> Iterator[tuple[str, str]]:
        """The kernel of each call, and the name of the op that it computes."""
        for call, work in zip(self.tape.calls, self.works, strict=True):
            yield call.kernel, "copy" if work.step is None else self.plan.steps[work.step].node.op


Parts: TypeAlias = "list[Part | Work[Invocation]]"
"""Tapes, and between them the works that run on NumPy."""


def make_parts(works: Sequence[Work[Invocation]], plan: Plan) -> Parts:
    """The works of a plan's steps as parts. If none runs on NumPy there is one tape, or nothing."""
    parts: Parts = []
    tape: list[tuple[Invocation, Work[Invocation]]] = []

    def close() -> None:
        if tape:
            parts.append(Part(Tape([call for call, _ in tape]), [work for _, work in tape], plan))
            tape.clear()

    for work in works:
        tape.extend((call, work) for call in work.kernels)
        if work.calls:
            close()
            parts.append(work)
    close()
    return parts
