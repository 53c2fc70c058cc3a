"""Graphs as DOT, Graphviz's language. Ids are ours; the user's text stands in labels only, escaped."""

from __future__ import annotations

from collections.abc import Iterable

import graphviz

from ..ir.graph import Graph
from .picture import Box, Picture, picture_of

__all__ = ["to_dot"]

# Light fills that stay apart in grey, and a shape for each role so that no colour is needed.
_STYLE: dict[str, dict[str, str]] = {
    "input": {"shape": "ellipse", "fillcolor": "#FFFFFF"},
    "parameter": {"shape": "box", "style": "filled,bold", "fillcolor": "#FFE08A"},
    "constant": {"shape": "plaintext", "fillcolor": "#EEEEEE"},
    "forward": {"shape": "box", "style": "filled,rounded", "fillcolor": "#BFDDF2"},
    "backward": {"shape": "box", "style": "filled,rounded,dashed", "fillcolor": "#F7CDB5"},
    "update": {"shape": "hexagon", "fillcolor": "#C9E7CF"},
}
_SAVED = {"shape": "note", "style": "filled", "fillcolor": "#E4EFF8", "fontsize": "9"}
_LEGEND = {"input": "input", "parameter": "parameter", "forward": "forward", "backward": "backward", "update": "update"}


def to_dot(graph: Graph, view: str) -> str:
    """The picture of a graph as DOT: the same bytes every time.

    Raises:
        RenderError: when there is no such view.
    """
    picture = picture_of(graph, view)
    dot = graphviz.Digraph("graphnn")
    dot.attr(rankdir="TB", fontname="Helvetica", nodesep="0.25", ranksep="0.35", compound="true")
    dot.attr("node", fontname="Helvetica", fontsize="10", style="filled", margin="0.12,0.05", height="0.3")
    dot.attr("edge", color="#444444", arrowsize="0.7")
    if view == "both":
        _half(dot, "forward", picture.half("input", "parameter", "constant", "forward"))
        _half(dot, "backward", picture.half("backward"))
        _boxes(dot, picture.half("update"))
    else:
        _boxes(dot, picture.boxes)
    _edges(dot, picture)
    _legend(dot, {box.role for box in picture.boxes})
    return str(dot.source)


def _half(dot: graphviz.Digraph, name: str, boxes: list[Box]) -> None:
    with dot.subgraph(name=f"cluster_{name}") as half:
        half.attr(label=name, color="#999999", style="rounded", labeljust="l", fontsize="12")
        _boxes(half, boxes, prefix=name)


def _boxes(dot: graphviz.Digraph, boxes: Iterable[Box], prefix: str = "") -> None:
    """Boxes inside clusters by scope."""
    grouped: dict[tuple[str, ...], list[Box]] = {}
    for box in boxes:
        grouped.setdefault(box.scope, []).append(box)
    _scope(dot, (), grouped, prefix)


def _scope(dot: graphviz.Digraph, scope: tuple[str, ...], grouped: dict[tuple[str, ...], list[Box]], prefix: str) -> None:
    for box in grouped.get(scope, ()):
        style = {**_STYLE[box.role], **(_SAVED if box.saved else {})}
        dot.node(box.id, label=_label(box.lines), **style)
    depth = len(scope)
    inner = dict.fromkeys(path[: depth + 1] for path in grouped if len(path) > depth and path[:depth] == scope)
    for number, path in enumerate(inner):
        name = f"{prefix}_{number}"
        with dot.subgraph(name=f"cluster_{name}") as cluster:
            cluster.attr(label=_label([path[-1]]), color="#BBBBBB", style="rounded,dotted", fontsize="10")
            _scope(cluster, path, grouped, name)


def _label(lines: Iterable[str]) -> str:
    """Text that Graphviz takes literally: no markup, no escapes of its own."""
    return "\\n".join(graphviz.escape("".join(c if c.isprintable() else " " for c in line)) for line in lines) or " "


def _edges(dot: graphviz.Digraph, picture: Picture) -> None:
    for edge in picture.edges:
        if edge.saved:
            dot.edge(edge.tail, edge.head, style="dashed", color="#8899AA", constraint="false", arrowsize="0.5")
        else:
            dot.edge(edge.tail, edge.head)


def _legend(dot: graphviz.Digraph, roles: set[str]) -> None:
    shown = [role for role in _LEGEND if role in roles]
    with dot.subgraph(name="cluster_legend") as legend:
        legend.attr(label="", color="#DDDDDD", rank="same")
        for role in shown:
            legend.node(f"legend_{role}", label=_LEGEND[role], **{**_STYLE[role], "fontsize": "8", "height": "0.2"})
        for one, next_one in zip(shown, shown[1:], strict=False):
            legend.edge(f"legend_{one}", f"legend_{next_one}", style="invis")
