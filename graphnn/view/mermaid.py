"""Graphs as Mermaid text, which many Markdown viewers draw."""

from __future__ import annotations

from collections.abc import Iterable

from ..ir.graph import Graph
from .bodies import with_bodies
from .collapse import collapse
from .picture import picture

__all__ = ["to_mermaid"]

_CLASSES = {
    "input": "fill:#FFFFFF,stroke:#444444",
    "parameter": "fill:#FFE08A,stroke:#444444,stroke-width:2px",
    "constant": "fill:#EEEEEE,stroke:#444444",
    "forward": "fill:#BFDDF2,stroke:#444444",
    "backward": "fill:#F7CDB5,stroke:#444444,stroke-dasharray:4",
    "update": "fill:#C9E7CF,stroke:#444444",
    "saved": "fill:#FFFFFF,stroke:#888888,stroke-dasharray:2",
}


def to_mermaid(graph: Graph, view: str = "forward", depth: int | None = None) -> str:
    """The picture of a graph as a Mermaid flowchart, `depth` scopes deep: the same bytes every time.

    Raises:
        RenderError: when there is no such view or depth.
    """
    shown = collapse(with_bodies(picture(graph, view)), depth)
    lines = ["flowchart LR", *([f"  %% {shown.remark}"] if shown.remark else [])]
    lines += [f'  {box.id}["{_label(box.lines)}"]:::{box.kind}' for box in shown.boxes]
    lines += [f"  {arrow.tail.id} -->{_said(arrow.text)} {arrow.head.id}" for arrow in shown.arrows]
    used = {box.kind for box in shown.boxes}
    lines += [f"  classDef {kind} {style}" for kind, style in _CLASSES.items() if kind in used]
    return "\n".join(lines) + "\n"


def _said(text: str) -> str:
    return f'|"{_label([text])}"|' if text else ""


def _label(lines: Iterable[str]) -> str:
    """Text that can neither end the label nor become markup: all but plain characters as character codes."""
    return "<br/>".join("".join(c if c.isalnum() or c in " .,_()=%" else f"#{ord(c)};" for c in line) for line in lines)
