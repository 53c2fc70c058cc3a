"""The NumPy backend: each step of the plan becomes a few calls without arguments, bound once for each set of sizes.

A run is a loop over these calls. Every value has its place in the arena, and views are made when binding, so a step
allocates nothing. If a call raises an error, the message names the node.
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
"""Elementwise steps are not fused: that pays only where formulas are compiled."""


def bind(plan: Plan, check_finite: str | None) -> NumpyProgram:
    """Bind a plan."""
    return NumpyProgram(plan, check_finite)
