"""Trigonometric and hyperbolic functions, and their inverses. Angles are in radians; Tanh is among the activations."""

from __future__ import annotations

from ..errors import ShapeError
from ..ir.node import Node
from .elementwise import Elementwise
from .sample import UNARY, refused, sample

__all__ = [
    "Sin", "Cos", "Tan", "Arcsin", "Arccos", "Arctan", "Arctan2",
    "Sinh", "Cosh", "Arcsinh", "Arccosh", "Arctanh",
]  # fmt: skip

_INSIDE = tuple(sample(s, domain=(-0.9, 0.9)) for s in ((), ("N",), ("N", "M")))


class Sin(Elementwise):
    """The sine.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Sin([0.0, 1.0]))().round(4))
    [0.     0.8415]
    """

    x: Node
    formula = "sin(x)"
    onnx = "Sin"
    samples = UNARY


class Cos(Elementwise):
    """The cosine.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Cos([0.0, 1.0]))().round(4))
    [1.     0.5403]
    """

    x: Node
    formula = "cos(x)"
    onnx = "Cos"
    samples = UNARY


class Tan(Elementwise):
    """The tangent.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Tan([0.0, 1.0]))().round(4))
    [0.     1.5574]
    """

    x: Node
    formula = "tan(x)"
    onnx = "Tan"
    samples = _INSIDE

    def vjp(self, g: Node) -> Node:
        """`g * (1 + y * y)`, from the output y."""
        return g * (1 + self * self)


class Arcsin(Elementwise):
    """The angle in [-pi/2, pi/2] whose sine is `x`; NaN outside [-1, 1].

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Arcsin([0.0, 1.0]))().round(4))
    [0.     1.5708]
    """

    x: Node
    formula = "arcsin(x)"
    onnx = "Asin"
    samples = _INSIDE


class Arccos(Elementwise):
    """The angle in [0, pi] whose cosine is `x`; NaN outside [-1, 1].

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Arccos([0.0, 1.0]))().round(4))
    [1.5708 0.    ]
    """

    x: Node
    formula = "arccos(x)"
    onnx = "Acos"
    samples = _INSIDE


class Arctan(Elementwise):
    """The angle in [-pi/2, pi/2] whose tangent is `x`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Arctan([0.0, 1.0]))().round(4))
    [0.     0.7854]
    """

    x: Node
    formula = "arctan(x)"
    onnx = "Atan"
    samples = UNARY


class Arctan2(Elementwise):
    """The angle in [-pi, pi] of the point with ordinate `x` and abscissa `y`: `Arctan2(x, y)`, as NumPy orders them.

    At the origin, where the angle has no derivative, both slopes are 0; near it and far away they neither overflow
    nor vanish before the quotients do.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Arctan2([1.0, -1.0], [1.0, -1.0]))().round(4))
    [ 0.7854 -2.3562]
    """

    x: Node
    y: Node
    formula = "arctan2(x, y)"
    samples = (
        sample((), (), domain=(0.5, 2.0)),
        sample(("N", "M"), ("M",), domain=(0.5, 2.0)),
        sample(("N", 1), (1, "M"), domain=(-2.0, -0.5)),
        refused(ShapeError, ("N", 2), ("N", 3)),
    )


class Sinh(Elementwise):
    """The hyperbolic sine.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Sinh([0.0, 1.0]))().round(4))
    [0.     1.1752]
    """

    x: Node
    formula = "sinh(x)"
    onnx = "Sinh"
    samples = UNARY


class Cosh(Elementwise):
    """The hyperbolic cosine.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Cosh([0.0, 1.0]))().round(4))
    [1.     1.5431]
    """

    x: Node
    formula = "cosh(x)"
    onnx = "Cosh"
    samples = UNARY


class Arcsinh(Elementwise):
    """The number whose hyperbolic sine is `x`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Arcsinh([0.0, 1.0]))().round(4))
    [0.     0.8814]
    """

    x: Node
    formula = "arcsinh(x)"
    onnx = "Asinh"
    samples = UNARY


class Arccosh(Elementwise):
    """The number, not negative, whose hyperbolic cosine is `x`; NaN below 1.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Arccosh([1.0, 2.0]))().round(4))
    [0.    1.317]
    """

    x: Node
    formula = "arccosh(x)"
    onnx = "Acosh"
    samples = tuple(sample(s, domain=(1.2, 3.0)) for s in ((), ("N",), ("N", "M")))


class Arctanh(Elementwise):
    """The number whose hyperbolic tangent is `x`; NaN outside [-1, 1].

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Arctanh([0.0, 0.5]))().round(4))
    [0.     0.5493]
    """

    x: Node
    formula = "arctanh(x)"
    onnx = "Atanh"
    samples = _INSIDE
