"""Reductions to true and false: All and Any. They stand apart since `Any` is also Python's word for any type."""

from __future__ import annotations

import numpy as np

from ..ir.node import Node
from .reductions import SAMPLES, Reduction

__all__ = ["All", "Any"]


class All(Reduction, method="all"):
    """Is every element true, over axes? `All(x, axis=None, keepdims=False)`; numbers are true unless 0.

    Of nothing, it is true.

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
    """Is some element true, over axes? `Any(x, axis=None, keepdims=False)`; numbers are true unless 0.

    Of nothing, it is false.

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
