"""Graphs as JSON: nodes in order, ops by their registered names, operands by number. No code, no paths, no pickles.

Arrays are kept beside the text, by name: parameters under their own names, large constants as `constant.0` and so on.
Reading calls the constructors of the ops, which check everything again. An op that is not registered is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FormatError, GraphNNError
from ..ir.body import Body, Placeholder
from ..ir.context import current_scope, scope
from ..ir.leaf import Constant, Input, Parameter
from ..ir.node import Node, describe
from ..ir.spec import Size
from ..ir.walk import ordered, walk

__all__ = ["GraphFile", "read_graph", "write_graph"]

_VERSION = 1
_NONSENSE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""What constructors may raise that are given what no program would give them."""
_LARGE = 16
"""Constants of more elements stand beside the text."""


@dataclass(frozen=True)
class GraphFile:
    """A graph as text, and the arrays that belong to it."""

    text: str
    arrays: Mapping[str, np.ndarray]


def write_graph(outputs: Mapping[str, Node]) -> GraphFile:
    """The graph of some nodes under names, as text and arrays.

    Raises:
        FormatError: for an op whose attributes are not numbers, words, sizes, dtypes, arrays or tuples of them.

    >>> import graphnn as gn
    >>> from graphnn.interop.graphfile import read_graph, write_graph
    >>> x = gn.Input("x", ("N", 2))
    >>> again = read_graph(write_graph({"y": gn.Tanh(x) * 2}))
    >>> print(gn.Graph(again))
    (x f32[N, 2]) -> (y f32[N, 2])
    <BLANKLINE>
    forward
      %0 = Tanh(x)        f32[N, 2]   ...
      %1 = Mul(%0, 2.0)   f32[N, 2]   ...
    <BLANKLINE>
    outputs
      y = %1
    """
    arrays: dict[str, np.ndarray] = {}
    nodes, number = _write_nodes(ordered(walk(outputs.values())), {}, arrays)
    written = {
        "version": _VERSION,
        "nodes": nodes,
        "outputs": {name: number[node] for name, node in outputs.items()},
    }
    return GraphFile(json.dumps(written, ensure_ascii=True, separators=(",", ":")), arrays)


def _write_nodes(
    nodes: list[Node], number: dict[Node, int], arrays: dict[str, np.ndarray]
) -> tuple[list[Any], dict[Node, int]]:
    written = []
    for node in nodes:
        number[node] = len(number)
        written.append(_write_node(node, number, arrays))
    return written, number


