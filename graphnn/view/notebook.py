"""What a notebook shows: text always, and a picture as SVG and as PNG, since notebooks hide SVG that they do not trust.

A cell is never lost to its picture: nothing here raises or prints, and where drawing fails the text says why.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from io import BytesIO

from ..errors import RenderError
from ..ir.graph import Graph
from . import plot
from .dot import to_dot
from .render import draw, mimebundle

__all__ = ["Bundle", "show_graph", "show_history"]

Bundle = dict[str, str]
"""Representations by media type: text as it is, bytes in base 64."""

_INCHES = 30


def show_graph(graph: Graph, said: str | None = None) -> Bundle:
    """A graph's forward picture, beside its listing or what is to be said in place of that.

    >>> import graphnn as gn
    >>> show_graph(gn.Graph(gn.Sum(gn.Input("x", ("N",)))), "a sum")["text/plain"]
    'a sum'
    """
    return _bundle(str(graph) if said is None else said, lambda: _pictures(graph))


def show_history(history: plot.Recorded, said: str) -> Bundle:
    """The loss curves of a history, beside its table; of one without losses the table alone."""
    return _bundle(said, lambda: _curves(history) if "loss" in history.columns else {})


def _bundle(said: str, pictures: Callable[[], Bundle]) -> Bundle:
    try:
        return {"text/plain": said} | pictures()
    except Exception as error:  # whatever it is: the cell shows the text, and what went wrong
        return {"text/plain": f"{said}\n(no picture: {type(error).__name__}: {error})"}


def _pictures(graph: Graph) -> Bundle:
    svg = mimebundle(graph).get("image/svg+xml")
    if svg is None:  # a large graph is drawn when it is asked for
        return {}
    drawn = {"image/svg+xml": _fitted(svg)}
    try:
        return drawn | {"image/png": _coded(draw(_bounded(to_dot(graph, "forward")), "png"))}
    except RenderError:  # only Graphviz paints PNG; the SVG needs nothing
        return drawn


def _curves(history: plot.Recorded) -> Bundle:
    figure = plot.loss(history)
    assert not isinstance(figure, str)  # no path was given
    svg, png = BytesIO(), BytesIO()
    figure.savefig(svg, format="svg")
    figure.savefig(png, format="png", dpi=100)
    return {"image/svg+xml": _fitted(svg.getvalue().decode()), "image/png": _coded(png.getvalue())}


def _bounded(dot: str) -> str:
    """A picture that is shrunk to so many inches: pixels beyond what a cell shows cost seconds to paint."""
    return dot.replace("{", f'{{\n\tsize="{_INCHES},{_INCHES}"', 1)


def _fitted(svg: str) -> str:
    """The SVG element alone, no wider than the cell."""
    return svg[svg.index("<svg") :].replace("<svg", '<svg style="max-width:100%;height:auto"', 1)


def _coded(png: bytes) -> str:
    return b64encode(png).decode()
