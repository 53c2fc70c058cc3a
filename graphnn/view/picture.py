"""Pictures: the boxes of a view of a graph, the frames around them, and the arrows between them.

The forward half flows in one direction, and the backward half below it in the other. Backward nodes are grouped by the
forward node that they differentiate, so the picture shows the chain rule.
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
from .factors import factor, local_words, references
from .label import inline_words, lines, output_names, saved_lines, title
from .text import spec

__all__ = ["Arrow", "Box", "Frame", "Picture", "Place", "exchange", "halves_of", "mirror", "outline", "picture"]

VIEWS = ("forward", "backward", "both")
"""A half of a training step alone, or the mirror: all of it."""


class Frame(NamedTuple):
    """A frame around boxes: a half, a scope, the gradient of one node, a body, or a step of a plan.

    `serial` distinguishes frames of the same name, and `fill` is a colour of its own.
    """

    kind: str
    text: str
    serial: int = -1
    fill: str = ""


Place: TypeAlias = tuple[Frame, ...]
"""The frames around the box, outermost first."""


@dataclass(frozen=True, eq=False)
class Box:
    """A drawn node: its id, its kind, which decides how it looks, its half, its lines of text and its frames.

    `what` is its op and spec without any name, which is the same for layers that repeat. `nodes` are the nodes that it
    stands for: one, or all nodes of a closed scope. `fill` is a colour that replaces that of its kind.
    """

    id: str
    kind: str
    half: str
    lines: tuple[str, ...]
    place: Place
    output: bool
    what: str
    nodes: tuple[Node, ...] = ()
    fill: str = ""


class Arrow(NamedTuple):
    """A value on its way to a user, and text about what it is multiplied by there."""

    tail: Box
    head: Box
    text: str = ""


class Picture(NamedTuple):
    """The boxes and arrows of a view. `partners` pairs forward boxes with the boxes of their gradients.

    `remark` is a line of text below, and `legend` explains the colours.
    """

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    partners: tuple[tuple[Box, Box], ...]
    remark: str
    legend: tuple[tuple[str, str], ...] = ()


def picture(graph: Graph, view: str) -> Picture:
    """The picture of a view: "forward", "backward" or "both". The latter two derive gradients if there are none.

    Raises:
        RenderError: for any other view.
        GraphError: when gradients have to be derived, and there is not one loss, or no trainable parameter.
    """
    if view not in VIEWS:
        raise RenderError(f"there is no view {view!r}: use {', '.join(map(repr, VIEWS))}.")
    whole = graph if view == "forward" else graph.with_gradients()
    return mirror(whole) if view == "both" else _half(whole, view)


def _half(graph: Graph, view: str) -> Picture:
    """One half alone; the backward half with the forward values that it reads."""
    halves, inline, outputs = halves_of(graph), inline_words(graph), output_names(graph)
    drawn = [node for node in graph.nodes if halves[node] == view and node not in inline]
    read = {operand for node in drawn for operand in node.operands if operand not in inline}
    frames = _Frames(graph, {})
    boxes: dict[Node, Box] = {}
    for node in sorted(read.union(drawn), key={node: i for i, node in enumerate(graph.nodes)}.__getitem__):
        name, half = f"n{len(boxes)}", halves[node]
        if half != view:
            boxes[node] = Box(name, "saved", half, saved_lines(node), (), False, _what(node), (node,))
        else:
            place, output = frames.around(node), node in outputs
            text = _within(place, lines(node, outputs, inline))
            boxes[node] = Box(name, _kind(node, half), half, text, place, output, _what(node), (node,))
    arrows = [Arrow(boxes[op], boxes[node]) for node in drawn for op in node.operands if op in boxes]
    return Picture(tuple(boxes.values()), tuple(arrows), (), "")


def mirror(
    graph: Graph,
    halves: Mapping[Node, str] | None = None,
    named: Mapping[Node, str] | None = None,
    heads: Mapping[Node, str] | None = None,
    keep: frozenset[Node] = frozenset(),
) -> Picture:
    """All halves. The halves after the forward one refer to its values by name.

    If they are known already, `halves` is the half of each node, `named` the names that other halves use for forward
    nodes, and `heads` the beginnings of boxes. Nodes in `keep` have boxes even if they could be text.
    """
    halves, inline, outputs = halves or halves_of(graph), inline_words(graph), output_names(graph)
    named = references(graph, halves, inline) if named is None else named
    heads = named if heads is None else heads
    early = {op for node in graph.nodes if halves[node] == "forward" for op in node.operands}
    words = local_words(graph, halves, {**inline, **named}, keep | early)
    frames = _Frames(graph, _served(graph, halves))
    boxes: dict[Node, Box] = {}
    arrows: list[Arrow] = []
    for node in graph.nodes:
        half = halves[node]
        told = inline if half == "forward" else words
        if node in inline or (half != "forward" and node in words):
            continue
        product = factor(node, told) if half == "backward" else None
        place = (Frame("half", half), *frames.around(node))
        text = _within(place, lines(node, outputs, {} if product else told, heads.get(node)))
        name, output = f"n{len(boxes)}", node in outputs
        boxes[node] = Box(name, _kind(node, half), half, text, place, output, _what(node), (node,))
        for operand in node.operands:
            if operand not in told:
                beside = product[1] if product and product[0] is operand else ""
                arrows.append(Arrow(boxes[operand], boxes[node], beside))
    return Picture(tuple(boxes.values()), tuple(arrows), _partners(boxes), "")


def _served(graph: Graph, halves: Mapping[Node, str]) -> dict[Node, tuple[str, ...]]:
    """The scope of each node of an update: that of the parameters that it leads to, if these have one in common.

    The state that an optimiser keeps for a parameter has no scope, and counts as that of the parameter.
    """
    scopes: dict[Node, set[tuple[str, ...]]] = {node: set() for node in graph.nodes if halves[node] == "update"}
    for parameter, node in graph.updates.items():
        if node in scopes and parameter.scope:
            scopes[node].add(parameter.scope)
    for node in reversed(graph.nodes):
        for operand in node.operands if node in scopes else ():
            if operand in scopes:
                scopes[operand] |= scopes[node]
    return {node: next(iter(found)) for node, found in scopes.items() if len(found) == 1}


def _within(place: Place, text: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of a box, its name without the scopes that the frames around it say already: `dlayer1.W =`, `dW =`."""
    scopes = [frame.text for frame in place if frame.kind == "scope"]
    for count in range(len(scopes), 0, -1):
        prefix = ".".join(scopes[:count]) + "."
        for gradient in ("", "d"):
            if text[0].startswith(gradient + prefix):
                return gradient + text[0][len(gradient + prefix) :], *text[1:]
    return text


