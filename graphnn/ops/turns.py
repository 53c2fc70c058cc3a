"""Turns: what a loop or a branch copies beside running its bound bodies, for a backend to do as it can."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..ir.spec import Shape

__all__ = ["Copy", "Turns"]


class Copy(NamedTuple):
    """An array to be copied to another; `shape` is theirs, as declared."""

    shape: Shape
    target: Any
    source: Any


class Turns(NamedTuple):
    """A loop over a bound body: it begins, then in each turn is fed, runs, stacks and moves on, and ends."""

    length: int
    begin: list[Copy]
    """Where it starts from, to the carries."""
    feeds: list[Copy]
    """Slices to placeholders: the source has the turns as its first axis."""
    stacked: list[Copy]
    """Results to slices: the target has the turns as its first axis."""
    moves: list[Copy]
    """The next carries to the carries, in an order that reads each before it is written."""
    end: list[Copy]
    """The carries to where they end."""
