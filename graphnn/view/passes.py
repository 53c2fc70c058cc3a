"""Passes as pictures: for each pass that changed something, the graph before and after it, with the changes marked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Protocol

from ..ir.graph import Graph
from ..ir.node import Node
from ..ops.elementwise import Elementwise
from ..transform.record import Record
from .collapse import collapse
from .picture import Box, Picture, exchange, mirror
from .render import render_sheet
from .sheet import Heading, Part, Sheet, sheet_of
from .text import attributes

__all__ = ["GONE", "NEW", "passes_sheet", "render_passes"]

GONE, NEW = "#f3b58a", "#a9d6f2"
"""Orange and blue: told apart by every eye, and by the sign before the name without colours."""
_SAME = "#ffffff"
_MANY = 40
"""Of a picture with more boxes only what changed is drawn, with what is next to it, and no more than so many boxes."""
_WIDE = 2400
"""In pixels: pictures that do not fit side by side stand one above the other."""
_MARGIN, _LINE, _APART = 12, 20, 36


class Stage(Protocol):
    """A graph on its way through the compiler, and the pass that made it."""

    @property
    def name(self) -> str:
        """Of the pass."""
        ...

    @property
    def numerics(self) -> str:
        """Of the pass."""
        ...

    @property
    def graph(self) -> Graph:
        """The graph after it."""
        ...

    @property
    def record(self) -> Record:
        """What it did."""
        ...


class Compiled(Protocol):
    """What `gn.compile` returns."""

    @property
    def stages(self) -> Sequence[Stage]:
        """The graph as declared, and after each pass."""
        ...


def render_passes(f: Compiled, path: str | os.PathLike[str], depth: int | None = None) -> str:
    """Draw what the passes of a compiled program did, into a file (.svg, .png, .pdf, .html or .dot); return its path.

    Each pass that changed the graph has a row with the graph before and after it: side by side, or if they are wide,
    one below the other. Nodes that were removed are orange and have a minus; new nodes are blue and have a plus.
    `depth` opens scopes as in `Graph.render`. If a graph is still large, only the changed nodes and their neighbours
    are drawn.

    Raises:
        RenderError: for a suffix or depth that is not drawn, when nothing here can draw it, or the file cannot be
            written.

    >>> import graphnn as gn
    >>> from tempfile import mkdtemp
    >>> x = gn.Input("x", ("N",))
    >>> f = gn.compile(gn.Log(gn.Exp(x)) * 1)
    >>> path = gn.render_passes(f, f"{mkdtemp()}/passes.svg")
    """
    return render_sheet(passes_sheet(f.stages, depth), path)


def passes_sheet(stages: Sequence[Stage], depth: int | None = None) -> Sheet:
    """The sheet with a row for each stage that changed the graph."""
    parts: list[Part] = []
    headings: list[Heading] = []
    y = float(_MARGIN)
    for before, after in pairwise(stages):
        if before.graph is not after.graph:
            heading, left, right = _row(before.graph, after, depth)
            headings.append(Heading(_MARGIN, y + 12, heading))
            y += _LINE
            beside = left.width + right.width + _APART <= _WIDE
            for words, sheet, x in (
                ("before", left, _MARGIN),
                ("after", right, left.width + _APART if beside else _MARGIN),
            ):
                headings.append(Heading(x, y + 12, words))
                parts += [Part(part.shown, part.layout, x, y + _LINE) for part in sheet.parts]
                y += 0 if beside else sheet.height + _LINE
            y += _APART + (max(left.height, right.height) + _LINE if beside else 0)
    if same := dict.fromkeys(after.name for before, after in pairwise(stages) if before.graph is after.graph):
        headings.append(Heading(_MARGIN, y + 12, f"unchanged by {', '.join(same)}"))
        y += _LINE
    ends = [part.x + part.layout.size[0] for part in parts] + [x + 7.0 * len(text) for x, _, text in headings]
    return Sheet(tuple(parts), tuple(headings), max(ends, default=0.0) + _MARGIN, y + _MARGIN)


def _row(before: Graph, after: Stage, depth: int | None) -> tuple[str, Sheet, Sheet]:
    """The name of a pass, and the graph before and after it."""
    stayed = _stayed(before, after.graph, after.record)
    gone = frozenset(before.nodes).difference(stayed.values())
    new = frozenset(after.graph.nodes).difference(stayed)
    left = _marked(before, gone, GONE, "−", depth)
    right = _marked(after.graph, new, NEW, "+", depth)
    if max(len(left.boxes), len(right.boxes)) > _MANY:
        early, late = gone | _next_to(before, gone), new | _next_to(after.graph, new)
        early |= {old for node, old in stayed.items() if node in late}
        late |= {node for node, old in stayed.items() if old in early}
        left, right = _part(left, early), _part(right, late)
    rules = Counter(fired.rule for fired in after.record.fired)
    by = f", by {', '.join(f'{rule} ({times})' for rule, times in rules.items())}" if rules else ""
    heading = f"{after.name} ({after.numerics}): {len(before.nodes)} -> {len(after.graph.nodes)} nodes{by}"
    return heading, sheet_of(left, "both"), sheet_of(right, "both")


def _stayed(before: Graph, after: Graph, record: Record) -> dict[Node, Node]:
    """The nodes after a pass that were there before it, perhaps over other operands; each with the node before."""
    moved: dict[Node, Node] = {}
    for move in record.moves:
        moved.update(move)
    there = set(after.nodes)
    stayed = {node: node for node in before.nodes if node in there}
    for node in before.nodes:
        new = node
        while new in moved and moved[new] is not new:
            new = moved[new]
        if new in there and new not in stayed and _said(new) == _said(node):
            stayed[new] = node  # where several became one, the others went
    return stayed


def _next_to(graph: Graph, nodes: frozenset[Node]) -> frozenset[Node]:
    """For each node of a graph, the nodes that it reads and those that read it."""
    readers = {node for node in graph.nodes if not nodes.isdisjoint(node.operands)}
    return frozenset(readers.union(*(node.operands for node in nodes)))


def _said(node: Node) -> tuple[object, ...]:
    formula = str(node.body) if isinstance(node, Elementwise) else ""
    return node.op, formula, len(node.operands), *attributes(node)


def _marked(graph: Graph, changed: frozenset[Node], fill: str, sign: str, depth: int | None) -> Picture:
    """The picture of a graph, with the changed nodes in a colour and with a sign."""
    shown = collapse(mirror(graph, keep=changed), depth)
    marked: dict[Box, Box] = {}
    for box in shown.boxes:
        count = len(changed.intersection(box.nodes))
        if not count:
            marked[box] = replace(box, fill=_SAME)
        elif len(box.nodes) == 1:
            marked[box] = replace(box, lines=(f"{sign} {box.lines[0]}", *box.lines[1:]), fill=fill)
        else:
            marked[box] = replace(box, lines=(*box.lines, f"{sign} {count}"), fill=fill)
    return exchange(shown, marked)


def _part(shown: Picture, nodes: frozenset[Node]) -> Picture:
    """A part of a large picture: the boxes of some nodes."""
    boxes = tuple(box for box in shown.boxes if not nodes.isdisjoint(box.nodes))[:_MANY]
    drawn = set(boxes)
    part = f"{len(boxes)} of {len(shown.boxes)} boxes: what changes, and what is next to it."
    return shown._replace(
        boxes=boxes,
        arrows=tuple(arrow for arrow in shown.arrows if arrow.tail in drawn and arrow.head in drawn),
        partners=tuple(pair for pair in shown.partners if drawn.issuperset(pair)),
        remark=f"{shown.remark}  {part}".lstrip(),
    )
