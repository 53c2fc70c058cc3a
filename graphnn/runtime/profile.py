"""Profiles: the time that each step of a plan takes."""

from __future__ import annotations

from dataclasses import dataclass

from ..plan.memory import Plan

__all__ = ["Profile"]


@dataclass(frozen=True)
class Profile:
    """The seconds that each step of a plan takes; prints as a table, the slowest step first."""

    plan: Plan
    seconds: tuple[float, ...]

    def __repr__(self) -> str:
        return f"<Profile: {sum(self.seconds) * 1e6:.2f} us in {len(self.seconds)} steps>"

    def __str__(self) -> str:
        from ..view.report import list_profile  # a door

        return list_profile(self.plan, self.seconds)
