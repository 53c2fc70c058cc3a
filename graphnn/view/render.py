"""Rendering: draw a picture into a file, with what is installed, within a time limit, completely or not at all.

The first choice is the `dot` of the system; the second is the Graphviz inside pygraphviz, in a process of its own. If
there is neither, graphnn draws SVG itself. Pages and pictures of both halves are always drawn by graphnn.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import RenderError
from ..ir.graph import Graph
from .bodies import with_bodies
from .collapse import collapse
from .dot import picture_to_dot
from .page import to_page
from .picture import Picture, picture
from .pinned import sheet_to_dot
from .sheet import Sheet, sheet_of
from .steps import Observer
from .svg import sheet_to_svg

__all__ = ["paint", "render", "render_picture", "render_sheet", "renderers"]

_SUFFIXES = (".svg", ".png", ".pdf", ".html", ".dot")
_SECONDS = 20
_LAID_OUT = 200
"""More boxes than this are not laid out by Graphviz: its layout takes more than linear time."""

_MENDS = "Install Graphviz so that `dot` is on the PATH, or run: pip install 'graphnn[render]'"

# In a process of its own: a crash in C code must not take a training run with it.
_CHILD = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog=sys.argv[2], args=" ".join(sys.argv[3:])))
"""


def render(
    graph: Graph,
    path: str | os.PathLike[str],
    view: str | None = None,
    depth: int | None = None,
    observer: Observer | None = None,
) -> str:
    """Draw a view of a graph into a file, with `depth` levels of scopes open, and return its path.

    Without a view, a page shows both halves if there is a loss, and a picture shows the forward half.

    Raises:
        RenderError: for a suffix, view or depth that is not drawn, when nothing here can draw it, or the file cannot
            be written; and for an observer of anything but a page.
    """
    suffix = suffix_of(path)
    if suffix == ".html":
        return write(path, to_page(graph, Path(path).stem, view, depth, observer).encode())
    if observer is not None:
        raise RenderError(f"cannot show values in {Path(path).name!r}: only a page, .html, steps through a run.")
    view = view or "forward"
    return render_picture(collapse(with_bodies(picture(graph, view)), depth), view, path)


def render_picture(shown: Picture, view: str, path: str | os.PathLike[str]) -> str:
    """Draw a picture of a view into a file, and return its path.

    Raises:
        RenderError: as for `render`.
    """
    suffix = suffix_of(path)
    if suffix == ".dot":
        data = picture_to_dot(shown, view).encode()
    elif suffix == ".html":
        data = _page(sheet_to_svg(sheet_of(shown, view)), Path(path).stem).encode()
    else:
        data = paint(shown, view, suffix[1:])
    return write(path, data)


def render_sheet(sheet: Sheet, path: str | os.PathLike[str]) -> str:
    """Draw a sheet into a file, and return its path.

    Raises:
        RenderError: as for `render`.
    """
    suffix = suffix_of(path)
    if suffix == ".dot":
        data = sheet_to_dot(sheet).encode()
    elif suffix == ".svg":
        data = sheet_to_svg(sheet).encode()
    elif suffix == ".html":
        data = _page(sheet_to_svg(sheet), Path(path).stem).encode()
    else:
        data = draw(sheet_to_dot(sheet), suffix[1:], pinned=True)
    return write(path, data)


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The suffix of a path, which decides what is drawn.

    Raises:
        RenderError: for one that is not drawn.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise RenderError(f"cannot draw {Path(path).name!r}: the suffix is one of {', '.join(_SUFFIXES)}.")
    return suffix


def _leave_to_graphviz(shown: Picture, view: str) -> bool:
    """Is the layout left to Graphviz? It is good for one half; for both, graphnn knows which nodes face each other."""
    return view != "both" and len(shown.boxes) <= _LAID_OUT


def paint(shown: Picture, view: str, kind: str, inches: int | None = None) -> bytes:
    """A picture as svg, png or pdf: by Graphviz where the layout is left to it, or only it paints; else by graphnn.

    What Graphviz paints is shrunk to `inches`, wide and high.

    Raises:
        RenderError: when only Graphviz could, and is not there, or gives up.
    """
    laid_out = _leave_to_graphviz(shown, view)
    if kind == "svg" and not laid_out:
        return sheet_to_svg(sheet_of(shown, view)).encode()
    if not laid_out:
        sheet = sheet_of(shown, view)
        return draw(sheet_to_dot(sheet) if inches is None else sheet_to_dot(sheet, inches), kind, pinned=True)
    dot = picture_to_dot(shown, view)
    try:
        return draw(dot if inches is None else dot.replace("{", f'{{\n\tsize="{inches},{inches}"', 1), kind)
    except RenderError:
        if kind == "svg":
            return sheet_to_svg(sheet_of(shown, view)).encode()
        raise


def draw(dot: str, kind: str, pinned: bool = False) -> bytes:
    """DOT as svg, png or pdf: by the system's `dot`, else by pygraphviz; `pinned` where it tells every place itself.

    Raises:
        RenderError: when neither is there, or it fails or takes too long.
    """
    program = shutil.which("dot")
    if program:
        return _run([program, *(["-Kneato", "-n2"] if pinned else []), f"-T{kind}"], dot, "dot")
    try:
        return _run([sys.executable, "-c", _CHILD, kind, *(["neato", "-n2"] if pinned else ["dot"])], dot, "pygraphviz")
    except RenderError as error:
        if "No module named 'pygraphviz'" in str(error):
            raise RenderError(
                f"nothing here can draw {kind.upper()}: there is neither Graphviz nor pygraphviz. {_MENDS}; "
                "or draw an .svg or .html, which need nothing."
            ) from None
        raise


def _run(command: list[str], dot: str, name: str) -> bytes:
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise RenderError(
            f"{name} did not finish within {_SECONDS} s; close scopes by depth=, draw an .svg, or use to_dot()."
        ) from None
    except OSError as error:
        raise RenderError(f"{name} could not be run: {error}. {_MENDS}") from None
    if done.returncode or not done.stdout:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise RenderError(f"{name} failed: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout


def _page(svg: str, title: str) -> str:
    """A page with the picture alone, scaled to the window. It works without a network."""
    safe = "".join(c if c.isalnum() or c in " ._-" else "_" for c in title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{safe}</title>\n'
        "<style>body{margin:1em;font-family:sans-serif}svg{max-width:100%;height:auto}</style></head>\n"
        f"<body>\n{svg[svg.index('<svg') :]}</body>\n</html>\n"
    )


def write(path: str | os.PathLike[str], data: bytes) -> str:
    """Write a file, completely or not at all, and return its path."""
    target = Path(path)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
        temporary = None
        return os.fspath(path)
    except OSError as error:
        raise RenderError(f"cannot write {target}: {error.strerror or error}.") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def renderers() -> dict[str, str]:
    """For each way to draw, by name: "ok", or the reason why it does not work here."""
    found = {"dot": "ok" if shutil.which("dot") else "missing; install Graphviz so that `dot` is on the PATH"}
    try:
        _run([sys.executable, "-c", _CHILD, "svg", "dot"], "digraph { a -> b }", "pygraphviz")
        found["pygraphviz"] = "ok"
    except RenderError as error:
        absent = "No module named" in str(error)
        found["pygraphviz"] = "missing; run: pip install 'graphnn[render]'" if absent else str(error)
    return found
