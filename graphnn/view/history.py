"""Histories: for each node after the passes, the rules that made it and the declared nodes that it stands for.

A node that replaces another one keeps its serial, which leads to the declared node. A history also has the nodes that a
rule took in together with it, and those that were found to be equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..ir.graph import Graph
from ..ir.node import Node
from ..transform.record import EXPANDED, Fired, Record

__all__ = ["Histories", "History"]

_DEPTH = 5
"""How far below a node a rule's pattern reaches, at most, for the sake of telling what it took in."""


class History(NamedTuple):
    """The rules that replaced a node, in order, as `pass: rule`; and declared nodes, the node's own first."""

    rules: tuple[str, ...]
    declared: tuple[Node, ...]


class Histories:
    """What the stages of a compilation did to each node. A stage is the name of a pass and its record."""

    def __init__(self, declared: Graph, stages: Iterable[tuple[str, Record]]) -> None:
        self._by_serial = {node.serial: node for node in declared.nodes}
        self._known: dict[Node, History] = {}
        for name, record in stages:
            self._read(name, record)

    def of(self, node: Node) -> History:
        """The history of a node; the node alone, if no rule made it."""
        return self._known.get(node) or History((), self._own(node))

    def _own(self, node: Node) -> tuple[Node, ...]:
        found = self._by_serial.get(node.serial)
        return () if found is None else (found,)

    def _read(self, name: str, record: Record) -> None:
        before = {old: self.of(old) for move in record.moves for old in move}
        rebuilt = {new: old for move in record.moves for old, new in move.items()}
        for fired in record.fired:
            taken = [self.of(rebuilt.get(node, node)) for node in _taken_in(fired)]
            rule = f"{name}: {fired.rule}"
            self._add(fired.after, rule, [self.of(fired.node), *taken])
            for node in _built_below(fired):
                self._add(node, rule, [self.of(fired.node)])
        for old, history in before.items():
            for move in record.moves:
                new = move.get(old, old)
                if new is not old and history != History((), self._own(new)):
                    self._add(new, None, [history])

    def _add(self, node: Node, rule: str | None, others: Sequence[History]) -> None:
        mine = self.of(node)
        rules = dict.fromkeys([*mine.rules, *(r for h in others for r in h.rules), *([rule] if rule else [])])
        declared = dict.fromkeys([*mine.declared, *(n for h in others for n in h.declared)])
        self._known[node] = History(tuple(rules), tuple(declared))


def _taken_in(fired: Fired) -> Iterator[Node]:
    """The nodes of a rule's pattern that the new node does not contain."""
    if fired.rule == EXPANDED:  # the parts stand on the composite's own operands
        return
    kept = set(_near(fired.after, set()))
    for node in _near(fired.before, kept):
        if node not in kept and node is not fired.before and node.operands:
            yield node


def _built_below(fired: Fired) -> Iterator[Node]:
    """The nodes that a rule built below the new node: they have the position of the replaced node."""
    old = set(_near(fired.before, set()))
    for node in _near(fired.after, old):
        if node not in old and node is not fired.after and node.serial == fired.node.serial:
            yield node


def _near(root: Node, stop: set[Node]) -> Iterator[Node]:
    """The nodes a few steps below a node, itself first, but not those below nodes in `stop`."""
    level, seen = [root], {root}
    for _ in range(_DEPTH):
        yield from level
        below = dict.fromkeys(op for node in level if node not in stop for op in node.operands)
        level = [node for node in below if node not in seen]
        seen.update(level)
