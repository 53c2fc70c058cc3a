"""Broadcasting as nodes: operands are brought to one shape by Reshape and Repeat.

The adjoints of these two are Reshape and Sum, so no gradient rule needs to mention broadcasting. Scalar constants are
left as they are: `1 - y` stays one node.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..errors import ShapeError
from .leaf import scalar_constant
from .node import Node, describe
from .spec import Shape, Size

__all__ = ["broadcast_shape", "broadcast_to", "repeating_once", "zeros_like"]


def broadcast_shape(op: str, operands: Mapping[str, Node]) -> Shape:
    """The common shape of operands by NumPy's rule: axes are aligned at the last one, and size 1 is stretched.

    Raises:
        ShapeError: when two operands do not fit; the message names both, and says how to mend it.
    """
    shapes = [node.shape for node in operands.values()]
    wide = [shape for shape in shapes if shape]
    if not wide or wide.count(wide[0]) == len(wide):
        return wide[0] if wide else ()
    result: list[int | Size] = []
    source: list[Node] = []  # which operand fixed each axis
    for node, shape in zip(operands.values(), shapes, strict=True):
        for _ in range(len(shape) - len(result)):
            result.insert(0, 1)
            source.insert(0, node)
        for axis, dim in enumerate(shape, start=len(result) - len(shape)):
            if dim == result[axis] or dim == 1:
                continue
            if result[axis] != 1:
                raise ShapeError(
                    f"{op}: sizes differ at axis {axis}: {describe(source[axis])} has {result[axis]}, "
                    f"{describe(node)} has {dim}. {_mend(result[axis], dim)}"
                )
            result[axis] = dim
            source[axis] = node
    return tuple(result)


def _mend(a: int | Size, b: int | Size) -> str:
    if isinstance(a, Size) and isinstance(b, Size) and a.name != b.name:
        return f"If '{a.name}' and '{b.name}' are the same size, declare both with one name."
    if isinstance(a, Size) or isinstance(b, Size):
        named, number = (a, b) if isinstance(a, Size) else (b, a)
        return f"'{named}' is a named size and {number} a fixed one: declare both by the name, or both by the number."
    return "Sizes must be equal, or one of them 1."


class _Now(threading.local):
    repeated: dict[tuple[Node, Shape], Node] | None = None


_now = _Now()


@contextmanager
def repeating_once() -> Iterator[None]:
    """A context manager inside which a value is repeated to a shape once, however many nodes of that shape need it."""
    outer = _now.repeated
    _now.repeated = {}
    try:
        yield
    finally:
        _now.repeated = outer


def broadcast_to(node: Node, shape: Shape) -> Node:
    """The node brought to `shape`, by a Reshape for missing axes and a Repeat for each axis that is stretched."""
    made = _now.repeated
    if made is None:
        return _repeated(node, shape)
    known = made.get((node, shape))
    if known is None:
        known = made[node, shape] = _repeated(node, shape)
    return known


def _repeated(node: Node, shape: Shape) -> Node:
    missing = len(shape) - node.ndim
    if missing:
        node = Node.roles["reshape"](node, (1,) * missing + node.shape)
    for axis, (dim, wanted) in enumerate(zip(node.shape, shape, strict=True)):
        if dim != wanted:
            node = Node.roles["repeat"](node, wanted, axis)
    return node


def stretch(node: Node, shape: Shape) -> Node:
    """As `broadcast_to`, but scalar constants stay as they are."""
    return node if node.shape == shape or scalar_constant(node) else broadcast_to(node, shape)


def zeros_like(node: Node) -> Node:
    """Zeros of the node's shape and dtype."""
    return broadcast_to(Node.roles["constant"](0.0).cast(node.dtype), node.shape)
