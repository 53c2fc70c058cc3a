"""Comparisons: true or false, element by element. `==` between nodes is identity; use Equal for values."""

from __future__ import annotations

from ..ir.node import Node
from .elementwise import Elementwise
from .sample import sample

__all__ = ["Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual"]

_SAMPLES = (sample((), (), differentiable=False), sample(("N", "M"), ("M",), differentiable=False))


class Less(Elementwise, infix="<"):
    """Is `x < y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Less([1, 2], 2))())
    [ True False]
    """

    x: Node
    y: Node
    formula = "x < y"
    onnx = "Less"
    samples = _SAMPLES


class LessEqual(Elementwise, infix="<="):
    """Is `x <= y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.LessEqual([1, 3], 2))())
    [ True False]
    """

    x: Node
    y: Node
    formula = "x <= y"
    onnx = "LessOrEqual"
    samples = _SAMPLES


class Greater(Elementwise, infix=">"):
    """Is `x > y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Greater([1, 3], 2))())
    [False  True]
    """

    x: Node
    y: Node
    formula = "x > y"
    onnx = "Greater"
    samples = _SAMPLES


class GreaterEqual(Elementwise, infix=">="):
    """Is `x >= y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.GreaterEqual([1, 2], 2))())
    [False  True]
    """

    x: Node
    y: Node
    formula = "x >= y"
    onnx = "GreaterOrEqual"
    samples = _SAMPLES


class Equal(Elementwise):
    """Is `x` equal to `y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Equal([1, 2], 2))())
    [False  True]
    """

    x: Node
    y: Node
    formula = "x == y"
    onnx = "Equal"
    samples = _SAMPLES


class NotEqual(Elementwise):
    """Is `x` different from `y`?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.NotEqual([1, 2], 2))())
    [ True False]
    """

    x: Node
    y: Node
    formula = "x != y"
    samples = _SAMPLES
