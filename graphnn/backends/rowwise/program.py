"""Row programs: the structure of a kernel over rows, and the phases in which it goes over a row.

The result of a reduction is known only after all elements of a row. So a kernel goes over each row in phases. The first
phase computes reductions of the operands, and each later phase uses the results of those before it. A step runs in the
last phase that is early enough for all its readers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

from ...ir.formula import Formula
from ..kernels import DType, Fold
from ..nests import Axis, Stride

__all__ = ["Folded", "Mapped", "Marked", "Operand", "Phase", "Picked", "RowProgram", "Step", "Summed", "arguments"]


@dataclass(frozen=True)
class Operand:
    """An array, and how many values it has.

    "whole": one for each element; "row": one for each row; "column": one for each position in a row, the same in all
    rows; "still": one.
    """

    kind: Literal["whole", "row", "column", "still"]
    dtype: DType
    along: Stride = "none"
    """How the array moves from element to element of a row."""


@dataclass(frozen=True)
class Mapped:
    """A formula of earlier values, which have names in it."""

    formula: Formula
    names: tuple[str, ...]
    arguments: tuple[int, ...]
    dtype: DType
    whole: bool


@dataclass(frozen=True)
class Folded:
    """A reduction of each row."""

    how: Fold
    argument: int


@dataclass(frozen=True)
class Summed:
    """A reduction over all rows, for each position in a row."""

    how: Fold
    argument: int


@dataclass(frozen=True)
class Picked:
    """The element of each row at the position of its label."""

    argument: int
    labels: int
    dtype: DType


@dataclass(frozen=True)
class Marked:
    """One number at the position of the label, and another one elsewhere."""

    labels: int
    dtype: DType
    on: float
    off: float


Step: TypeAlias = "Mapped | Folded | Summed | Picked | Marked"


@dataclass(frozen=True)
class RowProgram:
    """The structure of a kernel over rows. Values are numbered: operands first, then those of steps."""

    width: int
    operands: tuple[Operand, ...]
    steps: tuple[Step, ...]
    results: tuple[tuple[int, Operand], ...]
    """The values that are results, and their arrays."""
    axes: tuple[Axis, ...]
    """The axes of rows, outermost first. An array is dense along an axis if its rows follow each other in memory."""

    @property
    def arrays(self) -> tuple[Operand, ...]:
        """All arrays: operands, then results."""
        return (*self.operands, *(array for _, array in self.results))

    def step(self, value: int) -> Step:
        """The step that makes a value."""
        return self.steps[value - len(self.operands)]

    def dtype(self, value: int) -> DType:
        """The dtype of a value."""
        if value < len(self.operands):
            return self.operands[value].dtype
        step = self.step(value)
        return step.how.result if isinstance(step, (Folded, Summed)) else step.dtype

    def is_whole(self, value: int) -> bool:
        """Does the value have a part for each element of a row?"""
        if value < len(self.operands):
            return self.operands[value].kind == "whole"
        step = self.step(value)
        return isinstance(step, Marked) or (isinstance(step, Mapped) and step.whole)

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The phases, in order."""
        runs = self._runs()
        phases = [Phase() for _ in range(max(runs.values()) + 1)]
        for value, at in runs.items():
            step, phase = self.step(value), phases[at]
            if isinstance(step, Summed):
                phase.sums.append(value)
            elif isinstance(step, (Folded, Picked)):
                phase.folds.append(value)
            else:
                (phase.wholes if self.is_whole(value) else phase.rows).append(value)
        return tuple(phases)

    @cached_property
    def kept(self) -> frozenset[int]:
        """The values of elements that are read in a later phase."""
        runs = self._runs()
        return frozenset(
            x for value in runs for x in arguments(self.step(value)) if x in runs and self.is_whole(x)
            and runs[x] < runs[value]
        )  # fmt: skip

    def _runs(self) -> dict[int, int]:
        """The phase of the value of each step: the first possible for reductions, the last possible for the others."""
        first = len(self.operands)
        there = dict.fromkeys(range(first), 0)
        runs: dict[int, int] = {}
        for value, step in enumerate(self.steps, start=first):
            runs[value] = max(there[x] for x in arguments(step))
            there[value] = runs[value] + isinstance(step, (Folded, Picked))
        latest: dict[int, int] = {}
        for value, step in reversed(list(enumerate(self.steps, start=first))):
            if self.is_whole(value):
                runs[value] = max(runs[value], latest.get(value, 0))
            for x in arguments(step):
                latest[x] = min(latest.get(x, runs[value]), runs[value])
        return runs


@dataclass(frozen=True)
class Phase:
    """One pass over a row: values of the row that are computed first, values of elements, and reductions of elements.

    `folds` are reductions over the row, and `sums` those over all rows.
    """

    rows: list[int] = field(default_factory=list)
    wholes: list[int] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)


def arguments(step: Step) -> tuple[int, ...]:
    """The values that a step reads."""
    match step:
        case Mapped(arguments=given):
            return given
        case Folded(argument=x) | Summed(argument=x):
            return (x,)
        case Picked(argument=x, labels=labels):
            return (x, labels)
        case Marked(labels=labels):
            return (labels,)
