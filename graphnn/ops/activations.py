"""Activations: smooth ones with their accurate formulas first, then those with a kink, then those that clip."""

from __future__ import annotations

from math import pi, sqrt

from ..errors import GraphError, ShapeError
from ..ir.formula import Formula
from ..ir.leaf import Constant
from ..ir.node import Node, describe
from .choice import Clip
from .elementwise import Elementwise, Map
from .sample import NO_BOOLS, UNARY, refused, sample

__all__ = [
    "Sigmoid", "LogSigmoid", "Tanh", "Softplus", "Softsign", "SiLU", "Mish", "GELU",
    "ReLU", "LeakyReLU", "PReLU", "ThresholdedReLU", "ELU", "CELU", "SELU",
    "HardSigmoid", "HardSwish",
]  # fmt: skip

_BOTH_SIDES = tuple(sample(s, domain=d) for s in ((), ("N",), ("N", "M")) for d in ((0.1, 2.0), (-2.0, -0.1)))
"""Away from a kink at 0."""


class Sigmoid(Elementwise):
    """The logistic function `1 / (1 + exp(-x))`.

    Where `exp(-x)` overflows the quotient is the right limit, 0, so no score is too large.

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
    samples = _BOTH_SIDES

    def vjp(self, g: Node) -> Node:
        """`g / (1 + |x|) ** 2`, without the square, which overflows."""
        return Map("g / (1 + abs(x)) / (1 + abs(x))", ("g", "x"), (g, self.x))


class SiLU(Elementwise):
    """`x * sigmoid(x)`, also known as Swish.

    The formula is the logistic function's with both exponentials at most 1, so that small results are accurate too.
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
        """Check the approximation; then as every elementwise op."""
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


class ReLU(Elementwise):
    """The rectifier `max(x, 0)`, with slope 0 at 0.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.ReLU([-1.0, 2.0]))())
    [0. 2.]
    """

    x: Node
    formula = "maximum(x, 0)"
    onnx = "Relu"
    samples = _BOTH_SIDES


class LeakyReLU(Elementwise):
    """`x` where positive, else `alpha * x`: `LeakyReLU(x, alpha=0.01)`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.LeakyReLU([-1.0, 2.0], alpha=0.5))())
    [-0.5  2. ]
    """

    x: Node
    alpha: float = 0.01
    formula = "where(x > 0, x, alpha * x)"
    onnx = "LeakyRelu"
    samples = (*_BOTH_SIDES, sample(("N",), domain=(-2.0, -0.1), alpha=0.3))


class PReLU(Elementwise):
    """`x` where positive, else `slope * x`, with a slope that may be learnt: `PReLU(x, slope)`; they broadcast.

    Source: K. He et al., Delving Deep into Rectifiers, https://arxiv.org/abs/1502.01852.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.PReLU([-1.0, 2.0], 0.25))())
    [-0.25  2.  ]
    """

    x: Node
    slope: Node
    formula = "where(x > 0, x, slope * x)"
    onnx = "PRelu"
    samples = (
        sample((), (), domain=(-2.0, -0.1)),
        sample(("N", "M"), ("M",), domain=(-2.0, -0.1)),
        sample(("N", "M"), (1,), domain=(0.1, 2.0)),
        refused(ShapeError, ("N", 2), ("N", 3)),
    )


class ThresholdedReLU(Elementwise):
    """`x` where it is above `alpha`, else 0: `ThresholdedReLU(x, alpha=1.0)`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.ThresholdedReLU([0.5, 1.0, 2.0]))())
    [0. 0. 2.]
    """

    x: Node
    alpha: float = 1.0
    formula = "where(x > alpha, x, 0)"
    onnx = "ThresholdedRelu"
    samples = (
        *(sample(s, domain=d) for s in ((), ("N", "M")) for d in ((1.1, 2.0), (-2.0, 0.9))),
        sample(("N",), domain=(1.1, 1.9), alpha=2.0),
    )


class ELU(Elementwise):
    """`x` where positive, else `alpha * (exp(x) - 1)`: `ELU(x, alpha=1.0)`.

    Source: D. Clevert et al., Fast and Accurate Deep Network Learning by ELUs, https://arxiv.org/abs/1511.07289.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.ELU([-1.0, 2.0]))().round(4))
    [-0.6321  2.    ]
    """

    x: Node
    alpha: float = 1.0
    formula = "where(x > 0, x, alpha * expm1(x))"
    onnx = "Elu"
    samples = (*_BOTH_SIDES, sample(("N",), domain=(-2.0, -0.1), alpha=0.5))


class CELU(Elementwise):
    """`x` where positive, else `alpha * (exp(x / alpha) - 1)`, smooth for every `alpha`: `CELU(x, alpha=1.0)`.

    Source: J. Barron, Continuously Differentiable Exponential Linear Units, https://arxiv.org/abs/1704.07483.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.CELU([-1.0, 2.0], alpha=0.5))().round(4))
    [-0.4323  2.    ]
    """

    x: Node
    alpha: float = 1.0
    formula = "where(x > 0, x, alpha * expm1(x / alpha))"
    onnx = "Celu"
    samples = (*_BOTH_SIDES, sample(("N",), domain=(-2.0, -0.1), alpha=0.5))


class SELU(Elementwise):
    """`gamma` times `x` where positive, else times `alpha * (exp(x) - 1)`: `SELU(x, alpha=1.673..., gamma=1.0507...)`.

    The two numbers keep mean 0 and variance 1 from layer to layer.
    Source: G. Klambauer et al., Self-Normalizing Neural Networks, https://arxiv.org/abs/1706.02515.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.SELU([-1.0, 2.0]))().round(4))
    [-1.1113  2.1014]
    """

    x: Node
    alpha: float = 1.6732632423543772
    gamma: float = 1.0507009873554805
    formula = "gamma * where(x > 0, x, alpha * expm1(x))"
    onnx = "Selu"
    samples = (*_BOTH_SIDES, sample(("N",), domain=(-2.0, -0.1), alpha=0.5, gamma=2.0))


_THREE_PIECES = ((-6.0, -3.2), (-2.0, 2.0), (3.2, 6.0))


class HardSigmoid(Elementwise):
    """`alpha * x + beta` between 0 and 1, which it does not leave: `HardSigmoid(x, alpha=0.2, beta=0.5)`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.HardSigmoid([-5.0, 1.0, 5.0]))().round(4))
    [0.  0.7 1. ]
    """

    x: Node
    alpha: float = 0.2
    beta: float = 0.5
    formula = "minimum(maximum(alpha * x + beta, 0), 1)"
    onnx = "HardSigmoid"
    samples = (
        *(sample(s, domain=d) for s in ((), ("N", "M")) for d in _THREE_PIECES),
        sample(("N",), domain=(-0.9, 0.9), alpha=0.5, beta=0.5),
    )


class HardSwish(Elementwise):
    """`x * max(0, min(1, x / 6 + 1 / 2))`.

    Source: A. Howard et al., Searching for MobileNetV3, https://arxiv.org/abs/1905.02244.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.HardSwish([-5.0, 1.0, 5.0]))().round(4))
    [-0.      0.6667  5.    ]
    """

    x: Node
    formula = "x * minimum(maximum(x / 6 + 0.5, 0), 1)"
    onnx = "HardSwish"
    samples = tuple(sample(s, domain=d) for s in ((), ("N", "M")) for d in _THREE_PIECES)
