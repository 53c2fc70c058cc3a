"""Factors of the backward half as text: forward values by name, and what is made of these alone.

In a picture of both halves, no arrow goes from the forward half to the backward half. Instead, an arrow has text: for
`y = x @ W`, the arrow of the gradient says `× W.T`. The node that transposes W needs no box, since the text says it
all.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ir.graph import Graph
from ..ir.node import Node
from ..ops.arithmetic import Div, Mul
from ..ops.elementwise import Elementwise
from ..ops.linear import MatMul
from ..ops.shape import Transpose
from .label import title
from .text import formula

__all__ = ["factor", "local_words", "references"]

_SHORT = 24
"""A factor of more letters keeps its box."""
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def references(graph: Graph, halves: Mapping[Node, str], inline: Mapping[Node, str]) -> dict[Node, str]:
    """What the other halves call the forward nodes that they read: the name or op, with a number where it is shared."""
    read = {
        operand: title(operand)
        for node in graph.nodes
        if halves[node] != "forward"
        for operand in node.operands
        if halves[operand] == "forward" and operand not in inline
    }
    shared: dict[str, list[Node]] = {called: [] for called in read.values()}
    for node in graph.nodes:
        if halves[node] == "forward" and node not in inline and title(node) in shared:
            shared[title(node)].append(node)
    return {
        node: called if len(nodes) == 1 else called + str(i).translate(_SUBSCRIPTS)
        for called, nodes in shared.items()
        for i, node in enumerate(nodes, 1)
    }


def local_words(
    graph: Graph, halves: Mapping[Node, str], known: Mapping[Node, str], keep: frozenset[Node] = frozenset()
) -> dict[Node, str]:
    """The words known, and those for backward nodes made of nothing else that can be said shortly; not of `keep`."""
    words = dict(known)
    roots = {*graph.outputs.values(), *graph.updates.values(), *keep}
    for node in graph.nodes:
        if halves[node] == "backward" and node not in roots and node.operands and words.keys() >= {*node.operands}:
            said = _said(node, words)
            if said and len(said) <= _SHORT:
                words[node] = said
    return words


def _said(node: Node, words: Mapping[Node, str]) -> str:
    if isinstance(node, Transpose):
        return f"{words[node.x]}.T" if node.ndim == 2 else ""
    return f"({formula(node, words)})" if isinstance(node, Elementwise) else ""


def factor(node: Node, words: Mapping[Node, str]) -> tuple[Node, str] | None:
    """The one operand of a product that is drawn, and what it is multiplied by: `× W.T`; None for all else."""
    if not isinstance(node, (Mul, Div, MatMul)):
        return None
    first, second = node.operands
    if second in words and first not in words:
        return first, f"{'÷' if isinstance(node, Div) else '×'} {words[second]}"
    if first in words and second not in words and not isinstance(node, Div):
        return second, f"{words[first]} ×" if isinstance(node, MatMul) else f"× {words[first]}"
    return None
