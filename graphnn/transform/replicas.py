"""Replicas: many copies of a program in one, along a new first axis of what differs between them.

Parameters that differ get the axis, and so does all that depends on them; what depends on none of them is computed
once for all. Each op says by a rule how it goes along: elementwise ones as they are, others with their axes moved by
one, products batch by batch. So no replica reads another, and each is what it would be alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..errors import GraphError
from ..ir.broadcast import broadcast_to
from ..ir.context import like
from ..ir.graph import Graph
from ..ir.leaf import Parameter, scalar_constant
from ..ir.node import Item, Node, describe
from ..ops.einsum import Einsum
from ..ops.elementwise import Elementwise
from ..ops.gathering import Gather, ScatterAdd
from ..ops.indexing import OneHot, Pick
from ..ops.joining import Concat, Split
from ..ops.linear import MatMul
from ..ops.padding import Pad
from ..ops.ranking import ArgMax, ArgMin, TopK
from ..ops.reductions import Reduction
from ..ops.scans import CumProd, CumSum
from ..ops.shape import Repeat, Reshape, Transpose
from ..ops.slicing import Flip, Slice
from ..ops.structure import Branch, Cast, StopGradient
from ..ops.triangle import Trilu
from .expand import expand

__all__ = ["replicate"]


def replicate(
    graph: Graph, values: Mapping[Parameter, np.ndarray], count: int
) -> tuple[Graph, dict[Parameter, Parameter]]:
    """The graph of `count` replicas, and the parameter that holds theirs for each one that differs.

    `values` has, for each parameter that differs, an array of their values, stacked. A parameter whose update depends
    on one that differs comes to differ; its value now is every replica's. Outputs that depend on one have the axis of
    replicas first.

    Raises:
        GraphError: naming the first node whose op has no rule.

    >>> import graphnn as gn, numpy as np
    >>> from graphnn.transform.replicas import replicate
    >>> x, w = gn.Input("x", ("N", 2)), gn.Parameter("w", [[0.0], [0.0]])
    >>> many, _ = replicate(gn.Graph(x @ w), {w: np.ones((3, 2, 1))}, 3)
    >>> many.outputs["out"].spec
    Spec(shape=(3, N, 1), dtype=dtype('float32'))
    """
    whole = expand.apply(graph)
    differing = _differing(whole, values)
    stacked: dict[Parameter, Parameter] = {}
    for parameter in differing:
        value = values.get(parameter)
        if value is None:
            value = np.broadcast_to(parameter.storage, (count, *parameter.storage.shape))
        with like(parameter):
            stacked[parameter] = Parameter(parameter.name, value, parameter.dtype, parameter.trainable)
    made: dict[Node, Node] = dict(stacked.items())
    for node in whole.nodes:
        if node not in made and any(operand in made for operand in node.operands):
            with like(node):
                made[node] = _rule(node)(node, _Operands(made, count))
    of = _Operands(made, count).of
    updates = {stacked.get(p, p): of(n) if p in stacked else n for p, n in whole.updates.items()}
    return Graph({name: made.get(node, node) for name, node in whole.outputs.items()}, updates), stacked


def _differing(graph: Graph, given: Iterable[Parameter]) -> list[Parameter]:
    """The parameters that differ between replicas, in order of the graph."""
    found = set(given)
    while True:
        reached: set[Node] = set(found)
        for node in graph.nodes:
            if not reached.isdisjoint(node.operands):
                reached.add(node)
        more = {parameter for parameter, node in graph.updates.items() if node in reached} - found
        if not more:
            return [parameter for parameter in graph.parameters.values() if parameter in found]
        found |= more


class _Operands:
    """What a rule asks for: operands as they became."""

    def __init__(self, made: Mapping[Node, Node], count: int) -> None:
        self.made, self.count = made, count

    def of(self, node: Node) -> Node:
        """With the axis of replicas; of what has none, all see the same."""
        if node in self.made:
            return self.made[node]
        return broadcast_to(Reshape(node, (1, *node.shape)), (self.count, *node.shape))

    def all_of(self, node: Node) -> dict[Node, Node]:
        """Each operand with the axis, but for scalars known before the run."""
        return {x: x if x not in self.made and scalar_constant(x) else self.of(x) for x in node.operands}


Rule: TypeAlias = Callable[[Any, _Operands], Node]


def _alike(node: Node, operands: _Operands) -> Node:
    """An op that needs to know of no axis."""
    return node.with_operands(operands.all_of(node))


def _with(node: Node, operands: _Operands, **fields: Any) -> Node:
    """The op over what its operands became, with other attributes."""
    became = operands.all_of(node)
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
    """An axis, or several, one further; those counted from the end stay."""
    if isinstance(axis, tuple):
        return tuple(map(_moved, axis))
    return axis + 1 if axis >= 0 else axis


def _along(node: Any, operands: _Operands) -> Node:
    """An op along axes."""
    return _with(node, operands, axis=_moved(node.axis))


def _extreme(node: ArgMax | ArgMin, operands: _Operands) -> Node:
    """Where an extreme stands; without an axis, among all elements of a replica in one row."""
    if node.axis is not None:
        return _along(node, operands)
    row = Reshape(operands.of(node.x), (operands.count, -1))
    return Reshape(type(node)(row, 1, node.keepdims, node.last), (operands.count, *node.shape))


def _by_index(node: Any, operands: _Operands) -> Node:
    """Slices at places that are the same for all."""
    if node.index in operands.made:
        raise _no_rule(node)
    return _with(node, operands, x=operands.of(node.x), index=node.index, axis=_moved(node.axis))


def _reshape(node: Reshape, operands: _Operands) -> Node:
    return Reshape(operands.of(node.x), (operands.count, *node.to))


def _transpose(node: Transpose, operands: _Operands) -> Node:
    return Transpose(operands.of(node.x), (0, *(axis + 1 for axis in node.axes or ())))


def _pad(node: Pad, operands: _Operands) -> Node:
    none = {name: (0, *getattr(node, name)) for name in ("before", "after", "between")}
    return _with(node, operands, **none)


def _einsum(node: Einsum, operands: _Operands) -> Node:
    terms, result = node.terms
    letter = next(a for a in "rqpzyxwvutsonmlkjihgfedcba" if a not in node.equation)
    named = [letter + term if x in operands.made else term for term, x in zip(terms, node.values, strict=True)]
    values = [operands.made.get(x, x) for x in node.values]
    return Einsum(f"{','.join(named)}->{letter}{result}", *values)


def _matmul(node: MatMul, operands: _Operands) -> Node:
    """Batch by batch; vectors as the rows and columns they stand for."""
    x, W = operands.made.get(node.x, node.x), operands.made.get(node.W, node.W)
    if node.x.ndim == 1:
        x = Reshape(x, (*x.shape[:-1], 1, x.shape[-1]))
    if node.W.ndim == 1:
        W = Reshape(W, (*W.shape, 1))
    axes = max(node.x.ndim, node.W.ndim, 2)
    x, W = (_aligned(y, axes) if old in operands.made else y for y, old in ((x, node.x), (W, node.W)))
    return Reshape(MatMul(x, W), (operands.count, *node.shape))


def _aligned(node: Node, axes: int) -> Node:
    """The axis of replicas before so many others, which batches broadcast along."""
    missing = axes + 1 - node.ndim
    return Reshape(node, (node.shape[0], *(1,) * missing, *node.shape[1:])) if missing else node


def _no_rule(node: Node) -> GraphError:
    return GraphError(
        f"{describe(node)} has no rule for replicas, so they cannot run as one program: train them one after another."
    )


def _refused(node: Node, operands: _Operands) -> Node:
    raise _no_rule(node)


def _rule(node: Node) -> Rule:
    return next((_RULES[kind] for kind in type(node).__mro__ if kind in _RULES), _refused)


_RULES: Mapping[type, Rule] = {
    **dict.fromkeys((Elementwise, Cast, StopGradient, Branch, Item, Pick, Trilu), _alike),
    **dict.fromkeys((Reduction, Repeat, Slice, Flip, Concat, Split, CumSum, CumProd), _along),
    **dict.fromkeys((TopK, OneHot), _along),
    **dict.fromkeys((ArgMax, ArgMin), _extreme),
    **dict.fromkeys((Gather, ScatterAdd), _by_index),
    Reshape: _reshape,
    Transpose: _transpose,
    Pad: _pad,
    Einsum: _einsum,
    MatMul: _matmul,
}
