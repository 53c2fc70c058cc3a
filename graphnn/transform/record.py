"""The record of a pass: which nodes it replaced, by which rules, and which it did not fuse, and why."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from ..ir.node import Node

__all__ = ["EQUAL", "EXPANDED", "INSIDE", "Fired", "Kept", "Record", "current", "note", "recording"]


EXPANDED = "parts of a composite"
"""The name, in records, of the rule that replaces a composite by its expansion."""
EQUAL = "equal nodes are one"
"""The name of the rule that replaces a node by an equal one."""
INSIDE = "inside bodies"
"""The name of the rule that replaces a loop or branch whose body was changed by a pass."""


class Fired(NamedTuple):
    """A rule that replaced a node: the node of the graph, the node that the rule was given, and the new node."""

    rule: str
    node: Node
    before: Node
    after: Node


class Kept(NamedTuple):
    """Two nodes that a pass did not fuse, and why."""

    node: Node
    other: Node
    why: str


@dataclass
class Record:
    """What a pass did to a graph. Each stage of a compiled program keeps one, and `f.explain()` shows it."""

    exact: bool = False
    """Must the pass keep every bit?"""
    fuses: bool = False
    """Does the pass fuse steps? Then it says why neighbours were not fused."""
    limit: int | None = None
    """The number of replacements after which the pass makes no more: `Executable.bisect` searches with it."""
    moves: list[Mapping[Node, Node]] = field(default_factory=list)
    """For each sweep over the graph, the new node for each node that was replaced or rebuilt."""
    fired: list[Fired] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


class _Now(threading.local):
    record: Record | None = None


_now = _Now()


@contextmanager
def recording(record: Record) -> Iterator[Record]:
    """A context manager inside which rewrites write into the record."""
    outer = _now.record
    _now.record = record
    try:
        yield record
    finally:
        _now.record = outer


def current() -> Record:
    """The record that is being written; outside of `recording`, a fresh one that is thrown away."""
    return _now.record or Record()


def note(node: Node, other: Node, why: str) -> None:
    """Write into the record why a pass did not fuse two nodes: the ledger shows it beside their steps."""
    if _now.record is not None:
        _now.record.kept.append(Kept(node, other, why))
