"""Smooth activations, with formulas that are accurate for all values. Those with a kink are in `rectifiers`."""

from __future__ import annotations

from math import pi, sqrt

from ..errors import GraphError
from ..ir.formula import Formula
from ..ir.leaf import Constant
from ..ir.node import Node, describe
from .choice import Clip
from .elementwise import Elementwise, Map
from .sample import BOTH_SIDES, NO_BOOLS, UNARY, refused, sample

__all__ = [
    "Sigmoid", "LogSigmoid", "Tanh", "Softplus", "Softsign", "SiLU", "Mish", "GELU",
]  # fmt: skip


class Sigmoid(Elementwise):
    """The logistic function `1 / (1 + exp(-x))`.

    Where `exp(-x)` overflows, the quotient is 0, the right limit, so scores may be of any size.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Sigmoid([-1e4, 0.0, 1e4]))())
    [0.  0.5 1. ]
    """

    x: Node
    formula = "1 / (1 + exp(-x))"
    onnx = "Sigmoid"
    samples = (*UNARY, NO_BOOLS)

    def vjp(self, g: Node) -> Node:
        """`g * y * (1 - y)`, from the output y."""
        return g * self * (1 - self)


class LogSigmoid(Elementwise):
    """The logarithm of the logistic function, `-log(1 + exp(-x))`, accurate for every `x`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.LogSigmoid([-1e4, 0.0, 1e4]))().round(4))
    [-1.000e+04 -6.931e-01  0.000e+00]
    """

    x: Node
    formula = "minimum(x, 0) - log1p(exp(-abs(x)))"
    samples = (*UNARY, NO_BOOLS)

    def vjp(self, g: Node) -> Node:
        """`g * sigmoid(-x)`."""
        return g * Sigmoid(-self.x)


class Tanh(Elementwise):
    """The hyperbolic tangent.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Tanh([-1e4, 0.0, 1.0]))().round(4))
    [-1.      0.      0.7616]
    """

    x: Node
    formula = "tanh(x)"
    onnx = "Tanh"
    samples = UNARY

    def vjp(self, g: Node) -> Node:
        """`g * (1 - y * y)`, from the output y."""
        return g * (1 - self * self)


class Softplus(Elementwise):
    """A smooth rectifier, `log(1 + exp(x))`, accurate for every `x`.

    Source: C. Dugas et al., Incorporating second-order functional knowledge for better option pricing, NIPS 2000.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Softplus([-1e4, 0.0, 1e4]))().round(4))
    [0.000e+00 6.931e-01 1.000e+04]
    """

    x: Node
    formula = "maximum(x, 0) + log1p(exp(-abs(x)))"
    onnx = "Softplus"
    samples = (*UNARY, NO_BOOLS)

    def vjp(self, g: Node) -> Node:
        """`g * sigmoid(x)`."""
        return g * Sigmoid(self.x)


class Softsign(Elementwise):
    """`x / (1 + |x|)`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Softsign([-1.0, 0.0, 3.0]))())
    [-0.5   0.    0.75]
    """

    x: Node
    formula = "x / (1 + abs(x))"
    onnx = "Softsign"
    samples = BOTH_SIDES

    def vjp(self, g: Node) -> Node:
        """`g / (1 + |x|) ** 2`, without the square, which overflows."""
        return Map("g / (1 + abs(x)) / (1 + abs(x))", ("g", "x"), (g, self.x))


class SiLU(Elementwise):
    """`x * sigmoid(x)`, also known as Swish.

    The formula uses the logistic function with both exponentials at most 1, so that small results are accurate too.
    Source: D. Hendrycks and K. Gimpel, Gaussian Error Linear Units, https://arxiv.org/abs/1606.08415.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.SiLU([-1e4, 0.0, 1.0]))().round(4))
    [-0.      0.      0.7311]
    """

    x: Node
    formula = "x * exp(minimum(x, 0)) / (1 + exp(-abs(x)))"
    onnx = "Swish"
    samples = (*UNARY, NO_BOOLS)

    def vjp(self, g: Node) -> Node:
        """`g * (sigmoid(x) + y * sigmoid(-x))`, from the output y."""
        return g * (Sigmoid(self.x) + self * Sigmoid(-self.x))


class Mish(Elementwise):
    """`x * tanh(softplus(x))`.

    Source: D. Misra, Mish: A Self Regularized Non-Monotonic Activation Function, https://arxiv.org/abs/1908.08681.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Mish([-1e4, 0.0, 1.0]))().round(4))
    [-0.      0.      0.8651]
    """

    x: Node
    formula = "x * tanh(maximum(x, 0) + log1p(exp(-abs(x))))"
    onnx = "Mish"
    samples = (*UNARY, NO_BOOLS)

    def vjp(self, g: Node) -> Node:
        """`g * (t + x * sigmoid(x) * (1 - t * t))` with `t = tanh(softplus(x))`."""
        t = Tanh(Softplus(self.x))
        return g * (t + SiLU(self.x) * (1 - t * t))


class GELU(Elementwise):
    """The Gaussian error linear unit, `x` times the normal distribution function of `x`: `GELU(x, approximate="none")`.

    With `approximate="tanh"`, `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))`. Both are computed in forms
    that do not cancel for negative `x`: by the complementary error function, and by `(1 + tanh(u)) / 2 = sigmoid(2u)`.
    Source: D. Hendrycks and K. Gimpel, Gaussian Error Linear Units, https://arxiv.org/abs/1606.08415.

    Raises:
        GraphError: for another `approximate`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.GELU([-1.0, 0.0, 1.0]))().round(4))
    [-0.1587  0.      0.8413]
    """

    x: Node
    approximate: str = "none"
    formula = f"0.5 * x * erfc({-sqrt(0.5)!r} * x)"
    onnx = "Gelu"
    samples = (
        *UNARY,
        sample(("N", "M"), approximate="tanh"),
        refused(GraphError, ("N",), approximate="erf"),
    )

    def prepare(self) -> None:
        """Check `approximate`; then prepare as every elementwise op."""
        if self.approximate not in ("none", "tanh"):
            raise GraphError(
                f"GELU: approximate {self.approximate!r} of {describe(self.x)} is neither 'none' nor 'tanh'."
            )
        super().prepare()

    @property
    def body(self) -> Formula:
        """The formula, exact or approximate."""
        if self.approximate == "none":
            return self.read(self.formula)
        return self.read(f"x / (1 + exp({-_TWICE!r} * (x + 0.044715 * x * x * x)))")

    def vjp(self, g: Node) -> Node | tuple[Node | None, ...]:
        """Derived from the formula; of the approximation `g * (s + y * (1 - s) * u')` with `s = sigmoid(u)`."""
        if self.approximate == "none":
            return super().vjp(g)
        bound = Constant(32, dtype=self.dtype)
        x = Clip(self.x, -bound, bound)  # beyond, s or 1 - s is 0 in every dtype, and the cube might overflow
        square = x * x
        u = _TWICE * (x + 0.044715 * square * x)
        return g * (Sigmoid(u) + self * Sigmoid(-u) * (_TWICE * (1 + 3 * 0.044715 * square)))


_TWICE = 2 * sqrt(2 / pi)
