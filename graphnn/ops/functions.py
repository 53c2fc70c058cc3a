"""Functions of one value: Exp, Log, Expm1, Log1p, Sqrt, Abs, Sign, Floor, Ceil, Round, Erf."""

from __future__ import annotations

from ..errors import DTypeError
from ..ir.formula import Formula
from ..ir.node import Node
from .elementwise import Elementwise, Map
from .sample import POSITIVE, UNARY, refused, sample

__all__ = ["Exp", "Expm1", "Log", "Log1p", "Sqrt", "Abs", "Sign", "Floor", "Ceil", "Round", "Erf"]


class Exp(Elementwise):
    """The exponential `e ** x`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Exp([0.0, 1.0]))().round(4))
    [1.     2.7183]
    """

    x: Node
    formula = "exp(x)"
    onnx = "Exp"
    samples = UNARY

    def vjp(self, g: Node) -> Node:
        """`g * self`."""
        return g * self


class Expm1(Elementwise):
    """`e ** x - 1`, accurate also for small `x`, where the difference would cancel.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Expm1(gn.Constant([1e-10, 1.0], dtype="float64")))())
    [1.00000000e-10 1.71828183e+00]
    """

    x: Node
    formula = "expm1(x)"
    samples = UNARY


class Log(Elementwise):
    """The natural logarithm. It is minus infinity for zero, and NaN for negative numbers.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Log([1.0, 10.0]))().round(4))
    [0.     2.3026]
    """

    x: Node
    formula = "log(x)"
    onnx = "Log"
    samples = POSITIVE

    def vjp(self, g: Node) -> Node:
        """`g / x`."""
        return g / self.x


class Log1p(Elementwise):
    """`log(1 + x)`, accurate also for small `x`, which the sum would lose.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Log1p(gn.Constant([1e-10, 1.0], dtype="float64")))())
    [1.00000000e-10 6.93147181e-01]
    """

    x: Node
    formula = "log1p(x)"
    samples = POSITIVE

    def vjp(self, g: Node) -> Node:
        """`g / (1 + x)`."""
        return g / (1 + self.x)


class Sqrt(Elementwise):
    """The square root. It is NaN for negative numbers.

    At 0, where there is no finite derivative, the slope is taken as 0. So the gradient of a norm `Sqrt(Sum(x * x))` at
    the origin is 0, which is one of its subgradients.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Sqrt([4.0, 9.0]))())
    [2. 3.]
    """

    x: Node
    formula = "sqrt(x)"
    onnx = "Sqrt"
    samples = POSITIVE

    def vjp(self, g: Node) -> Node:
        """`g / (2 * self)`, and 0 where the root is 0."""
        return Map("where(y == 0, 0, 0.5 * g / y)", ("y", "g"), (self, g))


class Abs(Elementwise, prefix="abs"):
    """The absolute value, with slope 0 at 0: `abs(x)`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Abs([-1.5, 2.0]))())
    [1.5 2. ]
    """

    x: Node
    formula = "abs(x)"
    onnx = "Abs"
    samples = tuple(sample(s, domain=d) for s in ((), ("N",), ("N", "M")) for d in ((0.2, 2.0), (-2.0, -0.2)))


class Sign(Elementwise):
    """The sign: -1, 0 or 1. Its slope is 0 everywhere.

    Raises:
        DTypeError: for bools.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Sign([-1.5, 0.0, 2.0]))())
    [-1.  0.  1.]
    """

    x: Node
    formula = "sign(x)"
    onnx = "Sign"
    samples = (
        *(sample(s, domain=d) for s in ((), ("N",), ("N", "M")) for d in ((0.2, 2.0), (-2.0, -0.2))),
        refused(DTypeError, ("N",), dtypes=("bool",)),
    )


_BETWEEN_STEPS = tuple(sample(s, domain=d) for s in ((), ("N",), ("N", "M")) for d in ((0.1, 0.4), (-1.9, -1.6)))


def _rounded(node: Elementwise, x: Node) -> Formula:
    """The formula of an op that rounds; for integers and bools, the value itself."""
    return node.read(node.formula if x.dtype.kind == "f" else "x")


class Floor(Elementwise):
    """The largest whole number that is not above `x`, in the dtype of `x`. Its slope is 0.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Floor([-1.5, 1.5]))())
    [-2.  1.]
    """

    x: Node
    formula = "floor(x)"
    onnx = "Floor"
    samples = _BETWEEN_STEPS

    @property
    def body(self) -> Formula:
        """The formula; of integers, the value itself."""
        return _rounded(self, self.x)


class Ceil(Elementwise):
    """The smallest whole number that is not below `x`, in the dtype of `x`. Its slope is 0.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Ceil([-1.5, 1.5]))())
    [-1.  2.]
    """

    x: Node
    formula = "ceil(x)"
    onnx = "Ceil"
    samples = _BETWEEN_STEPS

    @property
    def body(self) -> Formula:
        """The formula; of integers, the value itself."""
        return _rounded(self, self.x)


class Round(Elementwise, method="round"):
    """The nearest whole number, in the dtype of `x`; halves are rounded to the even one. Its slope is 0.

    Source: IEEE 754-2019, section 4.3.1, roundTiesToEven.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Round([0.5, 1.5, 2.5, -1.7]))())
    [ 0.  2.  2. -2.]
    """

    x: Node
    formula = "rint(x)"
    onnx = "Round"
    samples = _BETWEEN_STEPS

    @property
    def body(self) -> Formula:
        """The formula; of integers, the value itself."""
        return _rounded(self, self.x)


class Erf(Elementwise):
    """The error function, `2 / sqrt(pi)` times the integral of `exp(-t * t)` from 0 to `x`.

    Source: NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov/7.2.E1.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Erf([0.0, 1.0]))().round(4))
    [0.     0.8427]
    """

    x: Node
    formula = "erf(x)"
    onnx = "Erf"
    samples = UNARY
