"""What a picture shows: the nodes, edges and groups of a view, whoever draws them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..errors import RenderError
from ..ir.graph import Graph
from ..ir.leaf import Constant, Count, Input, Parameter
from ..ir.node import Node
from ..ir.spec import Spec
from .listing import Names, show_call, show_spec

__all__ = ["Box", "Edge", "Picture", "picture_of"]

Role = Literal["input", "parameter", "constant", "forward", "backward", "update"]
VIEWS = ("forward", "backward", "both")
_MANY = 150
"""Above so many nodes the edges of saved values are left out: laying them out takes longer than anyone waits."""


@dataclass(frozen=True)
class Box:
    """A node as drawn: an id of our own making, its role, and lines of text."""

    id: str
    role: Role
    lines: tuple[str, ...]
    scope: tuple[str, ...]
    saved: bool = False
    """Is it a forward value that only the backward half reads here?"""


@dataclass(frozen=True)
class Edge:
    """From an operand to its user; `saved` when a backward node reads a forward value."""

    tail: str
    head: str
    saved: bool = False


@dataclass
class Picture:
    """Boxes by half, and the edges between them."""

    boxes: list[Box] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)

    def half(self, *roles: Role) -> list[Box]:
        """The boxes of these roles."""
        return [box for box in self.boxes if box.role in roles]


def picture_of(graph: Graph, view: str) -> Picture:
    """What `view` shows of a graph: "forward", "backward" or "both".

    Raises:
        RenderError: for another view.
    """
    if view not in VIEWS:
        raise RenderError(f"there is no view {view!r}: choose one of {', '.join(map(repr, VIEWS))}.")
    whole = graph if view == "forward" else graph.with_gradients()
    shown = [node for node in whole.nodes if _drawn(node) and _in_view(whole.roles[node], view)]
    if view == "backward":  # with the forward values that it reads
        read = {operand for node in shown for operand in node.operands if _drawn(operand)}
        mine = set(shown)
        shown = [node for node in whole.nodes if node in mine or node in read]
    names = Names(whole.nodes)
    ids = {node: f"n{i}" for i, node in enumerate(shown)}
    picture = Picture()
    for node in shown:
        saved = view == "backward" and whole.roles[node] == "forward"
        picture.boxes.append(Box(ids[node], _role(node, whole), _text(node, names, saved), node.scope, saved))
    with_saved = len(shown) <= _MANY
    for node in shown:
        for operand in dict.fromkeys(node.operands):
            if operand in ids and not (view == "backward" and whole.roles[node] == "forward"):
                saved = whole.roles[operand] == "forward" and whole.roles[node] != "forward"
                if with_saved or not saved:
                    picture.edges.append(Edge(ids[operand], ids[node], saved))
    return picture


def _drawn(node: Node) -> bool:
    """Scalar constants stand inside the node that uses them."""
    return not (isinstance(node, Count) or (isinstance(node, Constant) and not node.shape))


def _in_view(role: str, view: str) -> bool:
    return view == "both" or role == view


def _role(node: Node, graph: Graph) -> Role:
    match node:
        case Input():
            return "input"
        case Parameter():
            return "parameter"
        case Constant():
            return "constant"
    return graph.roles[node]  # type: ignore[return-value]


def _text(node: Node, names: Names, saved: bool) -> tuple[str, ...]:
    if isinstance(node, (Input, Parameter)):
        return (node.name, show_spec(node))
    if saved or isinstance(node, Constant):
        return (f"{names[node]} {node.op}", show_spec(node))
    inline = [names[op] for op in node.operands if not _drawn(op)]
    attributes = show_call(node, names).partition("(")[2].rpartition(")")[0].split(", ")[len(node.operands) :]
    detail = ", ".join([*inline, *attributes])
    spec = show_spec(node) if isinstance(node.spec, Spec) else f"{len(node.spec)} x {node.spec[0]}"
    return tuple(line for line in (f"{names[node]} {node.op}", detail, spec) if line)
