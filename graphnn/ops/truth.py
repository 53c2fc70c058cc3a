"""Reductions to true and false: All and Any. They have their own file, since `Any` is also a name in `typing`."""

from __future__ import annotations

import numpy as np

from ..ir.node import Node
from .reductions import SAMPLES, Reduction

__all__ = ["All", "Any"]


class All(Reduction, method="all"):
    """Are all elements along axes true? `All(x, axis=None, keepdims=False)`. Numbers other than 0 count as true.

    It is true for no elements.

    Raises:
        ShapeError: when there is no such axis, or one is named twice.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.All([[True, False], [True, True]], axis=1))())
    [False  True]
    """

    ufunc = "logical_and"
    indifferent = True
    samples = SAMPLES

    def result_dtype(self) -> np.dtype[np.bool_]:
        """Bool."""
        return np.dtype(np.bool_)

    def vjp(self, g: Node) -> None:
        """Truths have no gradient."""
        return None


class Any(Reduction, method="any"):
    """Is any element along axes true? `Any(x, axis=None, keepdims=False)`. Numbers other than 0 count as true.

    It is false for no elements.

    Raises:
        ShapeError: when there is no such axis, or one is named twice.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Any([[0, 0], [0, 3]], axis=1))())
    [False  True]
    """

    ufunc = "logical_or"
    indifferent = True
    samples = SAMPLES

    def result_dtype(self) -> np.dtype[np.bool_]:
        """Bool."""
        return np.dtype(np.bool_)

    def vjp(self, g: Node) -> None:
        """Truths have no gradient."""
        return None
