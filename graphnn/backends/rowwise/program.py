"""Row programs: what a kernel over rows depends on, and the phases in which it goes over a row.

A fold is complete when all elements of a row have been seen. So the first phase goes as far as the folds of what is
given, each later one on from what was folded before it, and a step runs in the last phase that is early enough for
all that read it.
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
    """An array: a value for each element of the rows ("whole"), for each row ("row"), for each place in a row, whatever
    the row ("column"), or one for all ("still")."""

    kind: Literal["whole", "row", "column", "still"]
    dtype: DType
    along: Stride = "none"
    """How it moves from element to element of a row."""


@dataclass(frozen=True)
class Mapped:
    """A formula of earlier values, which it knows by names."""

    formula: Formula
    names: tuple[str, ...]
    arguments: tuple[int, ...]
    dtype: DType
    whole: bool


@dataclass(frozen=True)
class Folded:
    """A function folded over each row."""

    how: Fold
    argument: int


@dataclass(frozen=True)
class Summed:
    """A function folded over all rows, for each place in a row."""

    how: Fold
    argument: int


@dataclass(frozen=True)
class Picked:
    """The element of each row that a label names."""

    argument: int
    labels: int
    dtype: DType


@dataclass(frozen=True)
class Marked:
    """One number at the label's place, another elsewhere."""

    labels: int
    dtype: DType
    on: float
    off: float


Step: TypeAlias = "Mapped | Folded | Summed | Picked | Marked"


@dataclass(frozen=True)
class RowProgram:
    """What a kernel over rows depends on: values are numbered, operands first, then steps."""

    width: int
    operands: tuple[Operand, ...]
    steps: tuple[Step, ...]
    results: tuple[tuple[int, Operand], ...]
    """Which values come out, and how their arrays lie."""
    axes: tuple[Axis, ...]
    """The axes of rows, outermost first; an array is dense along one when row lies behind row."""

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
        """Has a value one part for each element of a row?"""
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
        """The values of elements that a later phase than their own reads."""
        runs = self._runs()
        return frozenset(
            x for value in runs for x in arguments(self.step(value)) if x in runs and self.is_whole(x)
            and runs[x] < runs[value]
        )  # fmt: skip

    def _runs(self) -> dict[int, int]:
        """The phase of each step's value: as early as can be for folds, as late as can be for the rest."""
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
    """One walk over a row: values of the row made before it, values of elements, and what is folded of them, over the
    row and over all rows."""

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
