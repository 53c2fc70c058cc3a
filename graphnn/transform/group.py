"""Group: elementwise steps of which one alone reads the other become one step, with one formula for both.

The value between them is then never written to memory. Each function keeps its operands and its dtype, so the bits are
those of separate steps. This pays on a backend that compiles formulas; on one that interprets them, it only costs time.
"""

from __future__ import annotations

import numpy as np

from ..ir import formula as language
from ..ir.context import like
from ..ir.formula import Formula
from ..ir.graph import Graph
from ..ir.node import Node
from ..ops.elementwise import Elementwise, Map, operand_dtypes
from .match import read_once
from .passes import Pass
from .record import Fired, current, note

__all__ = ["group"]

LARGEST = 48
"""The most parts of a formula: the values of more would not stay in registers."""


def _apply(graph: Graph) -> Graph:
    once = read_once(graph)
    record = current()
    replaced: dict[Node, Node] = {}
    for node in graph.nodes:
        new = node.with_operands(replaced)
        if isinstance(new, Elementwise) and not new.static and not new.random:
            for declared, operand in zip(node.operands, new.operands, strict=True):
                if isinstance(operand, Elementwise) and not operand.static and operand.shape == new.shape:
                    fused = _fused(new, operand) if declared in once else None
                    if fused is None:
                        note(node, declared, _why_apart(declared in once))
                        continue
                    record.fired.append(Fired("elementwise steps in one", node, new, fused))
                    new = fused
        if new is not node:
            replaced[node] = new
    if replaced:
        record.moves.append(replaced)
    return graph.replaced(replaced)


def _why_apart(read_by_one: bool) -> str:
    return "their dtypes differ, or one formula would grow too large" if read_by_one else "it is read elsewhere too"


def _fused(reader: Elementwise, inner: Elementwise) -> Map | None:
    """The reader with an operand replaced by its formula; None where this would change the result."""
    if inner.random or not isinstance(
        _dtype(inner), np.dtype
    ):  # without a dtype, a number takes that of its neighbours
        return None
    called: dict[Node, str] = {}

    def renamed(node: Elementwise) -> Formula:
        names: dict[str, Formula] = {}
        for name, operand in node.named_operands().items():
            inside = operand is inner and node is reader
            names[name] = inner_body if inside else language.name(called.setdefault(operand, f"a{len(called)}"))
        return node.body.substitute(names)

    inner_body = renamed(inner)
    body = renamed(reader)
    signature = tuple((name, operand.dtype) for operand, name in called.items())
    if sum(1 for _ in body.parts()) > LARGEST or operand_dtypes(body, signature) != tuple(d for _, d in signature):
        return None  # too large, or one of the operands would have to be cast
    with like(reader):
        fused = Map(str(body), tuple(called.values()), tuple(called))
    # If an operand was cast or stretched while building, the value would be another one.
    same = fused.operands == tuple(called) and fused.spec == reader.spec and fused.body is body
    return fused if same and _keeps(inner, body, inner_body, called) else None


def _dtype(node: Elementwise) -> language.Weak:
    signature = tuple((name, operand.dtype) for name, operand in node.named_operands().items())
    return language.dtypes(node.body, signature)[node.body]


def _keeps(inner: Elementwise, body: Formula, part: Formula, called: dict[Node, str]) -> bool:
    """Does the inner formula have the same dtype inside the whole as on its own?"""
    kinds = language.dtypes(body, tuple((name, node.dtype) for node, name in called.items()))
    return kinds.get(part) == inner.dtype


group = Pass("group", "exact", _apply, fuses=True)
