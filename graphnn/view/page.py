"""Pages: the mirror as one file that needs no network, to pan, zoom and search, and to step through a run.

Everything is inside: the picture as SVG, the story of the run as JSON, and the scripts in `assets`. The browser is told
to load nothing and to run these scripts alone, by their hashes; nothing of a user's graph is ever markup.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from ..ir.graph import Graph
from .chain import chain
from .collapse import collapse
from .picture import picture
from .steps import Observer, tell
from .svg import to_svg

__all__ = ["to_page"]

_MANY = 2000
"""Up to so many boxes are drawn as they are when no depth is asked for: a page can be searched and zoomed."""
_SCRIPTS = ("camera.js", "values.js", "panel.js", "search.js", "steps.js")
_IN_SCRIPT = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
"""So that JSON inside a script element cannot end it; all three only stand in its texts."""


def to_page(
    graph: Graph, title: str, view: str | None, depth: int | None = None, observer: Observer | None = None
) -> str:
    """The page of a graph; by default with both halves, where there is a loss to differentiate.

    `observer` gives the values that are shown at each step; without it the page shows the structure and the order.

    Raises:
        RenderError, GraphError, ShapeError: as `picture` and `collapse`; and whatever observing raises.
    """
    whole = chain(graph)
    view = view or ("both" if whole.mirrored else "forward")
    shown = picture(whole.graph, view)
    if depth is not None or len(shown.boxes) > _MANY:
        shown = collapse(shown, depth)
    svg = to_svg(shown, view)
    return _fill(title, svg[svg.index("<svg") :], tell(shown, whole, observer))


def _fill(title: str, svg: str, told: Mapping[str, Any]) -> str:
    style = _asset("page.css")
    script = "\n".join(map(_asset, _SCRIPTS))
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    return Template(_asset("page.html")).substitute(
        title=escape(title),
        policy=policy,
        style=style,
        script=script,
        picture=svg.replace("<svg", '<svg id="picture" role="group" aria-label="The graph"', 1),
        told=json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_IN_SCRIPT),
    )


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a content security policy names the one text that may run."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
