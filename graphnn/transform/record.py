"""The record of a pass: what it replaced by what, by which rule, and what it left alone for a reason."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from ..ir.node import Node

__all__ = ["EQUAL", "EXPANDED", "INSIDE", "Fired", "Kept", "Record", "current", "note", "recording"]


EXPANDED = "parts of a composite"
"""What the record calls the rule that puts an expansion in a composite's place."""


EQUAL = "equal nodes are one"
"""And the one that puts one node in place of all that are equal to it."""


INSIDE = "inside bodies"
"""And the one that puts a loop or branch in place of itself when a pass changed what it runs."""


class Fired(NamedTuple):
    """A rule that answered: the node of the graph, the same over rewritten operands, and what stands for it now."""

    rule: str
    node: Node
    before: Node
    after: Node


class Kept(NamedTuple):
    """Two nodes that a pass did not bring together, and why."""

    node: Node
    other: Node
    why: str


@dataclass
class Record:
    """What a pass did to a graph; compilers keep one a stage, and `f.explain()` tells it."""

    exact: bool = False
    """Must the bits stay the same?"""
    fuses: bool = False
    """Does the pass bring steps together? Then it says why neighbours stay apart."""
    answers: int | None = None
    """After so many answers of rules, further ones are not heard: how the one that does harm is found."""
    moves: list[Mapping[Node, Node]] = field(default_factory=list)
    """For each sweep over the graph, what stands for the nodes that it replaced or rebuilt."""
    fired: list[Fired] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


class _Now(threading.local):
    record: Record | None = None


_now = _Now()


@contextmanager
def recording(record: Record) -> Iterator[Record]:
    """A context in which rewrites write into the record."""
    outer = _now.record
    _now.record = record
    try:
        yield record
    finally:
        _now.record = outer


def current() -> Record:
    """The record being written; outside of any, one that nobody reads."""
    return _now.record or Record()


def note(node: Node, other: Node, why: str) -> None:
    """Tell the record why a pass did not bring two nodes together: the ledger shows it beside their steps."""
    if _now.record is not None:
        _now.record.kept.append(Kept(node, other, why))
