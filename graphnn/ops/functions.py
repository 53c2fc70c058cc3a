"""Functions of one or two values: Exp, Log, Sqrt, Abs, Maximum, Minimum, Where."""

from __future__ import annotations

from ..errors import ShapeError
from ..ir.node import Node
from .elementwise import Elementwise
from .sample import POSITIVE, UNARY, refused, sample

__all__ = ["Exp", "Log", "Sqrt", "Abs", "Maximum", "Minimum", "Where"]


class Exp(Elementwise):
    """The exponential `e ** x`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Exp([0.0, 1.0]))().round(4))
    [1.     2.7183]
    """

    x: Node
    formula = "exp(x)"
    samples = UNARY

    def vjp(self, g: Node) -> Node:
        """`g * self`."""
        return g * self


class Log(Elementwise):
    """The natural logarithm; of zero minus infinity, of negative numbers NaN.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Log([1.0, 10.0]))().round(4))
    [0.     2.3026]
    """

    x: Node
    formula = "log(x)"
    samples = POSITIVE

    def vjp(self, g: Node) -> Node:
        """`g / x`."""
        return g / self.x


class Sqrt(Elementwise):
    """The square root; of negative numbers NaN.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Sqrt([4.0, 9.0]))())
    [2. 3.]
    """

    x: Node
    formula = "sqrt(x)"
    samples = POSITIVE

    def vjp(self, g: Node) -> Node:
        """`g / (2 * self)`."""
        return 0.5 * g / self


class Abs(Elementwise):
    """The absolute value, with slope 0 at 0.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Abs([-1.5, 2.0]))())
    [1.5 2. ]
    """

    x: Node
    formula = "abs(x)"
    samples = tuple(sample(s, domain=(0.2, 2.0)) for s in ((), ("N",), ("N", "M")))


class Maximum(Elementwise):
    """The larger of `x` and `y`, element by element; at a tie the gradient goes to `y`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Maximum([-1.0, 2.0], 0.0))())
    [0. 2.]
    """

    x: Node
    y: Node
    formula = "maximum(x, y)"
    samples = (sample((), ()), sample(("N", "M"), ("M",)), refused(ShapeError, ("N", 2), ("N", 3)))


class Minimum(Elementwise):
    """The smaller of `x` and `y`, element by element; at a tie the gradient goes to `y`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Minimum([-1.0, 2.0], 0.0))())
    [-1.  0.]
    """

    x: Node
    y: Node
    formula = "minimum(x, y)"
    samples = (sample((), ()), sample(("N", "M"), ("M",)), refused(ShapeError, ("N", 2), ("N", 3)))


class Where(Elementwise):
    """`x` where the condition holds, else `y`, element by element.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Where([True, False], 1.0, 2.0))())
    [1. 2.]
    """

    condition: Node
    x: Node
    y: Node
    formula = "where(condition, x, y)"
    samples = (
        sample((), (), (), dtypes=("bool",)),
        sample(("N", "M"), ("M",), ("N", 1), dtypes=("bool",)),
        refused(ShapeError, (2,), (3,), (), dtypes=("bool",)),
    )
