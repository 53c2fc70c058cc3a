"""Moves: ops that bring elements elsewhere, as copies into views of the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

import numpy as np

from ...ir.formula import literal, parse
from ...ir.node import Node
from ...ops.joining import Concat
from ...ops.padding import Pad
from ...ops.shape import Reshape
from ...ops.structure import Cast
from ...ops.triangle import Trilu
from .maps import copy, lower_map
from .tape import Invocation

__all__ = ["MOVES"]

Arrays = tuple[np.ndarray, ...]


def _cast(node: Node, ins: Arrays, out: np.ndarray, declared: Node, working: Arrays) -> list[Invocation]:
    return copy(declared.shape, out, ins[0])


def _reshape(node: Node, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    return copy(declared.x.shape, out.reshape(ins[0].shape), ins[0])


def _concat(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    calls: list[Invocation] = []
    ends = accumulate(x.shape[node.axis] for x in ins)
    for x, value, end in zip(ins, declared.values, ends, strict=True):
        place = out[(slice(None),) * node.axis + (slice(end - x.shape[node.axis], end),)]
        calls += copy(value.shape, place, x)
    return calls


def _pad(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    """The constant everywhere, if it is one; the value in the midst; then each axis from what is there already."""
    [x] = ins
    midst = node.midst(x.shape)
    calls: list[Invocation] = []
    if node.mode == "constant":
        calls += lower_map(literal(out.dtype.type(node.value).item()), (), declared.shape, (), out)
    calls += copy(declared.x.shape, out[(*midst, ...)], x)
    for axis, n in enumerate(x.shape if node.mode != "constant" else ()):
        rows = (slice(None),) * axis
        for to, source in node.copies(axis, n):
            dims = (*declared.shape[:axis], to.stop - to.start, *declared.x.shape[axis + 1 :])
            target, there = out[(*rows, to, *midst[axis + 1 :])], out[(*rows, source, *midst[axis + 1 :])]
            calls += copy(dims, target, np.broadcast_to(there, target.shape))
    return calls


def _trilu(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    """By the mask that the plan keeps for it, the same for all matrices."""
    [x], mask = ins, working[-1]
    node.fill_mask(np, mask)
    seen = np.broadcast_to(mask, x.shape)
    return lower_map(parse("where(inside, x, 0)"), ("inside", "x"), declared.shape, (seen, x), out)


MOVES: Mapping[type[Node], Callable[..., list[Invocation]]] = {
    Cast: _cast,
    Concat: _concat,
    Pad: _pad,
    Reshape: _reshape,
    Trilu: _trilu,
}
