"""The text in the boxes of a picture. Scalar constants and counts are written into the boxes of their users."""

from __future__ import annotations

from collections.abc import Mapping

from ..ir.formula import Apply, Literal
from ..ir.graph import Graph
from ..ir.leaf import Constant, Count, Input, Parameter
from ..ir.node import Node
from ..ops.elementwise import Elementwise
from .text import attributes, formula, line, spec

__all__ = ["inline_words", "lines", "output_names", "saved_lines", "title"]

_LONGEST = 40
"""Longer lines are cut, so that a box can be read at a glance; the listing has them in full."""


def title(node: Node) -> str:
    """The name of the node, or else its op."""
    return _short(line(node.name if isinstance(node, (Input, Parameter)) else node.op))


def lines(
    node: Node, outputs: Mapping[Node, str], inline: Mapping[Node, str], called: str | None = None
) -> tuple[str, ...]:
    """What stands in a node's box: the name or op, after what it is an output as; how it is applied; its spec."""
    name = called or title(node)
    head = f"{_short(outputs[node])} {name}" if node in outputs else name
    return tuple(text for text in (head, _short(_application(node, inline)), _short(spec(node))) if text)


def saved_lines(node: Node) -> tuple[str, ...]:
    """The text of a forward value in a picture of the backward half alone."""
    return title(node), _short(spec(node))


def output_names(graph: Graph) -> dict[Node, str]:
    """The beginnings of the boxes of outputs and updates: `dW =` and `W <-`."""
    found: dict[Node, list[str]] = {}
    for name, node in graph.outputs.items():
        found.setdefault(node, []).append(f"{line(name)} =")
    for parameter, node in graph.updates.items():
        found.setdefault(node, []).append(f"{line(parameter.name)} <-")
    return {node: " ".join(names) for node, names in found.items()}


def inline_words(graph: Graph) -> dict[Node, str]:
    """The texts of scalar constants and counts, which need no box of their own."""
    roots = {*graph.outputs.values(), *graph.updates.values()}
    return {node: _words(node) for node in graph.nodes if node not in roots and _is_scalar(node)}


def _is_scalar(node: Node) -> bool:
    return isinstance(node, Count) or (isinstance(node, Constant) and not node.value.shape)


def _words(node: Node) -> str:
    [text] = attributes(node)
    return text.removesuffix(".0") if text.isidentifier() or text.removesuffix(".0").isdigit() else f"({text})"


def _application(node: Node, inline: Mapping[Node, str]) -> str:
    """The formula where it says more than the op does; else operands without a box, and attributes."""
    if isinstance(node, Elementwise):
        parts = list(node.body.parts())
        told = any(isinstance(part, Literal) for part in parts) or sum(isinstance(part, Apply) for part in parts) > 1
        return formula(node, inline) if told or not inline.keys().isdisjoint(node.operands) else ""
    operands = [inline.get(operand, "·") for operand in node.operands]
    applied = [f"({', '.join(operands)})"] if not inline.keys().isdisjoint(node.operands) else []
    return ", ".join([*applied, *attributes(node)])


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
