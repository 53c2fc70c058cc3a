"""Bodies in pictures: the body of a loop or branch is drawn in a frame around it, between its operands and results.

The functions here take a picture and return a picture. The nodes of a body do not belong to the graph, so their boxes
stand for no node of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..ir.body import Body, Placeholder
from ..ir.node import Node
from ..ops.scan import Scan
from .label import inline_words, lines, title
from .picture import Arrow, Box, Frame, Picture, exchange
from .text import attributes, line, spec

__all__ = ["with_bodies"]


def with_bodies(shown: Picture, fill: str = "") -> Picture:
    """The picture with the bodies of loops and branches in frames; their nodes have a `fill`, or that of their kind."""
    level = {box: box.nodes[0] for box in shown.boxes if len(box.nodes) == 1 and box.nodes[0].bodies()}
    while level:
        deeper: dict[Box, Node] = {}
        for box, node in level.items():
            shown, inside = _opened(shown, box, node, fill)
            deeper |= {inner: part for inner, part in inside.items() if part.bodies()}
        level = deeper
    return shown


def _opened(shown: Picture, box: Box, node: Node, fill: str) -> tuple[Picture, dict[Box, Node]]:
    """The picture with the bodies of one box around it, and the node of each new box."""
    around = Frame("body", ", ".join([title(node), *attributes(node)]), node.serial)
    framed = replace(box, place=(*box.place, around))
    shown = exchange(shown, {box: framed})
    inside: dict[Box, Node] = {}
    arrows: list[Arrow] = []
    given: dict[Node, list[Box]] = {}
    for name, body in _named(node):
        apart = (Frame("body", name, node.serial),) if len(node.bodies()) > 1 else ()
        boxes = _boxes(replace(framed, place=(*framed.place, *apart), fill=fill), body, _carries(node), len(inside))
        inside |= {inner: part for part, inner in boxes.items()}
        arrows += [Arrow(boxes[op], boxes[part]) for part in boxes for op in part.operands if op in boxes]
        arrows += [
            Arrow(boxes[result], framed, f"next {line(body.own[i].name)}" if i < _carries(node) else "")
            for i, result in enumerate(body.results)
            if result in boxes
        ]
        for operand, placeholder in _fed(node, body):
            if placeholder in boxes:
                given.setdefault(operand, []).append(boxes[placeholder])
    entering = [
        Arrow(tail, head, text)
        for tail, to, text in shown.arrows
        for head in (_entries(tail, given, framed) if to is framed else [to])
    ]
    at = shown.boxes.index(framed)
    boxes_now = (*shown.boxes[:at], *inside, *shown.boxes[at:])
    return shown._replace(boxes=boxes_now, arrows=(*dict.fromkeys(entering), *dict.fromkeys(arrows))), inside


def _named(node: Node) -> list[tuple[str, Body]]:
    """The bodies by the names of their fields."""
    return [(name, held) for name in node.field_names if isinstance(held := getattr(node, name), Body)]


def _carries(node: Node) -> int:
    return len(node.init) if isinstance(node, Scan) else 0


def _fed(node: Node, body: Body) -> Sequence[tuple[Node, Placeholder]]:
    """Operands, each with the placeholder for it or for its slices."""
    captured = node.operands[len(node.operands) - len(body.captured) :]
    given = (*node.init, *node.xs) if isinstance(node, Scan) else ()
    return [*zip(given, body.own, strict=False), *zip(captured, body.captured, strict=True)]


def _boxes(like: Box, body: Body, carries: int, count: int) -> dict[Node, Box]:
    """A box for each node of a body that is no number written in another's box, in the place and fill of `like`."""
    inline = inline_words(body.graph)
    boxes: dict[Node, Box] = {}
    for part in body.graph.nodes:
        if part in inline:
            continue
        text = lines(part, {}, inline)
        kind = like.half
        if isinstance(part, Placeholder):
            kind = "saved"
            carried = part in body.own[:carries]
            text = (line(part.name), spec(part), *(("from turn to turn",) if carried else ()))
        what = f"{part.op} {spec(part)}"
        boxes[part] = replace(
            like, id=f"{like.id}_{count + len(boxes)}", kind=kind, lines=text, output=False, what=what, nodes=()
        )
    return boxes


def _entries(tail: Box, given: Mapping[Node, Sequence[Box]], box: Box) -> Sequence[Box]:
    """Where an arrow into a loop or branch leads: to the box for its value inside, if there is one."""
    return [head for node in tail.nodes for head in given.get(node, ())] or [box]
