"""What a notebook shows: always text, and a picture as SVG and as PNG, since notebooks hide SVG that is not trusted.

A picture that fails must not spoil a cell: nothing here raises or prints, and the text says why there is no picture.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

from ..errors import RenderError
from ..ir.graph import Graph
from . import plot
from .bodies import with_bodies
from .collapse import collapse
from .picture import picture
from .render import paint

__all__ = ["Bundle", "show_graph", "show_history"]

Bundle = dict[str, str]
"""Representations by media type: text as it is, bytes in base 64."""

_SHOWN = 200
"""Larger pictures are drawn when they are asked for."""
_INCHES = 30
"""Pixels beyond what a cell shows cost seconds to paint."""


def show_graph(graph: Graph, said: str | None = None, view: str = "forward") -> Bundle:
    """A view of a graph, beside its listing or what is to be said in place of that.

    >>> import graphnn as gn
    >>> show_graph(gn.Graph(gn.Sum(gn.Input("x", ("N",)))), "a sum")["text/plain"]
    'a sum'
    """
    return _bundle(str(graph) if said is None else said, lambda: _pictures(graph, view))


def show_history(history: plot.Recorded, said: str) -> Bundle:
    """The loss curves of a history, if it has losses, and its table."""
    return _bundle(said, lambda: _curves(history) if "loss" in history.columns else {})


def _bundle(said: str, pictures: Callable[[], Bundle]) -> Bundle:
    try:
        return {"text/plain": said} | pictures()
    except Exception as error:  # whatever it is: the cell shows the text, and what went wrong
        return {"text/plain": f"{said}\n(no picture: {type(error).__name__}: {error})"}


def _pictures(graph: Graph, view: str) -> Bundle:
    shown = collapse(with_bodies(picture(graph, view)), None)
    if len(shown.boxes) > _SHOWN:
        return {}
    drawn = {"image/svg+xml": _fitted(paint(shown, view, "svg").decode())}
    try:
        return drawn | {"image/png": _coded(paint(shown, view, "png", _INCHES))}
    except RenderError:  # only Graphviz paints PNG; the SVG needs nothing
        return drawn


def _curves(history: plot.Recorded) -> Bundle:
    shown = plot.loss(history)._repr_mimebundle_()  # type: ignore[union-attr]  # a figure, since no path is given
    return {"image/svg+xml": _fitted(shown["image/svg+xml"]), "image/png": shown["image/png"]}


def _fitted(svg: str) -> str:
    """The SVG element alone, no wider than the cell."""
    return svg[svg.index("<svg") :].replace("<svg", '<svg style="max-width:100%;height:auto"', 1)


def _coded(png: bytes) -> str:
    return b64encode(png).decode()
