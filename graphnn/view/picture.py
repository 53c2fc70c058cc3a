"""Pictures: which nodes a view of a graph shows, what stands in their boxes, and what points where.

The forward half flows one way and the backward half the other way beneath it, grouped by the forward nodes it
differentiates: the picture is the chain rule. Scalar constants and counts stand inside the boxes of their users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from ..errors import RenderError
from ..ir.formula import Apply, Literal
from ..ir.graph import Graph
from ..ir.leaf import Constant, Count, Input, Parameter
from ..ir.node import Node
from ..ops.composite import Composite
from ..ops.elementwise import Elementwise
from . import text

__all__ = ["Arrow", "Box", "Picture", "VIEWS", "picture"]

VIEWS = {"forward": ("forward",), "backward": ("backward",), "both": ("forward", "backward", "update")}
"""The halves of a training step that each view shows."""
CROWDED = 150
"""In a picture of more boxes than this, values saved for the backward half are not drawn: they tangle the layout."""
_LONGEST = 44
"""A longer line in a box is cut."""

Place: TypeAlias = tuple[tuple[str, int], ...]
"""The frames around a box, outermost first: what each is called, and what tells it from others of that name."""


@dataclass(frozen=True, eq=False)
class Box:
    """A node as drawn: its id, its kind (which decides the look), the half it stands in, its lines, its frames."""

    id: str
    kind: str
    half: str
    lines: tuple[str, ...]
    place: Place
    output: bool


class Arrow(NamedTuple):
    """A value on its way to a user; `saved` when it leaves its half for another one."""

    tail: Box
    head: Box
    saved: bool


class Picture(NamedTuple):
    """The boxes in order, the arrows between them, each backward group beside its forward box, and a remark."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    partners: tuple[tuple[Box, Box], ...]
    remark: str


def picture(graph: Graph, view: str) -> Picture:
    """The picture of a view: "forward", "backward" or "both"; the latter two derive gradients where there are none.

    Raises:
        RenderError: for any other view.
        GraphError: when gradients are to be derived, and there is no one loss or no trainable parameter.
    """
    if view not in VIEWS:
        raise RenderError(f"view {view!r} is none of {', '.join(map(repr, VIEWS))}.")
    if view != "forward":
        graph = graph.with_gradients()
    halves = _halves(graph)
    inline = {node: _in_words(node) for node in graph.nodes if _fits_inside(node, graph)}
    shown = [node for node in graph.nodes if halves[node] in VIEWS[view] and node not in inline]
    if view == "backward":
        drawn = set(shown)
        read = {operand for node in shown for operand in node.operands if operand not in inline}
        shown = [node for node in graph.nodes if node in drawn or node in read]
    labels = _output_labels(graph)
    places = _places(graph)
    boxes: dict[Node, Box] = {}
    for i, node in enumerate(shown):
        saved = halves[node] not in VIEWS[view]
        kind = "saved" if saved else _kind(node, graph)
        lines = _saved_lines(node) if saved else _lines(node, labels.get(node, ""), inline)
        place = () if saved else places[node]
        boxes[node] = Box(f"n{i}", kind, halves[node], lines, place, node in labels)
    arrows = tuple(_arrows(boxes, view))
    crowded = view == "both" and len(boxes) > CROWDED
    hidden = sum(arrow.saved for arrow in arrows) if crowded else 0
    return Picture(
        tuple(boxes.values()),
        tuple(arrow for arrow in arrows if not (hidden and arrow.saved)),
        _partners(boxes),
        f"{hidden} saved values are not drawn" if hidden else "",
    )


def _halves(graph: Graph) -> dict[Node, str]:
    """Where each node stands: its role; a leaf stands with the first half that reads it."""
    halves = dict(graph.roles)
    users: dict[Node, set[str]] = {node: set() for node in graph.outputs.values()}
    for node in graph.nodes:
        for operand in node.operands:
            users.setdefault(operand, set()).add(halves[node])
    for node in graph.nodes:
        if not node.operands and node not in graph.outputs.values():
            halves[node] = next((half for half in VIEWS["both"] if half in users.get(node, ())), "update")
    return halves


def _arrows(boxes: Mapping[Node, Box], view: str) -> list[Arrow]:
    return [
        Arrow(boxes[operand], box, view == "both" and "forward" == boxes[operand].half != box.half)
        for node, box in boxes.items()
        if box.kind != "saved"
        for operand in dict.fromkeys(node.operands)
        if operand in boxes
    ]


def _partners(boxes: Mapping[Node, Box]) -> tuple[tuple[Box, Box], ...]:
    """Each forward box with the first backward box of its adjoint."""
    forward = {node.serial: box for node, box in boxes.items() if box.half == "forward" and box.kind != "saved"}
    first: dict[int, Box] = {}
    for node, box in boxes.items():
        if node.adjoint_of in forward:
            first.setdefault(node.adjoint_of, box)
    return tuple((forward[serial], box) for serial, box in first.items())
