"""The command line: `python -m graphnn render|info|doctor`.

Exit codes: 0 when it worked, 1 when it did not, 2 when the words of the command are off.
"""

from __future__ import annotations

import argparse
import json
import platform
import runpy
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard
from zipfile import BadZipFile

import numpy as np

from . import __version__
from .backends.registry import backends
from .errors import FeedError, GraphError, GraphNNError
from .executable import Executable
from .ir.graph import Graph
from .ir.node import Node
from .train.model import Model
from .view.render import renderers

__all__ = ["main"]

_Thing: TypeAlias = Graph | Node | Executable | Model
_PARTS = {
    "numpy": "", "scipy": "", "networkx": "", "graphviz": "", "matplotlib": "", "safetensors": "", "tqdm": "",
    "pygraphviz": "render", "llvmlite": "native", "scikit-learn": "sklearn", "onnx": "onnx",
}  # fmt: skip
"""The libraries that are used, and the extra of the package that installs each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with these arguments, and return the exit code.

    >>> from graphnn.__main__ import main
    >>> main(["info", "nowhere.py"])
    1
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as left:  # argparse has said why
        return int(left.code or 0)
    told: dict[str, Any]
    code: int
    try:
        told, code = options.do(options)
    except GraphNNError as error:
        told, code = {"error": str(error)}, 1
    if options.json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    elif "error" in told:
        print(told["error"], file=sys.stderr)
    else:
        print(told.get("text", ""))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m graphnn", description="Draw, describe, and check graphs.")
    parser.add_argument("--version", action="version", version=f"graphnn {__version__}")
    verbs = parser.add_subparsers(required=True)
    where = "a Python file that declares a graph, and the name of that graph: net.py:loss"
    render = verbs.add_parser("render", help="draw a graph into a file")
    render.add_argument("source", metavar="FILE[:NAME]", help=where)
    render.add_argument("-o", "--output", required=True, help="the picture: .svg, .png, .pdf, .html or .dot")
    views = ("forward", "backward", "both", "plan")
    render.add_argument(
        "--view", choices=views, help="by default forward; for a page both; for a compiled program plan"
    )
    render.add_argument("--depth", type=int, help="how many nested scopes are open: 0 closes all of them")
    render.add_argument(
        "--feeds", metavar="FILE.npz", help="arrays by the names of the inputs: the page shows the run on these"
    )
    render.set_defaults(do=_render)
    info = verbs.add_parser("info", help="list a graph, its parameters and its sizes")
    info.add_argument("source", metavar="FILE[:NAME]", help=where)
    info.set_defaults(do=_info)
    doctor = verbs.add_parser("doctor", help="what is installed, what works, and how to mend what does not")
    doctor.set_defaults(do=_doctor)
    for verb in (render, info, doctor):
        verb.add_argument("--json", action="store_true", help="answer in JSON")
    return parser


def _render(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    feeds = None if options.feeds is None else _arrays(options.feeds)
    thing = _declared(options.source)
    if isinstance(thing, Executable):
        path = thing.render(options.output, options.view, options.depth, feeds=feeds)
    elif options.view == "plan":
        raise GraphError(f"{options.source} is not compiled: only what gn.compile returns has a plan.")
    else:
        path = _as_graph(thing).render(options.output, options.view, options.depth, feeds=feeds)
    return {"text": path, "path": path, "view": options.view}, 0


def _arrays(path: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, by name."""
    try:
        with np.load(path, allow_pickle=False) as held:
            return dict(held)
    except OSError as error:
        raise FeedError(f"cannot read the feeds: {error.strerror or error}: {path}.") from None
    except (ValueError, TypeError, EOFError, BadZipFile):  # NumPy takes text for pickled data, and says so
        raise FeedError(f"{path} holds no arrays by name, as numpy.savez writes them.") from None


def _info(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    graph = _as_graph(_declared(options.source))
    parameters = {name: str(p.spec) for name, p in graph.parameters.items()}
    count = sum(p.storage.size for p in graph.parameters.values())
    text = f"{graph}\n\n{len(graph.nodes)} nodes, {count} numbers in {len(parameters)} parameters"
    return {
        "text": text,
        "nodes": len(graph.nodes),
        "inputs": {name: str(node.spec) for name, node in graph.inputs.items()},
        "parameters": parameters,
        "outputs": {name: str(node.spec) for name, node in graph.outputs.items()},
        "sizes": list(graph.sizes),
    }, 0


def _doctor(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    libraries = {name: _version(name, extra) for name, extra in _PARTS.items()}
    told = {"graphnn": __version__, "python": platform.python_version(), "libraries": libraries}
    told |= {"backends": backends(), "renderers": renderers()}
    lines = [f"graphnn {__version__}, Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    for heading in ("libraries", "backends", "renderers"):
        found: dict[str, str] = told[heading]  # type: ignore[assignment]  # the three mappings of words
        lines += ["", heading, *(f"  {name:14}{word}" for name, word in found.items())]
    works = "ok" in told["renderers"].values()  # type: ignore[attr-defined]
    return {**told, "text": "\n".join(lines)}, 0 if works else 1


def _version(name: str, extra: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"missing; run: pip install 'graphnn[{extra}]'" if extra else f"missing; run: pip install {name}"


def _declared(source: str) -> _Thing:
    """The graph that a file declares under a name, or the only one that it declares."""
    path, name = source, ""
    if not source.endswith(".py"):
        path, _, name = source.rpartition(":")
    path = path or source
    found = {key: value for key, value in _run(path).items() if _has_graph(value)}
    if name and name in found:
        return found[name]
    if not found:
        raise GraphError(
            f"{path} has no graph at its top level, such as `loss = ...` outside any function: what functions make "
            "is not seen."
        )
    if name:
        raise GraphError(f"{path} has no graph {name!r}; it has {', '.join(found)}.")
    whole = {key: value for key, value in found.items() if not isinstance(value, Node)} or found
    if len(whole) != 1:
        raise GraphError(f"{path} has {', '.join(found)}: say which, as in {path}:{next(reversed(found))}.")
    return next(iter(whole.values()))


def _run(path: str) -> dict[str, Any]:
    """The names that a script binds, run as `python FILE` would: beside its own modules, but not as the main one."""
    if not Path(path).is_file():
        raise GraphError(f"{path} cannot be run: there is no such file.")
    before = sys.path[:], sys.argv
    sys.path.insert(0, str(Path(path).resolve().parent))
    sys.argv = [path]
    try:
        return runpy.run_path(path)
    except GraphNNError:
        raise
    except (Exception, SystemExit) as error:
        raise GraphError(f"{path} cannot be run:\n{_told(error, path)}") from None
    finally:
        sys.path[:], sys.argv = before


def _told(error: BaseException, path: str) -> str:
    """The traceback of an error, from the line of the script on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def _has_graph(value: Any) -> TypeGuard[_Thing]:
    return isinstance(value, (Graph, Executable, Model)) or (isinstance(value, Node) and bool(value.operands))


def _as_graph(thing: _Thing) -> Graph:
    match thing:
        case Graph():
            return thing
        case Executable():
            return thing.graph
        case Model():
            return Graph(thing.loss)
    return Graph(thing)


if __name__ == "__main__":
    sys.exit(main())
