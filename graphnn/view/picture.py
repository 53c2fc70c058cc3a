"""Pictures: which nodes a view of a graph shows, in which frames, and what points where.

The forward half flows one way and the backward half the other way beneath it, grouped by the forward nodes it
differentiates: the picture is the chain rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple, TypeAlias

from ..errors import RenderError
from ..ir.graph import Graph
from ..ir.leaf import Constant, Count, Input, Parameter
from ..ir.node import Node
from .label import inline_words, lines, output_names, saved_lines, title

__all__ = ["Arrow", "Box", "Frame", "Picture", "outline", "picture"]

VIEWS = {"forward": ("forward",), "backward": ("backward",), "both": ("forward", "backward", "update")}
"""The halves of a training step that each view shows."""
CROWDED = 150
"""In a picture of more boxes, values saved for another half are left out: they tangle the layout beyond all time."""


class Frame(NamedTuple):
    """What is drawn around boxes: a half, a scope, or the adjoint of one node. `serial` tells namesakes apart."""

    kind: str
    text: str
    serial: int = -1


Place: TypeAlias = tuple[Frame, ...]
"""The frames around a box, outermost first."""


@dataclass(frozen=True, eq=False)
class Box:
    """A node as drawn: its id, the kind that decides its look, the half it stands in, its lines and its frames."""

    id: str
    kind: str
    half: str
    lines: tuple[str, ...]
    place: Place
    output: bool


class Arrow(NamedTuple):
    """A value on its way to a user; `saved` when it leaves the forward half."""

    tail: Box
    head: Box
    saved: bool


class Picture(NamedTuple):
    """What a view shows. `partners` pairs forward boxes with where their adjoints begin."""

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
        raise RenderError(f"there is no view {view!r}: use {', '.join(map(repr, VIEWS))}.")
    boxes = _boxes(graph if view == "forward" else graph.with_gradients(), view)
    arrows = [
        Arrow(boxes[operand], box, view == "both" and box.half != boxes[operand].half == "forward")
        for node, box in boxes.items()
        if box.kind != "saved"
        for operand in node.operands
        if operand in boxes
    ]
    saved = sum(arrow.saved for arrow in arrows)
    if saved and len(boxes) > CROWDED:
        arrows = [arrow for arrow in arrows if not arrow.saved]
        remark = f"{saved} uses of saved forward values are not drawn"
    else:
        remark = ""
    return Picture(tuple(boxes.values()), tuple(arrows), _partners(boxes), remark)


def _boxes(graph: Graph, view: str) -> dict[Node, Box]:
    halves, inline, outputs = _halves(graph), inline_words(graph), output_names(graph)
    drawn = [node for node in graph.nodes if halves[node] in VIEWS[view] and node not in inline]
    read = {operand for node in drawn for operand in node.operands if view == "backward" and operand not in inline}
    frames = _Frames(graph)
    boxes: dict[Node, Box] = {}
    for node in sorted(read.union(drawn), key={node: i for i, node in enumerate(graph.nodes)}.__getitem__):
        name, half = f"n{len(boxes)}", halves[node]
        if half not in VIEWS[view]:
            boxes[node] = Box(name, "saved", half, saved_lines(node), (), False)
            continue
        place = ((Frame("half", half),) if view == "both" else ()) + frames.around(node)
        boxes[node] = Box(name, _kind(node, half), half, lines(node, outputs, inline), place, node in outputs)
    return boxes


def _halves(graph: Graph) -> dict[Node, str]:
    """Where each node stands: its role; a leaf stands with the first half that reads it."""
    halves = dict(graph.roles)
    readers: dict[Node, set[str]] = {node: {"forward"} for node in graph.outputs.values()}
    for node in graph.nodes:
        for operand in node.operands:
            readers.setdefault(operand, set()).add(halves[node])
    for node in graph.nodes:
        if not node.operands:
            halves[node] = next(
                half for half in ("forward", "backward", "update") if half in readers[node] | {"update"}
            )
    return halves


def _kind(node: Node, half: str) -> str:
    match node:
        case Input():
            return "input"
        case Parameter():
            return "parameter"
        case Constant() | Count():
            return "constant"
    return half


def _partners(boxes: Mapping[Node, Box]) -> tuple[tuple[Box, Box], ...]:
    forward = {node.serial: box for node, box in boxes.items() if box.half == "forward"}
    begins: dict[int, Box] = {}
    for node, box in boxes.items():
        if node.adjoint_of is not None and node.adjoint_of in forward:
            begins.setdefault(node.adjoint_of, box)
    return tuple((forward[serial], box) for serial, box in begins.items())


class _Frames:
    """The frames around the nodes of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._by_serial = {node.serial: node for node in graph.nodes}
        self._sharing = Counter(node.serial for node in graph.nodes)
        self._adjoints = Counter(node.adjoint_of for node in graph.nodes)

    def around(self, node: Node) -> Place:
        """The scopes of the node; an adjoint is framed as that of its forward node, within the scopes they share."""
        # What a composite became shares its serial: two of one op in one scope are framed apart.
        composite = node.serial if self._sharing[node.serial] > 1 else -1
        scopes = [Frame("scope", name, composite if name in Node.ops else -1) for name in node.scope]
        partner = None if node.adjoint_of is None else self._by_serial.get(node.adjoint_of)
        if partner is not None and self._adjoints[node.adjoint_of] > 1:
            shared = sum(
                1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(node.scope, partner.scope, strict=False))
            )
            scopes.insert(shared, Frame("adjoint", f"adjoint of {title(partner)}", partner.serial))
        return tuple(scopes)


def outline(boxes: Iterable[Box]) -> Iterator[Box | Frame | None]:
    """The boxes inside their frames, as in a text: a frame opens, None closes the last one opened."""
    inside: dict[Place, list[Box | Place]] = {(): []}
    for box in boxes:
        for depth, _ in enumerate(box.place):
            if (inner := box.place[: depth + 1]) not in inside:
                inside[inner] = []
                inside[inner[:-1]].append(inner)
        inside[box.place].append(box)
    open_frames = [iter(inside[()])]
    while open_frames:
        item = next(open_frames[-1], None)
        if item is None:
            open_frames.pop()
            if open_frames:
                yield None
        elif isinstance(item, Box):
            yield item
        else:
            yield item[-1]
            open_frames.append(iter(inside[item]))
