"""The calls of a program, in order, and the check that its scalar outputs are finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...errors import NonFiniteError
from ...ir.node import Call, Node, describe

__all__ = ["Calls", "check_finite", "not_finite", "watch"]


class Calls(NamedTuple):
    """A run of a program as calls: those before the outputs are taken, and those after."""

    before: list[Call]
    after: list[Call]
    lands: list[Call]
    """The copies that write updates, after all steps."""
    outputs: list[np.ndarray]
    scalars: list[tuple[str, Node, np.ndarray]]
    """The outputs to check: name, node and array of each."""
    by_step: list[list[Call]]
    """The calls of each step of the plan."""
    arrays: Mapping[Node, Any]


def watch(calls: Calls) -> None:
    """Check that the watched outputs are finite; called before anything is updated.

    Raises:
        NonFiniteError: naming the first that is not.
    """
    for name, node, array in calls.scalars:
        if not math.isfinite(array):
            raise not_finite(name, node, array)


def not_finite(name: str, node: Node, value: Any) -> NonFiniteError:
    """The error for a watched output that is not finite."""
    return NonFiniteError(
        f"output '{name}', {describe(node)}, is {float(value)}. The parameters keep their values from before this "
        "step. Likely causes: a learning rate too large, or a logarithm or division near zero; "
        'compile with check_finite="all" to find the first node that is not finite.'
    )


def check_finite(array: np.ndarray, node: Node) -> None:
    """Check that all elements of a value are finite.

    Raises:
        NonFiniteError: naming the node and its operands.
    """
    if not np.isfinite(array).all():
        raise NonFiniteError(
            f"{describe(node)} is not finite. Its operands: {', '.join(map(describe, node.operands))}."
        )
