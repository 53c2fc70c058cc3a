"""Activations: Sigmoid, Tanh, ReLU."""

from __future__ import annotations

from ..ir.node import Node
from .elementwise import Elementwise
from .sample import UNARY, sample

__all__ = ["Sigmoid", "Tanh", "ReLU"]


class Sigmoid(Elementwise):
    """The logistic function `1 / (1 + exp(-x))`.

    Where `exp(-x)` overflows the quotient is the right limit, 0, so no score is too large.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Sigmoid([-1e4, 0.0, 1e4]))())
    [0.  0.5 1. ]
    """

    x: Node
    formula = "1 / (1 + exp(-x))"
    samples = UNARY

    def vjp(self, g: Node) -> Node:
        """`g * y * (1 - y)`, from the output y."""
        return g * self * (1 - self)


class Tanh(Elementwise):
    """The hyperbolic tangent.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Tanh([-1e4, 0.0, 1.0]))().round(4))
    [-1.      0.      0.7616]
    """

    x: Node
    formula = "tanh(x)"
    samples = UNARY

    def vjp(self, g: Node) -> Node:
        """`g * (1 - y * y)`, from the output y."""
        return g * (1 - self * self)


class ReLU(Elementwise):
    """The rectifier `max(x, 0)`, with slope 0 at 0.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.ReLU([-1.0, 2.0]))())
    [0. 2.]
    """

    x: Node
    formula = "maximum(x, 0)"
    samples = tuple(sample(s, domain=d) for s in ((), ("N", "M")) for d in ((0.1, 2.0), (-2.0, -0.1)))
