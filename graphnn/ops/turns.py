"""Turns: the copies that a loop or branch makes besides running its bound bodies, in a form for all backends."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..ir.spec import Shape

__all__ = ["Copy", "Turns"]


class Copy(NamedTuple):
    """A copy from one array to another; `shape` is their declared shape."""

    shape: Shape
    target: Any
    source: Any


class Turns(NamedTuple):
    """The copies of a loop over a bound body: at the beginning, in each turn before and after the body, at the end."""

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
