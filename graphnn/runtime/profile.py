"""A profile: how long each step of a plan takes."""

from __future__ import annotations

from dataclasses import dataclass

from ..plan.memory import Plan

__all__ = ["Profile"]


@dataclass(frozen=True)
class Profile:
    """Seconds for each step of a plan; prints as a table, the slowest first."""

    plan: Plan
    seconds: tuple[float, ...]

    def __str__(self) -> str:
        from ..view.report import list_profile  # a door

        return list_profile(self.plan, self.seconds)
