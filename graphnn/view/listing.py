"""Listings: graphs as text that people read and tests compare. The same graph gives the same bytes in every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from ..ir.body import Body
from ..ir.graph import Graph
from ..ir.leaf import Input, Parameter
from ..ir.node import Node
from .text import apply, attributes, line, names, spec

__all__ = ["bodies", "list_graph", "names", "table"]

_GAP = "   "
_WIDEST = 60
"""A longer entry pushes its own line aside, not the whole column."""

Row = Sequence[str]


def list_graph(graph: Graph) -> str:
    """The listing of a graph: its signature, parameters, the three halves of a training step, outputs and updates.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", 2))
    >>> print(gn.Graph({"loss": gn.Sum(x * x)}))
    (x f32[N, 2]) -> (loss f32[])
    <BLANKLINE>
    forward
      %0 = Mul(x, x)              f32[N, 2]   ...
      %1 = Sum(%0, axis=(0, 1))   f32[]       ...
    <BLANKLINE>
    outputs
      loss = %1
    """
    called = names(graph.nodes)
    inputs = ", ".join(f"{called[node]} {node.spec}" for node in graph.inputs.values())
    outputs = ", ".join(f"{line(name)} {node.spec}" for name, node in graph.outputs.items())
    sections: dict[str, list[Row]] = {
        "parameters": [_parameter(node, called) for node in graph.parameters.values()],
        **_halves(graph, called),
        "outputs": [(f"{line(name)} = {called[node]}",) for name, node in graph.outputs.items()],
        "updates": [(f"{called[node]} <- {called[value]}",) for node, value in graph.updates.items()],
    }
    return "\n".join([f"({inputs}) -> ({outputs})", *table(sections)])


def _parameter(node: Parameter, called: Mapping[Node, str]) -> Row:
    return (called[node], spec(node), line(str(node.origin)), *attributes(node))


def _halves(graph: Graph, called: Mapping[Node, str]) -> dict[str, list[Row]]:
    halves: dict[str, list[Row]] = {"forward": [], "backward": [], "update": []}
    # Rewritten nodes share a serial; the last of them is what the first one was.
    by_serial = {node.serial: node for node in graph.nodes}
    for node in graph.nodes:
        if isinstance(node, (Input, Parameter)) or not called[node].startswith("%"):
            continue
        partner = by_serial.get(node.adjoint_of) if node.adjoint_of is not None else None
        note = "" if partner is None else f"adjoint of {called[partner]}"
        row = (f"{called[node]} = {apply(node, called)}", spec(node), line(str(node.origin)), note)
        halves[graph.roles[node]] += [row, *bodies(node)]
    return halves


def bodies(node: Node) -> Iterator[Row]:
    """What a loop or branch runs, indented: its placeholders, its nodes, and what it returns."""
    fields = {body: name for name, body in node.__dict__.items() if name in node.field_names and isinstance(body, Body)}
    for body in node.bodies():
        called = names((*body.placeholders, *(n for n in body.graph.nodes if n not in body.placeholders)))
        given = ", ".join(f"{called[p]} {spec(p)}" for p in body.placeholders if p in body.used)
        yield (f"| {fields[body]}({given})",)
        for part in body.graph.nodes:
            if called[part].startswith("%"):
                yield (f"|   {called[part]} = {apply(part, called)}", spec(part), line(str(part.origin)))
                yield from ((f"|   {first}", *rest) for first, *rest in bodies(part))
        yield (f"|   -> {', '.join(called[result] for result in body.results)}",)


def table(sections: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """The sections that hold something, each under its heading, in columns that run through all of them."""
    rows = list(chain.from_iterable(sections.values()))
    columns = max(map(len, rows), default=0)
    widths = [max((len(r[i]) for r in rows if i < len(r) and len(r[i]) <= _WIDEST), default=0) for i in range(columns)]
    for heading, body in sections.items():
        if body:
            yield f"\n{heading}"
            for row in body:
                cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
                yield f"  {_GAP.join(cells).rstrip()}"
