"""Rows: a step that several steps over the same rows became, such as a softmax with its loss and its gradient.

What a row needs, the largest of its scores, the sum of their exponentials, then what follows from both, is computed
while the row is at hand. The pass `rows` makes such steps, users do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..ir.node import Call, Node
from ..ir.spec import Shape

__all__ = ["RowBody", "Rows"]


@dataclass(frozen=True, eq=False)
class RowBody:
    """The steps over a row: nodes over stand-ins for the operands, in order, and those whose values come out.

    A scalar known before the run stands in for itself.
    """

    operands: tuple[Node, ...]
    steps: tuple[Node, ...]
    results: tuple[Node, ...]

    @property
    def computed(self) -> tuple[Node, ...]:
        """The steps that are no views of others."""
        return tuple(step for step in self.steps if step.view(True) is None)

    def __repr__(self) -> str:
        return " ".join(step.op for step in self.computed)


class Rows(Node):
    """Several results of the same rows, computed row by row."""

    values: tuple[Node, ...]
    body: RowBody

    def infer(self) -> Any:
        """Those of the results."""
        return tuple(result.spec for result in self.body.results)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """One step after the other."""
        known = dict(zip(self.body.operands, arrays, strict=True))
        for step in self.body.steps:
            known[step] = step.forward(xp, *(known[operand] for operand in step.operands))
        return tuple(known[result] for result in self.body.results)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """`forward`, and a copy of each result."""

        def compute() -> None:
            for target, value in zip(out, self.forward(xp, *ins), strict=True):
                target[...] = value

        return [compute]

    def work(self) -> tuple[Shape, ...]:
        """That of the steps."""
        return tuple(shape for step in self.body.computed for shape in step.work())

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int] | None:
        """Those of the steps, which have the same."""
        for step in self.body.steps:
            found = step.class_labels(sizes)
            if found:
                return self.values[self.body.operands.index(found[0])], found[1]
        return None
