"""Comparisons: true or false, element by element. `==` between nodes is identity; use Equal for values."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from ..ir.dtype import fits
from ..ir.node import Node
from .elementwise import Elementwise
from .sample import refused, sample

__all__ = ["Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual"]

_SAMPLES = (
    sample((), (), differentiable=False),
    sample(("N", "M"), ("M",), differentiable=False),
    refused(ShapeError, ("N", 2), ("N", 3)),
)


class _Comparison(Elementwise):
    """The base of comparisons."""

    x: Node
    y: Node

    def _coerce(self) -> None:
        """Turn numbers into constants. A number that the integer dtype of the other operand cannot hold is allowed."""
        mine = self.__dict__
        for name, beside in (("x", self.y), ("y", self.x)):
            value = mine[name]
            if isinstance(value, int) and isinstance(beside, Node) and beside.dtype.kind in "iu":
                mine[name] = value if fits(value, beside.dtype) else np.asarray(value)[()]
        super()._coerce()


class Less(_Comparison, infix="<"):
    """Is `x < y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Less([1, 2], 2))())
    [ True False]
    """

    formula = "x < y"
    onnx = "Less"
    samples = _SAMPLES


class LessEqual(_Comparison, infix="<="):
    """Is `x <= y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.LessEqual([1, 3], 2))())
    [ True False]
    """

    formula = "x <= y"
    onnx = "LessOrEqual"
    samples = _SAMPLES


class Greater(_Comparison, infix=">"):
    """Is `x > y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Greater([1, 3], 2))())
    [False  True]
    """

    formula = "x > y"
    onnx = "Greater"
    samples = _SAMPLES


class GreaterEqual(_Comparison, infix=">="):
    """Is `x >= y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.GreaterEqual([1, 2], 2))())
    [False  True]
    """

    formula = "x >= y"
    onnx = "GreaterOrEqual"
    samples = _SAMPLES


class Equal(_Comparison):
    """Is `x` equal to `y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Equal([1, 2], 2))())
    [False  True]
    """

    formula = "x == y"
    onnx = "Equal"
    samples = _SAMPLES


class NotEqual(_Comparison):
    """Is `x` different from `y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.NotEqual([1, 2], 2))())
    [ True False]
    """

    formula = "x != y"
    samples = _SAMPLES
