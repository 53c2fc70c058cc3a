"""Losses for numbers: the mean squared error (MSE), the mean absolute error (L1), and the Huber loss."""

from __future__ import annotations

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.leaf import Constant, count_of
from ..ir.node import Node, describe
from ..ir.spec import Shape
from .choice import Maximum, Minimum
from .composite import Composite
from .elementwise import Map
from .functions import Abs
from .reductions import Mean, Sum
from .sample import refused, sample

__all__ = ["MSE", "L1", "Huber"]

_SAMPLES = (
    sample(("N", "M"), ("N", "M"), least={"N": 1, "M": 1}),
    sample(("N",), ("N",), reduction="sum"),
    sample(("N",), ("N",), reduction="none"),
    sample((), ()),
    refused(ShapeError, ("N",), ("N", 1)),
    refused(ShapeError, (2,), (3,)),
    refused(DTypeError, ("N",), ("N",), dtypes=("int64", "int64")),
    refused(GraphError, ("N",), ("N",), reduction="median"),
)


class MSE(Composite):
    """The mean squared error `mean((y - t)²)`; `MSE(y, t, reduction="mean")`, which is "mean", "sum" or "none".

    Source: C. Bishop, Pattern Recognition and Machine Learning, Springer 2006, section 1.1 (there half the sum).

    Raises:
        ShapeError: when y and t have different shapes. They do not broadcast.
        DTypeError: when both are integers.
        GraphError: for another `reduction`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.MSE([1.0, 2.0], [1.0, 4.0]))())
    2.0
    """

    y: Node
    t: Node
    reduction: str = "mean"
    samples = _SAMPLES

    def prepare(self) -> None:
        """Check that both have one shape."""
        _prepare_pair(self, self.y, self.t)

    def expand(self) -> Node:
        """The squares of the differences, then the reduction."""
        d = self.y - self.t
        return reduced(d * d, self.reduction)


class L1(Composite):
    """The mean absolute error `mean(|y - t|)`, with slope 0 where y equals t; `L1(y, t, reduction="mean")`.

    Source: T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical Learning, Springer 2009,
    section 10.6.

    Raises:
        ShapeError: when y and t have different shapes. They do not broadcast.
        DTypeError: when both are integers.
        GraphError: for another `reduction`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.L1([1.0, 2.0], [1.0, 4.0], reduction="sum"))())
    2.0
    """

    y: Node
    t: Node
    reduction: str = "mean"
    samples = _SAMPLES

    def prepare(self) -> None:
        """Check that both have one shape."""
        _prepare_pair(self, self.y, self.t)

    def expand(self) -> Node:
        """The sizes of the differences, then the reduction."""
        return reduced(Abs(self.y - self.t), self.reduction)


class Huber(Composite):
    """The Huber loss: `d²/2` for differences |d| up to delta, and `delta (|d| - delta/2)` beyond.

    `Huber(y, t, delta=1.0, reduction="mean")`. Its gradient is the difference, clipped to the range
    from -delta to delta.
    Source: P. Huber, Robust Estimation of a Location Parameter, Annals of Mathematical Statistics 35, 1964.

    Raises:
        ShapeError: when y and t have different shapes. They do not broadcast.
        DTypeError: when both are integers.
        GraphError: for another `reduction`, or when delta is not positive.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Huber([0.5, -3.0], [0.0, 0.0], reduction="none"))())
    [0.125 2.5  ]
    """

    y: Node
    t: Node
    delta: float = 1.0
    reduction: str = "mean"
    samples = (
        *_SAMPLES,
        sample(("N", "M"), ("N", "M"), delta=0.1, least={"N": 1, "M": 1}),
        refused(GraphError, ("N",), ("N",), delta=0.0),
    )

    def prepare(self) -> None:
        """Check that both have one shape."""
        if not self.delta > 0:
            raise GraphError(f"Huber: delta is {self.delta!r}; it must be positive.")
        _prepare_pair(self, self.y, self.t)

    def expand(self) -> Node:
        """The formula, then the reduction."""
        bound = repr(float(self.delta))
        text = f"where(abs(d) <= {bound}, 0.5 * d * d, {bound} * (abs(d) - 0.5 * {bound}))"
        return reduced(Map(text, ("d",), (self.y - self.t,)), self.reduction)

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """`g` times the difference held within delta, and its negative."""
        g = spread_loss(g, self.reduction, self.y.shape)
        d = self.y - self.t
        delta = Constant(self.delta, dtype=d.dtype)
        slope = g * Minimum(Maximum(d, -delta), delta)
        return slope, -slope


def reduced(losses: Node, reduction: str, weights: Node | None = None) -> Node:
    """Their mean (over the sum of the weights, if there are any), their sum, or the losses themselves."""
    if reduction == "mean":
        return Mean(losses) if weights is None else Sum(losses) / Sum(weights)
    return Sum(losses) if reduction == "sum" else losses


def spread_loss(g: Node, reduction: str, shape: Shape) -> Node:
    """What a gradient of the reduced loss is to each loss that went in; it may still be a scalar, which stretches."""
    return g / count_of(shape, g.dtype) if reduction == "mean" else g


def check_reduction(op: Node) -> None:
    """Refuse a reduction that is none of the three."""
    reduction = op.__dict__["reduction"]
    if reduction not in ("mean", "sum", "none"):
        raise GraphError(f"{op.op}: reduction {reduction!r} is none of 'mean', 'sum', 'none'.")


def check_same_shape(op: str, one: Node, other: Node, name: str, other_name: str) -> None:
    """Refuse a pair that would broadcast: (N,) against (N, 1) silently makes N² losses."""
    if one.shape != other.shape:
        raise ShapeError(
            f"{op}: {name} {describe(one)} and {other_name} {describe(other)} must have one shape; "
            "reshape one of them, as in t.reshape(y.shape)."
        )


def _prepare_pair(op: Node, y: Node, t: Node) -> None:
    check_reduction(op)
    check_same_shape(op.op, y, t, "y", "t")
    if y.dtype.kind != "f" and t.dtype.kind != "f":
        raise DTypeError(f"{op.op}: {describe(y)} and {describe(t)} are both not of a float dtype; cast one of them.")
