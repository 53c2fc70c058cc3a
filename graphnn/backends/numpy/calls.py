"""The calls of one step, gathered to be run in order, and the watch over its scalar outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...errors import NonFiniteError
from ...ir.node import Call, Node, describe

__all__ = ["Calls", "check_finite", "not_finite", "watch"]


class Calls(NamedTuple):
    """A step as calls: those that make the outputs, those after which updates may land, and all by step of the plan."""

    before: list[Call]
    after: list[Call]
    lands: list[Call]
    """Updates that are copied at the end."""
    outputs: list[np.ndarray]
    scalars: list[tuple[str, Node, np.ndarray]]
    """The outputs to watch, by name."""
    by_step: list[list[Call]]
    arrays: Mapping[Node, Any]


def watch(calls: Calls) -> None:
    """Refuse a watched output that is not finite, before anything is updated."""
    for name, node, array in calls.scalars:
        if not math.isfinite(array):
            raise not_finite(name, node, array)


def not_finite(name: str, node: Node, value: Any) -> NonFiniteError:
    """The error for a watched output."""
    return NonFiniteError(
        f"output '{name}', {describe(node)}, is {float(value)}. The parameters keep their values from before this "
        "step. Likely causes: a learning rate too large, or a logarithm or division near zero; "
        'compile with check_finite="all" to find the first node that is not finite.'
    )


def check_finite(array: np.ndarray, node: Node) -> None:
    """Refuse a value that is NaN or infinite somewhere."""
    if not np.isfinite(array).all():
        raise NonFiniteError(
            f"{describe(node)} is not finite. Its operands: {', '.join(map(describe, node.operands))}."
        )