def _what(node: Node) -> str:
    return f"{node.op} {spec(node)}"


def halves_of(graph: Graph) -> dict[Node, str]:
    """The half of each node: its role. A leaf belongs to the first half that reads it."""
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
    """Each forward box with the gradient that leads on to the nodes before it, or else with the last one."""
    forward = {node.serial: box for node, box in boxes.items() if box.half == "forward"}
    leads_on = {op for node in boxes for op in node.operands if op.adjoint_of != node.adjoint_of}
    chosen: dict[int, Node] = {}
    for node in boxes:
        of = node.adjoint_of
        if of in forward and (of not in chosen or node in leads_on or chosen[of] not in leads_on):
            chosen[of] = node
    return tuple((forward[serial], boxes[node]) for serial, node in chosen.items())


class _Frames:
    """The frames around the nodes of a graph."""

    def __init__(self, graph: Graph, served: Mapping[Node, tuple[str, ...]]) -> None:
        self._served = served
        self._by_serial = {node.serial: node for node in sorted(graph.nodes, key=lambda node: bool(node.operands))}
        self._sharing = Counter(node.serial for node in graph.nodes)

    def around(self, node: Node) -> Place:
        """The scopes of the node. A gradient has a frame for its forward node, inside the scopes that they share."""
        # What a composite became shares its serial: two of one op in one scope are framed apart.
        composite = node.serial if self._sharing[node.serial] > 1 else -1
        names = node.scope or self._served.get(node, ())
        scopes = [Frame("scope", name, composite if name in Node.ops else -1) for name in names]
        partner = None if node.adjoint_of is None else self._by_serial.get(node.adjoint_of)
        if partner is not None:
            shared = sum(
                1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(node.scope, partner.scope, strict=False))
            )
            scopes.insert(shared, Frame("adjoint", f"adjoint of {title(partner)}", partner.serial))
        return tuple(scopes)


def exchange(shown: Picture, new: Mapping[Box, Box]) -> Picture:
    """The picture with some boxes replaced."""
    return shown._replace(
        boxes=tuple(new.get(box, box) for box in shown.boxes),
        arrows=tuple(Arrow(new.get(tail, tail), new.get(head, head), text) for tail, head, text in shown.arrows),
        partners=tuple((new.get(one, one), new.get(other, other)) for one, other in shown.partners),
    )


def outline(boxes: Iterable[Box]) -> Iterator[Box | Frame | None]:
    """The boxes in their frames, as a sequence: a frame opens, and None closes the frame that was opened last."""
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
