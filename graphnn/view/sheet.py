"""Sheets: pictures laid out, and where each stands; what the painters paint."""

from __future__ import annotations

from typing import NamedTuple

from .fold import Folded
from .layout import Layout
from .picture import Picture

__all__ = ["Heading", "Part", "Sheet", "sheet_of"]


class Part(NamedTuple):
    """A picture on a sheet, and how far its layout is shifted, in pixels."""

    shown: Picture
    layout: Folded
    x: float = 0.0
    y: float = 0.0


class Heading(NamedTuple):
    """A line of text on a sheet, from its left and its baseline."""

    x: float
    y: float
    text: str


class Sheet(NamedTuple):
    """Pictures and headings, and the size of all in pixels."""

    parts: tuple[Part, ...]
    headings: tuple[Heading, ...]
    width: float
    height: float


def sheet_of(shown: Picture, view: str, fold: bool = True) -> Sheet:
    """A sheet of one picture; what is long and slim is folded into rows, unless it is not to `fold`."""
    layout = Folded(shown, Layout(shown, view), fold)
    return Sheet((Part(shown, layout),), (), *layout.size)
