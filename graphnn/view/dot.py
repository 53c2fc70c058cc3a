"""Graphs in DOT, the language of Graphviz.

Ids are generated. Text of the user is only in labels, and escaped, so no name can become a port, markup or a link.
"""

from __future__ import annotations

from collections.abc import Sequence

import graphviz

from ..ir.graph import Graph
from .bodies import with_bodies
from .collapse import collapse
from .picture import Arrow, Box, Frame, Picture, outline, picture

__all__ = ["FRAMES", "INK", "NODE", "label", "look", "picture_to_dot", "to_dot"]

INK = "#333333"
_MANY = 200
"""For more boxes, Graphviz is told to save time: straight arrows, and fewer attempts to avoid crossings."""
LOOKS = {
    "input": {"shape": "ellipse", "fillcolor": "#cfe8f7"},
    "parameter": {"shape": "cylinder", "labelloc": "b", "fillcolor": "#fbe7a1"},
    "constant": {"shape": "note", "fillcolor": "#eeeeee"},
    "forward": {"style": "filled,rounded", "fillcolor": "#ffffff"},
    "backward": {"shape": "octagon", "fillcolor": "#f6c9a8"},
    "update": {"shape": "parallelogram", "fillcolor": "#b9a3d6"},
    "saved": {"style": "filled,dashed", "fillcolor": "#ffffff", "color": "#888888", "fontsize": "9"},
}
"""Told apart by shape, and by fills after the palette of Okabe and Ito: without colours, and to the colour-blind."""
NODE = {
    "shape": "box", "style": "filled", "color": INK, "fontname": "Helvetica", "fontsize": "11",
    "margin": "0.12,0.06", "height": "0.3", "width": "0.3",
}  # fmt: skip
FRAMES = {
    "half": {"style": "rounded", "color": "#bbbbbb", "fontsize": "13"},
    "scope": {"style": "rounded,filled", "color": "#cccccc", "fillcolor": "#f6f6f6"},
    "adjoint": {"style": "dashed,rounded", "color": "#aaaaaa"},
    "body": {"style": "rounded", "color": INK},
    "step": {"style": "rounded,filled", "color": INK},
}


def to_dot(graph: Graph, view: str = "forward", depth: int | None = None) -> str:
    """The picture of a graph in DOT. `view` is "forward", "backward" or "both"; `depth` levels of scopes are open.

    Raises:
        RenderError: for another view or depth.
    """
    return picture_to_dot(collapse(with_bodies(picture(graph, view)), depth), view)


def picture_to_dot(shown: Picture, view: str) -> str:
    """A picture of a view in DOT."""
    dot = graphviz.Digraph("graph", node_attr=NODE)
    dot.attr(rankdir="RL" if view == "backward" else "LR", newrank="true", ranksep="0.35", nodesep="0.2")
    dot.attr(fontname="Helvetica", fontsize="11", fontcolor=INK)
    if len(shown.boxes) > _MANY:
        dot.attr(splines="line", nslimit="1", nslimit1="1", mclimit="0.2")
    if shown.remark:
        dot.attr(label=label([shown.remark]), labeljust="l")
    dot.attr("edge", color=INK, arrowsize="0.6", fontname="Helvetica", fontsize="10", fontcolor=INK)
    # Graphviz stacks what comes first beneath: of the halves the forward one is to be on top.
    _boxes(dot, sorted(shown.boxes, key=lambda box: box.half == "forward") if view == "both" else shown.boxes)
    for forward, backward in shown.partners:  # in one column, the gradient beneath
        with dot.subgraph(graph_attr={"rank": "same"}) as column:
            column.edge(forward.id, backward.id, style="invis")
    for arrow in shown.arrows:
        _edge(dot, arrow, mirrored=view == "both")
    return str(dot.source)


def _boxes(dot: graphviz.Digraph, boxes: Sequence[Box]) -> None:
    open_frames, count = [dot], 0
    for item in outline(boxes):
        if item is None:
            inner = open_frames.pop()
            open_frames[-1].subgraph(inner)
        elif isinstance(item, Frame):
            inner = graphviz.Digraph(f"cluster{count}")
            fill = {"fillcolor": item.fill} if item.fill else {}
            inner.attr(label=label([item.text]), labeljust="l", **FRAMES[item.kind] | fill)
            open_frames.append(inner)
            count += 1
        else:
            open_frames[-1].node(item.id, label(item.lines), **look(item))


def _edge(dot: graphviz.Digraph, arrow: Arrow, mirrored: bool) -> None:
    tail, head = arrow.tail.id, arrow.head.id
    said = {"label": label([arrow.text])} if arrow.text else {}
    if mirrored and arrow.head.half == arrow.tail.half != "forward":
        # laid out against the flow, so that the backward half runs from right to left
        dot.edge(head, tail, dir="back", **said)
    else:
        dot.edge(tail, head, **said)


def look(box: Box) -> dict[str, str]:
    """The attributes of a box: those of its kind, its own colour, and a bold line around outputs."""
    own = {"fillcolor": box.fill} if box.fill else {}
    return LOOKS[box.kind] | own | ({"penwidth": "2"} if box.output else {})


def label(lines: Sequence[str]) -> str:
    """Lines of text as a label in DOT, in which nothing is markup."""
    # Graphviz reads entities in labels, so the ampersand is one.
    return str(graphviz.nohtml("\\n".join(graphviz.escape(line.replace("&", "&amp;")) for line in lines)))