def _write_node(node: Node, number: Mapping[Node, int], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    entry: dict[str, Any] = {"op": node.op}
    if node.scope:
        entry["scope"] = list(node.scope)
    match node:
        case Input():
            entry["fields"] = {"name": node.name, "shape": _write(node.shape, node), "dtype": node.dtype.name}
        case Parameter():
            arrays[node.name] = node.storage
            entry["fields"] = {"name": node.name, "trainable": node.trainable, "dtype": {"dtype": node.dtype.name}}
        case Constant():
            entry["fields"] = {"value": _write_array(node.value, arrays)}
        case _:
            entry["fields"] = {name: _write(node.__dict__[name], node, number, arrays) for name in node.field_names}
    return entry


def _write_array(value: np.ndarray, arrays: dict[str, np.ndarray]) -> Any:
    if value.size <= _LARGE and np.isfinite(value).all():
        return {"array": value.tolist(), "dtype": value.dtype.name}
    name = f"constant.{sum(1 for known in arrays if known.startswith('constant.'))}"
    arrays[name] = value
    return {"stored": name}


def _write(
    value: Any, node: Node, number: Mapping[Node, int] | None = None, arrays: dict[str, np.ndarray] | None = None
) -> Any:
    number, arrays = number or {}, {} if arrays is None else arrays
    match value:
        case Node():
            return {"node": number[value]}
        case Body():
            return _write_body(value, arrays)
        case tuple() | list():
            return {"tuple": [_write(item, node, number, arrays) for item in value]}
        case Size():
            return {"size": [value.name, value.scale, value.offset]}
        case np.dtype():
            return {"dtype": value.name}
        case np.ndarray():
            return _write_array(value, arrays)
        case np.generic():
            return value.item()
        case float() if not np.isfinite(value):
            return {"float": repr(value)}
        case None | bool() | int() | float() | str():
            return value
        case slice():
            return {"slice": [_write(part, node) for part in (value.start, value.stop, value.step)]}
    raise FormatError(f"{describe(node)} has an attribute {value!r} that cannot be written to a file.")


def _write_body(body: Body, arrays: dict[str, np.ndarray]) -> Any:
    inside = ordered(walk([*body.placeholders, *body.results]))
    number: dict[Node, int] = {}
    nodes, number = _write_nodes(inside, number, arrays)
    return {
        "body": {
            "nodes": nodes,
            "own": [number[node] for node in body.own],
            "captured": [number[node] for node in body.captured],
            "results": [number[node] for node in body.results],
        }
    }


# Reading -------------------------------------------------------------------------------------------------------------


def read_graph(file: GraphFile) -> dict[str, Node]:
    """The nodes under their names again; parameters hold the arrays' values.

    Raises:
        FormatError: when the text is not a graph that this version writes, or names an op that is not registered.
    """
    try:
        written = json.loads(file.text)
        if written["version"] != _VERSION:
            raise FormatError(f"the graph is of version {written['version']!r}; this program reads version {_VERSION}.")
        with np.errstate(all="ignore"):
            nodes = _read_nodes(written["nodes"], file.arrays)
        return {str(name): nodes[_index(i, nodes)] for name, i in written["outputs"].items()}
    except FormatError:
        raise
    except GraphNNError as error:
        raise FormatError(f"the graph in the file makes no sense: {error}") from None
    except _NONSENSE as error:
        raise FormatError(f"the file holds no graph: {type(error).__name__}: {error}.") from None


def _read_nodes(written: Any, arrays: Mapping[str, np.ndarray]) -> list[Node]:
    nodes: list[Node] = []
    for entry in written:
        nodes.append(_read_node(entry, nodes, arrays))
    return nodes


def _read_node(entry: Any, nodes: list[Node], arrays: Mapping[str, np.ndarray]) -> Node:
    name = entry["op"]
    cls = Node.ops.get(name)
    if cls is None:
        raise FormatError(
            f"the graph uses the op {name!r}, which is not known here: import the module that defines it."
        )
    given = {str(field): _read(value, nodes, arrays) for field, value in entry["fields"].items()}
    with ExitStack() as around:
        for part in entry.get("scope", ()):
            around.enter_context(scope(str(part)))
        return _made(cls, given, arrays)


def _made(cls: type[Node], given: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> Node:
    if cls is Input:
        return Input(given["name"], given["shape"], given["dtype"])
    if cls is Constant:
        return Constant(given["value"], dtype=given["value"].dtype)
    if cls is Parameter:
        array = arrays[given["name"]]
        # The full name is written, and the open scopes put themselves before it again.
        own = given["name"].removeprefix("".join(f"{part}." for part in current_scope()))
        return Parameter(own, array, dtype=given["dtype"], trainable=bool(given["trainable"]))
    unknown = sorted(given.keys() - set(cls.field_names))
    if unknown:
        raise FormatError(f"the graph gives {cls.__name__} the fields {unknown}, which it has not.")
    return cls(**given)


def _index(i: Any, nodes: list[Node]) -> int:
    if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < len(nodes):
        raise FormatError(f"the graph refers to node {i!r}, which does not come before it.")
    return i


def _read(value: Any, nodes: list[Node], arrays: Mapping[str, np.ndarray]) -> Any:
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise FormatError("the graph holds a list where a value should be.")
        return value
    [(kind, held)] = [item for item in value.items() if item[0] != "dtype" or len(value) == 1]
    match kind:
        case "node":
            return nodes[_index(held, nodes)]
        case "tuple":
            return tuple(_read(item, nodes, arrays) for item in held)
        case "size":
            return Size(str(held[0]), int(held[1]), int(held[2]))
        case "dtype":
            return np.dtype(str(held))
        case "array":
            return np.array(held, dtype=str(value["dtype"]))
        case "stored":
            return arrays[held]
        case "float":
            return float(held)
        case "slice":
            return slice(*(_read(part, nodes, arrays) for part in held))
        case "body":
            inside = _read_nodes(held["nodes"], arrays)
            parts = ([inside[_index(i, inside)] for i in held[part]] for part in ("own", "captured", "results"))
            own, captured, results = (tuple(part) for part in parts)
            if not all(isinstance(node, Placeholder) for node in (*own, *captured)):
                raise FormatError("the graph gives a body something else than placeholders.")
            return Body(own, captured, results)  # type: ignore[arg-type]  # as was just checked
    raise FormatError(f"the graph holds a value of kind {kind!r}, which this version does not know.")
