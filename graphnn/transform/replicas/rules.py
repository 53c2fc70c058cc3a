"""Rules: what becomes of each op when its operands get an axis of replicas, and their use on a whole program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...ir.context import like
from ...ir.graph import Graph
from ...ir.leaf import Constant, Parameter
from ...ir.node import Item, Node
from ...ops.control import Cond
from ...ops.conv import Conv, ConvTranspose, ConvWeight
from ...ops.einsum import Einsum
from ...ops.elements import GatherElements, ScatterElements
from ...ops.elementwise import Elementwise
from ...ops.gathering import Gather, ScatterAdd
from ...ops.gemm import Gemm
from ...ops.indexing import OneHot, Pick
from ...ops.joining import Concat, Split
from ...ops.linear import MatMul, swap
from ...ops.maxpool import MaxPick, MaxPool, MaxUnpool
from ...ops.padding import Pad
from ...ops.pool import WindowSpread, WindowSum
from ...ops.ranking import ArgMax, ArgMin, TopK
from ...ops.reductions import Reduction
from ...ops.scan import Scan
from ...ops.scans import CumProd, CumSum
from ...ops.shape import Repeat, Reshape, Transpose
from ...ops.slicing import Flip, Slice
from ...ops.structure import Branch, Cast, StopGradient
from ...ops.triangle import Trilu
from ..expand import expand
from .bodies import cond, item, one_by_one, scan
from .growing import Replicas, Rule, reached
from .windows import convolution, pool

__all__ = ["replicate"]


def replicate(
    graph: Graph, values: Mapping[Parameter, np.ndarray], count: int
) -> tuple[Graph, dict[Parameter, Parameter]]:
    """The graph of `count` replicas, and for each parameter that differs between them the one that holds all values.

    `values` maps each parameter that differs to an array of the values of all replicas, stacked along a first axis. A
    parameter whose update depends on one that differs will differ too; all replicas begin with its present value. An
    output that depends on a parameter that differs has the axis of replicas first.

    >>> import graphnn as gn, numpy as np
    >>> from graphnn.transform.replicas import replicate
    >>> x, w = gn.Input("x", ("N", 2)), gn.Parameter("w", [[0.0], [0.0]])
    >>> many, _ = replicate(gn.Graph(x @ w), {w: np.ones((3, 2, 1))}, 3)
    >>> many.outputs["out"].spec
    Spec(shape=(3, N, 1), dtype=dtype('float32'))
    """
    whole = expand.run(graph)[0]
    stacked: dict[Parameter, Parameter] = {}
    for parameter in _differing(whole, values):
        value = values.get(parameter)
        if value is None:
            value = np.broadcast_to(parameter.storage, (count, *parameter.storage.shape))
        with like(parameter):
            stacked[parameter] = Parameter(parameter.name, value, parameter.dtype, parameter.trainable)
    replicas = Replicas(count, _rule, dict(stacked.items())).grow(whole.nodes)
    updates = {stacked.get(p, p): replicas.of(n) if p in stacked else n for p, n in whole.updates.items()}
    return Graph({name: replicas.now(node) for name, node in whole.outputs.items()}, updates), stacked


def _differing(graph: Graph, given: Iterable[Parameter]) -> list[Parameter]:
    """The parameters that differ between replicas, in order of the graph."""
    found = set(given)
    while True:
        differs = reached(graph.nodes, found)
        more = {parameter for parameter, node in graph.updates.items() if node in differs} - found
        if not more:
            return [parameter for parameter in graph.parameters.values() if parameter in found]
        found |= more


def _alike(node: Node, replicas: Replicas) -> Node:
    """An op that does not refer to any axis."""
    return node.with_operands(replicas.all_of(node))


def _with(node: Node, replicas: Replicas, **fields: Any) -> Node:
    """The op over its new operands, with some fields replaced."""
    became = replicas.all_of(node)
    held: dict[str, Any] = {}
    for name in node.field_names:
        value = getattr(node, name)
        if isinstance(value, Node):
            value = became[value]
        elif isinstance(value, tuple):
            value = tuple(became[v] if isinstance(v, Node) else v for v in value)
        held[name] = value
    return type(node)(**(held | fields))


def _moved(axis: Any) -> Any:
    """One axis or several, moved by one; axes that are counted from the end stay."""
    if isinstance(axis, tuple):
        return tuple(map(_moved, axis))
    return axis + 1 if axis >= 0 else axis


def _along(node: Any, replicas: Replicas) -> Node:
    """An op whose `axis` is moved by one."""
    return _with(node, replicas, axis=_moved(node.axis))


def _extreme(node: ArgMax | ArgMin, replicas: Replicas) -> Node:
    """The position of an extreme; without an axis, the elements of each replica are laid in one row."""
    if node.axis is not None:
        return _along(node, replicas)
    row = Reshape(replicas.of(node.x), (replicas.count, -1))
    return Reshape(type(node)(row, 1, node.keepdims, node.last), (replicas.count, *node.shape))


def _by_index(node: Any, replicas: Replicas) -> Node:
    """Slices by an index that is the same for all replicas; or if it differs, a loop over replicas."""
    if node.index in replicas.made:
        return one_by_one(node, replicas)
    return _with(node, replicas, x=replicas.of(node.x), index=node.index, axis=_moved(node.axis))


def _reshape(node: Reshape, replicas: Replicas) -> Node:
    return Reshape(replicas.of(node.x), (replicas.count, *node.to))


def _transpose(node: Transpose, replicas: Replicas) -> Node:
    return Transpose(replicas.of(node.x), (0, *(axis + 1 for axis in node.axes or ())))


def _pad(node: Pad, replicas: Replicas) -> Node:
    none = {name: (0, *getattr(node, name)) for name in ("before", "after", "between")}
    return _with(node, replicas, **none)


def _einsum(node: Einsum, replicas: Replicas) -> Node:
    terms, result = node.terms
    letter = next(a for a in "rqpzyxwvutsonmlkjihgfedcba" if a not in node.equation)
    named = [letter + term if x in replicas.made else term for term, x in zip(terms, node.values, strict=True)]
    values = [replicas.now(x) for x in node.values]
    return Einsum(f"{','.join(named)}->{letter}{result}", *values)


def _matmul(node: MatMul, replicas: Replicas) -> Node:
    """A product in batches, in which vectors are written as rows and columns."""
    x, W = replicas.now(node.x), replicas.now(node.W)
    if node.x.ndim == 1:
        x = Reshape(x, (*x.shape[:-1], 1, x.shape[-1]))
    if node.W.ndim == 1:
        W = Reshape(W, (*W.shape, 1))
    axes = max(node.x.ndim, node.W.ndim, 2)
    x, W = (_aligned(y, axes) if old in replicas.made else y for y, old in ((x, node.x), (W, node.W)))
    return Reshape(MatMul(x, W), (replicas.count, *node.shape))


def _aligned(node: Node, axes: int) -> Node:
    """The node with axes of size 1 after that of replicas, so that it has `axes` more."""
    missing = axes + 1 - node.ndim
    return Reshape(node, (node.shape[0], *(1,) * missing, *node.shape[1:])) if missing else node


def _gemm(node: Gemm, replicas: Replicas) -> Node:
    """The formula of Gemm in batches, with the factors of each replica."""
    A, B = (replicas.now(x) for x in (node.A, node.B))
    product = MatMul(swap(A) if node.transA else A, swap(B) if node.transB else B)
    total = _factor(replicas.now(node.alpha), product)
    return total if node.C is None else total + _factor(replicas.now(node.beta), replicas.now(node.C))


def _factor(scalar: Node, matrices: Node) -> Node:
    """Matrices times one scalar, or each times the scalar of its replica."""
    if isinstance(scalar, Constant) and scalar.value == 1:
        return matrices
    return Reshape(scalar, (*scalar.shape, 1, 1)) * matrices if scalar.ndim else scalar * matrices


def _rule(node: Node) -> Rule:
    return next((_RULES[kind] for kind in type(node).__mro__ if kind in _RULES), one_by_one)


_RULES: Mapping[type, Rule] = {
    **dict.fromkeys((Elementwise, Cast, StopGradient, Branch, Pick, Trilu), _alike),
    **dict.fromkeys((Reduction, Repeat, Slice, Flip, Concat, Split, CumSum, CumProd), _along),
    **dict.fromkeys((TopK, OneHot, GatherElements, ScatterElements), _along),
    **dict.fromkeys((ArgMax, ArgMin), _extreme),
    **dict.fromkeys((Gather, ScatterAdd), _by_index),
    **dict.fromkeys((Conv, ConvTranspose, ConvWeight), convolution),
    **dict.fromkeys((WindowSum, WindowSpread, MaxPool, MaxUnpool, MaxPick), pool),
    Reshape: _reshape,
    Transpose: _transpose,
    Pad: _pad,
    Einsum: _einsum,
    MatMul: _matmul,
    Gemm: _gemm,
    Item: item,
    Scan: scan,
    Cond: cond,
}
"""The rules by op; an op without a rule runs in a loop over replicas."""
