"""The NumPy backend: each step of the plan becomes a few calls that need no arguments, bound once for each batch size.

Running is a flat loop over those calls. Every value has its place in the arena, views are made while binding, so a
step allocates nothing. Errors a call can raise are turned into messages about the node, since bound calls know it.
"""

from __future__ import annotations

from ...plan.memory import Plan
from ...transform.chains import chains
from ...transform.constants import constants
from ...transform.expand import expand
from ...transform.fold import fold
from ...transform.hoist import hoist
from ...transform.passes import Pass
from ...transform.repeats import repeats
from ...transform.share import share
from ...transform.simplify import simplify
from ...transform.stabilise import stabilise
from ...transform.transposes import transposes
from ...transform.trim import trim
from .program import NumpyProgram

__all__ = ["PASSES", "NumpyProgram", "bind"]

PASSES: tuple[Pass, ...] = (
    stabilise, expand, simplify, share, constants, repeats, transposes, chains, hoist, fold, simplify, share, trim,
)  # fmt: skip
"""Fusing elementwise steps is left to compiled backends: interpreted, it only costs."""


def bind(plan: Plan, check_finite: str | None) -> NumpyProgram:
    """The plan as a program."""
    return NumpyProgram(plan, check_finite)
