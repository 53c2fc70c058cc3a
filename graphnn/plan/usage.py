"""How much memory a plan uses: the bytes in use at each step, the least that any arena takes, the largest values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TypeAlias

from ..errors import BackendError, GraphError
from ..ir.leaf import Constant
from ..ir.node import Node, describe
from ..ir.polynomial import Polynomial, bytes_of
from ..ir.spec import Spec
from .memory import Plan, aligned

__all__ = [
    "constants_of",
    "kept_for_sizes",
    "largest",
    "live_bytes",
    "live_formulas",
    "lower_bound",
    "made_before",
    "out_of_memory",
    "peak_formula",
    "read_bytes",
    "show_bytes",
    "show_largest",
    "show_sizes",
    "whole",
]

_Part: TypeAlias = "Polynomial | tuple[Plan, ...]"
"""The bytes of a value, or the plans of bodies of which a step runs one at a time."""
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def read_bytes(amount: int | str, what: str) -> int:
    """An amount of memory as a number of bytes: a number, or text such as "64MiB" (2**20) or "64MB" (10**6).

    Raises:
        GraphError: when it is neither.

    >>> read_bytes("1.5KiB", "a budget")
    1536
    """
    if isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0:
        return amount
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", amount) if isinstance(amount, str) else None
    if found is None or found[2].upper() not in _UNITS:
        raise GraphError(f'{what} is {amount!r}; it must be a number of bytes, or text such as "64MiB".')
    return int(float(found[1]) * _UNITS[found[2].upper()])


def constants_of(plan: Plan) -> list[Spec]:
    """The specs of the constants of a program, including those in bodies."""
    static = dict.fromkeys(node for part in whole(plan) for node in part.static)
    return [node.spec for node in static if isinstance(node, Constant)]


def kept_for_sizes(plan: Plan) -> list[Spec]:
    """The specs of what a program keeps for each set of sizes: values known before the run, and tables of steps."""
    plans = list(whole(plan))
    before = [node for part in plans for node in made_before(part) if not isinstance(node, Constant)]
    made = [spec for node in before for spec in node.specs]
    return [*made, *(spec for part in plans for step in part.steps for spec in step.node.tables())]


def _changes(plan: Plan) -> list[tuple[list[_Part], list[_Part]]]:
    """What is needed from each step on, and what no longer; with one more entry, for the updates after all steps."""
    end = len(plan.steps)
    changes: list[tuple[list[_Part], list[_Part]]] = [([], []) for _ in range(end + 2)]
    for value in plan.values.values():
        if value.slots and not value.is_view:
            held = _held(value.node)
            changes[max(value.first, 0)][0].extend(held)
            changes[value.last + 1][1].extend(held)
    for i, step in enumerate(plan.steps):
        working: list[_Part] = [bytes_of(spec) for spec in step.node.scratch()]
        if step.bodies:
            working.append(tuple(body.plan for body in step.bodies))
        changes[i][0].extend(working)
        changes[i + 1][1].extend(working)
        if step.over is not None:  # two values share their memory in this step: it counts once
            changes[i][1].extend(_held(step.over))
            changes[i + 1][0].extend(_held(step.over))
    changes[end][0].extend(bytes_of(parameter.spec) for parameter in plan.snapshots)
    return changes[:-1]


def _held(node: Node) -> list[Polynomial]:
    return [bytes_of(spec) for spec in node.specs]


def live_bytes(plan: Plan, sizes: Mapping[str, int]) -> list[int]:
    """The bytes in use during each step, and then while updates are written. Inputs are in use throughout."""

    def total(parts: list[_Part]) -> int:
        return sum(
            aligned(part(sizes)) if isinstance(part, Polynomial) else max(lower_bound(body, sizes) for body in part)
            for part in parts
        )

    return list(accumulate(total(born) - total(dead) for born, dead in _changes(plan)))


def live_formulas(plan: Plan) -> list[Polynomial]:
    """As `live_bytes`, but as formulas, not rounded to cache lines. Of several bodies, the first counts."""

    def formulas(parts: list[_Part]) -> list[Polynomial]:
        return [part if isinstance(part, Polynomial) else peak_formula(part[0]) for part in parts]

    totals = (Polynomial.total(formulas(born), formulas(dead)) for born, dead in _changes(plan))
    return list(accumulate(totals, lambda a, b: Polynomial.total([a, b])))


def peak_formula(plan: Plan) -> Polynomial:
    """The formula for the step at which the most memory is in use, judged with 128 for all sizes."""
    live = live_formulas(plan)
    numbers = [formula(dict.fromkeys(formula.names, 128)) for formula in live]
    return live[numbers.index(max(numbers))]


def lower_bound(plan: Plan, sizes: Mapping[str, int]) -> int:
    """The least bytes that any arena for this order of steps could have: the most bytes in use at one time."""
    return max(live_bytes(plan, sizes))


def whole(plan: Plan) -> Iterator[Plan]:
    """The plan, and the plans of all bodies in it."""
    yield plan
    for step in plan.steps:
        for body in step.bodies:
            yield from whole(body.plan)


def made_before(plan: Plan) -> list[Node]:
    """The nodes known before the run that have memory of their own."""
    return [node for node in plan.static if not node.operands or node.view(False) is None]


def largest(plan: Plan, sizes: Mapping[str, int], count: int = 5) -> list[tuple[Node, int]]:
    """The values that take the most memory. Of values that overwrite each other, only the last counts."""
    overwritten = {step.over for step in plan.steps}
    before = set(made_before(plan))
    owners = [
        (value.node, sum(spec.bytes(sizes) for spec in value.node.specs))
        for value in plan.values.values()
        if (value.slots and value.node not in overwritten) or value.place == "state" or value.node in before
    ]
    return sorted(owners, key=lambda pair: -pair[1])[:count]


def show_bytes(number: int) -> str:
    """A number of bytes for people: `2.5 MiB`."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number} bytes"


def show_sizes(sizes: Mapping[str, int]) -> str:
    """`N=30, M=2`."""
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


def show_largest(plan: Plan, sizes: Mapping[str, int]) -> str:
    """The five largest values as part of a sentence, each with its source line and bytes."""
    return ", ".join(f"{describe(node)}: {show_bytes(size)}" for node, size in largest(plan, sizes))


def out_of_memory(backend: str, plan: Plan, sizes: Mapping[str, int], beside: str = "") -> BackendError:
    """The error for a program that needs more memory than the machine has. It is raised before any step has run.

    `beside` is text about what else was asked for.
    """
    at = f" for {show_sizes(sizes)}" if sizes else ""
    return BackendError(
        f"{backend}: there is not enough memory{at}: the arena takes {show_bytes(plan.offsets(sizes)[1])}{beside}. "
        f"The largest values: {show_largest(plan, sizes)}. Nothing has run, and parameters are as they were."
    )
