"""The ledger: for each step of a plan, its cost, the declared nodes that it stands for, and the rules that made it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..ir.graph import Graph
from ..ir.node import Item, Node
from ..ir.polynomial import Polynomial, bytes_of, product_of
from ..plan.memory import Plan, Step
from ..transform.record import Kept, Record
from .history import Histories, History
from .text import apply, line, names

__all__ = ["Entry", "Ledger", "make_ledger"]


@dataclass(frozen=True)
class Entry:
    """One step of the plan in the ledger."""

    step: Step
    operations: Polynomial
    """Arithmetic, by the op's own word."""
    traffic: Polynomial
    """Bytes read and written, each operand once."""
    history: History
    apart: tuple[str, ...]
    """Why a neighbour is a step of its own, or is read as it was."""


@dataclass(frozen=True)
class Ledger:
    """All entries, in the order of the plan; prints as a table."""

    plan: Plan
    entries: tuple[Entry, ...]
    fuses: bool
    """Does a pass of this program bring steps together?"""

    @property
    def operations(self) -> Polynomial:
        """The operations of one run of the program."""
        return Polynomial.total(entry.operations for entry in self.entries)

    @property
    def traffic(self) -> Polynomial:
        """The bytes that one run of the program reads and writes."""
        return Polynomial.total(entry.traffic for entry in self.entries)

    def __str__(self) -> str:
        called = names(self.plan.graph.schedule)
        rows = [_row(entry, called) for entry in self.entries]
        widths = [max((len(row[i]) for row in rows if len(row[i]) <= _WIDEST), default=0) for i in range(4)]
        lines = [f"ledger: {self.operations} operations, {self.traffic} bytes read and written"]
        if not self.fuses:
            lines.append("no pass of this program fuses steps: an interpreter gains nothing by it")
        for row, entry in zip(rows, self.entries, strict=True):
            lines.append("  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
            if entry.history.rules:
                lines.append(f"      by {'; '.join(entry.history.rules)}")
            lines += [f"      {why}" for why in entry.apart]
        return "\n".join(lines)


_WIDEST = 48


def make_ledger(stages: Sequence[tuple[str, Graph, Record]], plan: Plan) -> Ledger:
    """The ledger of a plan, from the name, graph and record of each stage, beginning with the declared graph."""
    histories = Histories(stages[0][1], [(name, record) for name, _, record in stages[1:]])
    kept = _kept([record for _, _, record in stages])
    called = names(plan.graph.schedule)
    entries = tuple(_entry(step, plan, histories, kept, called) for step in plan.steps)
    return Ledger(plan, entries, any(record.fuses for _, _, record in stages))


def _kept(records: Iterable[Record]) -> dict[Node, list[Kept]]:
    """The reasons why nodes were not fused, under the nodes that they have become; none for nodes in one step."""
    said: list[Kept] = []
    for record in records:
        said += record.kept
        for move in record.moves:
            said = [Kept(_step(move.get(o.node, o.node)), _step(move.get(o.other, o.other)), o.why) for o in said]
    kept: dict[Node, list[Kept]] = {}
    for one in said:
        if one.node is not one.other:
            kept.setdefault(one.node, []).append(one)
    return kept


def _step(node: Node) -> Node:
    """The node that computes a value; for one of several results, the node with all of them."""
    return node.node if isinstance(node, Item) else node


def _entry(
    step: Step, plan: Plan, histories: Histories, kept: Mapping[Node, list[Kept]], called: Mapping[Node, str]
) -> Entry:
    node = step.node
    read = dict.fromkeys(plan.values[operand].base for operand in node.operands)
    operations = Polynomial.total(product_of(shape) for shape in node.work())
    traffic = Polynomial.total(bytes_of(spec) for one in (*read, node) for spec in one.specs)
    apart = tuple(dict.fromkeys(f"apart from {_name(one.other, called)}: {one.why}" for one in kept.get(node, ())))
    return Entry(step, operations, traffic, histories.of(node), apart)


def _name(node: Node, called: Mapping[Node, str]) -> str:
    return called.get(node) or f"{node.label} ({node.origin})"


def _row(entry: Entry, called: Mapping[Node, str]) -> tuple[str, str, str, str]:
    node = entry.step.node
    call = f"{called[node]} = {apply(node, called)}"
    return call, f"{entry.operations} ops", f"{entry.traffic} B", "from " + ", ".join(_sources(entry.history.declared))


def _sources(nodes: Iterable[Node]) -> Iterator[str]:
    """Declared nodes in short: op and source line, each line once."""
    by_line: dict[str, dict[str, None]] = {}
    for node in nodes:
        what = f"d{node.op}" if node.adjoint_of is not None else node.op
        by_line.setdefault(line(str(node.origin)), {}).setdefault(what)
    for where, ops in by_line.items():
        yield f"{'+'.join(ops)} {where}"
