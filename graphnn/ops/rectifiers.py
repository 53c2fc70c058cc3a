"""Rectifiers: activations with a kink, then those that clip."""

from __future__ import annotations

from ..errors import ShapeError
from ..ir.node import Node
from .elementwise import Elementwise
from .sample import BOTH_SIDES, refused, sample

__all__ = [
    "ReLU", "LeakyReLU", "PReLU", "ThresholdedReLU", "ELU", "CELU", "SELU",
    "HardSigmoid", "HardSwish",
]  # fmt: skip


class ReLU(Elementwise):
    """The rectifier `max(x, 0)`, with slope 0 at 0.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.ReLU([-1.0, 2.0]))())
    [0. 2.]
    """

    x: Node
    formula = "maximum(x, 0)"
    onnx = "Relu"
    samples = BOTH_SIDES


class LeakyReLU(Elementwise):
    """`x` where it is positive, else `alpha * x`: `LeakyReLU(x, alpha=0.01)`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.LeakyReLU([-1.0, 2.0], alpha=0.5))())
    [-0.5  2. ]
    """

    x: Node
    alpha: float = 0.01
    formula = "where(x > 0, x, alpha * x)"
    onnx = "LeakyRelu"
    samples = (*BOTH_SIDES, sample(("N",), domain=(-2.0, -0.1), alpha=0.3))


class PReLU(Elementwise):
    """`x` where it is positive, else `slope * x`: `PReLU(x, slope)`. The slope may be learned; the two broadcast.

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
    """`x` where it is positive, else `alpha * (exp(x) - 1)`: `ELU(x, alpha=1.0)`.

    Source: D. Clevert et al., Fast and Accurate Deep Network Learning by ELUs, https://arxiv.org/abs/1511.07289.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.ELU([-1.0, 2.0]))().round(4))
    [-0.6321  2.    ]
    """

    x: Node
    alpha: float = 1.0
    formula = "where(x > 0, x, alpha * expm1(x))"
    onnx = "Elu"
    samples = (*BOTH_SIDES, sample(("N",), domain=(-2.0, -0.1), alpha=0.5))


class CELU(Elementwise):
    """`x` where it is positive, else `alpha * (exp(x / alpha) - 1)`, smooth for every `alpha`: `CELU(x, alpha=1.0)`.

    Source: J. Barron, Continuously Differentiable Exponential Linear Units, https://arxiv.org/abs/1704.07483.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.CELU([-1.0, 2.0], alpha=0.5))().round(4))
    [-0.4323  2.    ]
    """

    x: Node
    alpha: float = 1.0
    formula = "where(x > 0, x, alpha * expm1(x / alpha))"
    onnx = "Celu"
    samples = (*BOTH_SIDES, sample(("N",), domain=(-2.0, -0.1), alpha=0.5))


class SELU(Elementwise):
    """`gamma` times `x` where positive, else times `alpha * (exp(x) - 1)`: `SELU(x, alpha=1.673..., gamma=1.0507...)`.

    With the default numbers, layers keep mean 0 and variance 1.
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
    samples = (*BOTH_SIDES, sample(("N",), domain=(-2.0, -0.1), alpha=0.5, gamma=2.0))


_THREE_PIECES = ((-6.0, -3.2), (-2.0, 2.0), (3.2, 6.0))


class HardSigmoid(Elementwise):
    """`alpha * x + beta`, limited to the range from 0 to 1: `HardSigmoid(x, alpha=0.2, beta=0.5)`.

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
