"""Stabilise: formulas that lose accuracy become ops that do not."""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import Node
from ..ops.functions import Log
from ..ops.softmax import LogSoftmax, Softmax
from .passes import Pass, rewrite

__all__ = ["stabilise"]


def _stabilise(node: Node) -> Node | None:
    match node:
        case Log(Softmax(x, axis)):  # -inf where softmax underflows
            return LogSoftmax(x, axis)
    return None


def _apply(graph: Graph) -> Graph:
    return rewrite(graph, _stabilise)


stabilise = Pass("stabilise", "stabilising", _apply)
