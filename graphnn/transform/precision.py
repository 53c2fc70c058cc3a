"""Mixed precision: products read operands of 16 bits, and values for the backward half are kept in 16 bits.

All arithmetic is in float32, as the units for half floats of a GPU add in float32 too. Rounded to 16 bits are the
operands of products, and the values that the backward half reads. Values that are made by sums over an axis,
exponentials, logarithms or roots since the last product (as in losses and normalisations) are kept in float32 for the
backward half. Parameters and their gradients stay float32.
Source: P. Micikevicius et al., Mixed Precision Training, 2018, arXiv:1710.03740.
"""

from __future__ import annotations

import numpy as np

from ..errors import DTypeError, GraphError
from ..ir.context import like
from ..ir.graph import Graph
from ..ir.leaf import Parameter
from ..ir.node import Node, describe
from ..ir.spec import Spec
from ..ops.arithmetic import Power
from ..ops.conv import Conv, ConvTranspose, ConvWeight
from ..ops.einsum import Einsum
from ..ops.functions import Exp, Expm1, Log, Log1p, Sqrt
from ..ops.gemm import Gemm
from ..ops.linear import MatMul
from ..ops.reductions import Reduction
from .halves import Half, narrow, widen
from .passes import Pass
from .products import Product
from .record import Fired, current

__all__ = ["precision_pass"]

_PRODUCTS = (MatMul, Gemm, Einsum, Conv, ConvTranspose, ConvWeight, Product)
_DELICATE = (Reduction, Exp, Expm1, Log, Log1p, Power, Sqrt)


def precision_pass(precision: str) -> Pass:
    """The pass for a precision: "mixed_float16" or "mixed_bfloat16".

    Raises:
        GraphError: for another name.
    """
    if precision not in _PASSES:
        raise GraphError(
            f"precision {precision!r} is none of {', '.join(map(repr, _PASSES))}, None; "
            "the cupy backend has 'tf32' and 'bf16' beside."
        )
    return _PASSES[precision]


def _make_pass(half: Half) -> Pass:
    return Pass(f"mixed {half}", "rounding", lambda graph: _Mixing(graph, half).graph())


class _Mixing:
    """The rewriting of one graph, node by node."""

    def __init__(self, graph: Graph, half: Half) -> None:
        for parameter in graph.parameters.values():
            if parameter.trainable and parameter.dtype.kind == "f" and parameter.dtype.itemsize != 4:
                raise DTypeError(
                    f"precision 'mixed_{half}' keeps weights in float32, but {describe(parameter)} is "
                    f'{parameter.dtype}: declare with gn.default_dtype("float32").'
                )
        self.whole, self.half, self.roles = graph, half, graph.roles
        self.delicate = _delicate(graph)
        self.replaced: dict[Node, Node] = {}
        self.kept: dict[tuple[Node, str], Node] = {}
        """Values in 16 bits; those of parameters separately for each half of the graph, as they need not be kept."""
        self.wide: dict[tuple[Node, str], Node] = {}

    def graph(self) -> Graph:
        """The graph in mixed precision."""
        record = current()
        for node in self.whole.nodes:
            rebuilt = {x: self.replaced[x] for x in node.operands if x in self.replaced}
            new = node.with_operands(rebuilt | self._read_anew(node))
            if new is not node:
                record.fired.append(Fired(f"operands in {self.half}", node, node, new))
                self.replaced[node] = new
        record.moves.append(self.replaced)
        return self.whole.replaced(self.replaced)

    def _read_anew(self, node: Node) -> dict[Node, Node]:
        """The operands that a node reads in 16 bits, each with its rounded and widened value."""
        if node.view(True) is not None:
            return {}
        if isinstance(node, Product):  # an update fused with its weight gradient: the weight stays float32
            read = [node.x, node.W]
        elif isinstance(node, _PRODUCTS):
            read = list(node.operands)
        else:
            read = [x for x in node.operands if self.roles[node] == "backward" and self._waits(x)]
        return {operand: self._widened(operand, node) for operand in read if _fits(operand)}

    def _waits(self, operand: Node) -> bool:
        """Is it a value of the forward half that may be kept in 16 bits?"""
        base = _base(operand)
        return self.roles[base] == "forward" and bool(base.operands) and _fits(base) and base not in self.delicate

    def _widened(self, operand: Node, reader: Node) -> Node:
        """The operand as a reader gets it: rounded to 16 bits, widened again, and seen through the same views."""
        role, views = self.roles[reader], []
        while (operand, role) not in self.wide and operand.view(True) is not None and _fits(operand.operands[0]):
            views.append(operand)
            operand = operand.operands[0]
        if (operand, role) not in self.wide:
            kept = self._kept(operand, reader)
            with like(reader):
                self.wide[operand, role] = widen(kept, self.half)
        for view in reversed(views):
            [inner] = view.operands
            self.wide[view, role] = view.with_operands({inner: self.wide[inner, role]}, reader)
            operand = view
        return self.wide[operand, role]

    def _kept(self, value: Node, reader: Node) -> Node:
        key = value, self.roles[reader] if isinstance(value, Parameter) else ""
        if key not in self.kept:
            with like(reader if isinstance(value, Parameter) else value):
                self.kept[key] = narrow(self.replaced.get(value, value), self.half)
        return self.kept[key]


def _base(node: Node) -> Node:
    """The node that a view, or a view of a view, shows."""
    while node.operands and node.view(True) is not None:
        node = node.operands[0]
    return node


def _fits(node: Node) -> bool:
    """Is it an array of float32 that is computed in the run?"""
    return isinstance(node.spec, Spec) and node.ndim > 0 and node.dtype == np.float32 and not node.static


def _delicate(graph: Graph) -> set[Node]:
    """The nodes that depend on a sum, exponential, logarithm or root with no product in between."""
    found: set[Node] = set()
    for node in graph.nodes:
        inherits = not isinstance(node, _PRODUCTS) and not found.isdisjoint(node.operands)
        if inherits or isinstance(node, _DELICATE):
            found.add(node)
    return found


_PASSES = {f"mixed_{half}": _make_pass(half) for half in ("float16", "bfloat16")}
