"""Formulas as instructions over a few registers, for backends that interpret formulas.

Register 0 is the result, and the others are scratch. A part of a formula that occurs several times is computed once.
Values are computed as late, and registers are freed as early, as the order of the parts allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..ir.formula import Apply, Formula, Literal, Name, Weak, dtypes

__all__ = ["Instruction", "Registers", "registers"]

Argument: TypeAlias = "str | int | Literal"
"""An operand by name, a register by number, or a number of the formula."""


class Instruction(NamedTuple):
    """`target = function(*arguments)`."""

    function: str
    arguments: tuple[Argument, ...]
    target: int


@dataclass(frozen=True)
class Registers:
    """The instructions of a formula, the dtypes of its scratch registers, and the operands it may overwrite."""

    instructions: tuple[Instruction, ...]
    scratch: tuple[np.dtype[Any], ...]
    overwritable: frozenset[str]


@lru_cache(maxsize=4096)
def registers(formula: Formula, operands: tuple[tuple[str, np.dtype[Any]], ...], result: np.dtype[Any]) -> Registers:
    """Assign the parts of a formula to registers."""
    kinds = dtypes(formula, operands)
    steps = [part for part in formula.parts() if isinstance(part, Apply)]
    if not steps:
        return _copy(formula)
    last_read = {a: i for i, part in enumerate(steps) for a in part.arguments}
    kind: list[np.dtype[Any]] = [result]
    free = [0]
    home: dict[Formula, int] = {}
    instructions: list[Instruction] = []
    for i, part in enumerate(steps):
        dying = [home[a] for a in dict.fromkeys(part.arguments) if a in home and last_read[a] == i]
        needed = _stored(kinds[part], result)
        # `where` writes its target before it has read its condition and first choice.
        spare = free if part.function == "where" else [*dying, *free]
        if part is formula and (part.function != "where" or 0 in free):
            target = 0
        else:
            target = next((r for r in spare if kind[r] == needed), len(kind))
            if target == len(kind):
                kind.append(needed)
        instructions.append(Instruction(part.function, tuple(_argument(a, home) for a in part.arguments), target))
        home[part] = target
        free = [r for r in {*free, *dying} if r != target]
    if home[formula] != 0:
        instructions.append(Instruction("copy", (home[formula],), 0))
    return Registers(tuple(instructions), tuple(kind[1:]), _overwritable(instructions, dict(operands), result))


def _stored(kind: Weak, result: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a register. A choice between numbers, which has no dtype of its own, has that of the result."""
    return kind if isinstance(kind, np.dtype) else np.dtype(kind) if result.kind == "b" else result


def _copy(formula: Formula) -> Registers:
    source: Argument = formula.name if isinstance(formula, Name) else formula  # type: ignore[assignment]
    return Registers((Instruction("copy", (source,), 0),), (), frozenset())


def _argument(part: Formula, home: dict[Formula, int]) -> Argument:
    if isinstance(part, Name):
        return part.name
    return part if isinstance(part, Literal) else home[part]


def _overwritable(
    instructions: list[Instruction], operands: dict[str, np.dtype[Any]], result: np.dtype[Any]
) -> frozenset[str]:
    written = next(i for i, instruction in enumerate(instructions) if instruction.target == 0)
    last_read = {
        a: i for i, instruction in enumerate(instructions) for a in instruction.arguments if isinstance(a, str)
    }
    safe = set()
    for name, dtype in operands.items():
        last = last_read.get(name, -1)
        # A ufunc may write where it reads; `where` writes first.
        if dtype == result and (last < written or (last == written and instructions[last].function != "where")):
            safe.add(name)
    return frozenset(safe)
