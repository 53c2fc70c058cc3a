"""Reductions that are made of other reductions: LogSumExp, Norm, Variance."""

from __future__ import annotations

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.broadcast import broadcast_to
from ..ir.leaf import count_of
from ..ir.node import Node, describe
from ..ir.spec import Dim
from .axes import read_axes
from .composite import Composite
from .elementwise import Map
from .functions import Abs, Exp, Log, Sqrt
from .reductions import NOT_EMPTY, SAMPLES, Max, Mean, Sum, at_least_one, require_elements
from .sample import refused, sample
from .shape import Reshape
from .structure import StopGradient

__all__ = ["LogSumExp", "Norm", "Variance"]


class _Measure(Composite):
    """The base: axes read, and a value per row brought back to the operand's shape."""

    x: Node
    axis: int | tuple[int, ...] | None = None
    keepdims: bool = False

    def prepare(self) -> None:
        """Write the axes out; refuse bools."""
        if self.x.dtype.kind == "b":
            raise DTypeError(f"{self.op}: {describe(self.x)} is of bools; cast it first, as in x.astype('float32').")
        self.__dict__["axis"] = read_axes(self.op, self.axis, self.x)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes reduced, in rising order."""
        return self.axis  # type: ignore[return-value]  # `prepare` made it a tuple

    def kept(self, node: Node) -> Node:
        """A value per row, with reduced axes as size 1."""
        return node if self.keepdims else Reshape(node, _kept(self.x, self.axes))

    def spread(self, node: Node) -> Node:
        """A value per row, brought back to the operand's shape."""
        return broadcast_to(self.kept(node), self.x.shape)


def _kept(x: Node, axes: tuple[int, ...]) -> tuple[Dim, ...]:
    return tuple(1 if a in axes else dim for a, dim in enumerate(x.shape))


class LogSumExp(_Measure):
    """`log(sum(exp(x)))` over axes, without overflow: `LogSumExp(x, axis=None, keepdims=False)`.

    The largest number is subtracted first, and added to the result. For a row of `-inf`, the result is `-inf` and its
    gradient 0. The gradient is softmax.
    Source: P. Blanchard, D. J. Higham and N. J. Higham, Accurately computing the log-sum-exp and softmax
    functions, IMA Journal of Numerical Analysis 41 (2021).

    Raises:
        ShapeError: when there is no such axis, or it is empty.
        DTypeError: for bools.

    >>> import graphnn as gn, numpy as np
    >>> print(gn.compile(gn.LogSumExp([[1e4, 1e4], [-np.inf, -np.inf]], axis=1))().round(3))
    [10000.693     -inf]
    """

    onnx = "ReduceLogSumExp"
    samples = (*NOT_EMPTY, refused(ShapeError, (0, 2), axis=0), refused(DTypeError, ("N",), dtypes=("bool",)))

    def expand(self) -> Node:
        """`m + log(sum(exp(x - m)))` with m the maximum, or 0 where that is not finite."""
        require_elements("LogSumExp", self.x, self.axes, "maximum")
        m = self.largest()
        total = Log(Sum(Exp(self.x - m), self.axes, self.keepdims))
        return (m if self.keepdims else Reshape(m, total.shape)) + total

    def largest(self) -> Node:
        """The maximum of each row where it is finite, else 0: the difference of an infinity with itself is NaN."""
        m = StopGradient(Max(self.x, self.axes, keepdims=True))
        return Map("where(m - m == 0, m, 0)", ("m",), (m,))

    def room(self) -> tuple[Dim, ...]:
        """One element at least along each axis."""
        return at_least_one(self.x, self.axes)

    def vjp(self, g: Node) -> Node:
        """`g * e / sum(e)` with `e = exp(x - m)`: softmax, and 0 in a row of -inf.

        `exp(x - y)` would be shorter, but loses the digits of y that large numbers have no room for.
        """
        e = Exp(self.x - self.largest())
        total = Sum(e, self.axes, keepdims=True)
        share = Map("g / where(total == 0, 1, total)", ("g", "total"), (self.kept(g), total))
        return e * broadcast_to(share, self.x.shape)


class Norm(_Measure):
    """The norm of vectors along axes: `Norm(x, axis=None, keepdims=False, ord=2)`.

    `ord` is 1 (the sum of absolute values) or 2 (the root of the sum of squares). At the origin, the gradient is 0,
    which is one of the subgradients. Squares beyond the range of the dtype overflow, as in `numpy.linalg.norm`.

    Raises:
        ShapeError: when there is no such axis, or one is named twice.
        DTypeError: for bools.
        GraphError: for another `ord`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Norm([[3.0, 4.0], [0.0, 0.0]], axis=1))())
    [5. 0.]
    """

    ord: int = 2
    onnx = "ReduceL1, ReduceL2"
    samples = (
        *(s for s in SAMPLES if s.error is None and s.shapes != ((),)),
        sample(("N", "M"), axis=1, ord=1, domain=(0.2, 2.0)),
        sample(("N", "M"), axis=0, keepdims=True, ord=1, domain=(-2.0, -0.2)),
        sample((), domain=(0.2, 2.0)),
        refused(ShapeError, ("N", "M"), axis=2),
        refused(GraphError, ("N",), ord=3),
        refused(DTypeError, ("N",), dtypes=("bool",)),
    )

    def prepare(self) -> None:
        """Write the axes out; integers become floats in sight."""
        super().prepare()
        if self.ord not in (1, 2):
            raise GraphError(f"Norm: ord {self.ord!r} is neither 1 nor 2.")
        if self.x.dtype.kind != "f":
            self.__dict__["x"] = self.x.astype("float64")

    def expand(self) -> Node:
        """`sum(|x|)`, or `sqrt(sum(x * x))`."""
        if self.ord == 1:
            return Sum(Abs(self.x), self.axes, self.keepdims)
        return Sqrt(Sum(self.x * self.x, self.axes, self.keepdims))

    def vjp(self, g: Node) -> Node | tuple[Node | None, ...]:
        """Of the length y `g * x / y`, and 0 at 0; of absolute values the chain rule."""
        if self.ord == 1:
            return super().vjp(g)
        return self.spread(Map("g / where(y == 0, 1, y)", ("g", "y"), (g, self))) * self.x


class Variance(_Measure, method="var"):
    """The variance over axes, the mean squared deviation: `Variance(x, axis=None, keepdims=False, ddof=0)`.

    The sum of squares is divided by the count minus `ddof`; 1 gives the unbiased estimate from a sample. The variance
    of integers is a float. It is not finite for `ddof` or fewer numbers.

    Raises:
        ShapeError: when there is no such axis, or one is named twice.
        DTypeError: for bools.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Variance([[1.0, 3.0], [2.0, 2.0]], axis=1, ddof=1))())
    [2. 0.]
    """

    ddof: int = 0

    def prepare(self) -> None:
        """Write the axes out; check the number."""
        super().prepare()
        if isinstance(self.ddof, bool) or not isinstance(self.ddof, int) or self.ddof < 0:
            raise GraphError(f"Variance: ddof {self.ddof!r} is not a number, 0 or more ({describe(self.x)}).")

    samples = (
        *NOT_EMPTY,
        sample(("N", "M"), axis=0, ddof=1, least={"N": 2}),
        refused(DTypeError, ("N",), dtypes=("bool",)),
    )

    def expand(self) -> Node:
        """`sum(d * d) / (n - ddof)` with `d = x - mean(x)`."""
        d = self.distance()
        return Sum(d * d, self.axes, self.keepdims) / self.freedom(d)

    def vjp(self, g: Node) -> Node:
        """`g * 2 d / (n - ddof)`: what flows through the mean cancels."""
        d = self.distance()
        return self.spread(g * (2.0 / self.freedom(d))) * d

    def distance(self) -> Node:
        """From the mean."""
        return self.x - Mean(self.x, self.axes, keepdims=True)

    def freedom(self, beside: Node) -> Node:
        """The count less `ddof`, and never below 0."""
        n = count_of(tuple(self.x.shape[a] for a in self.axes), beside.dtype)
        return Map(f"maximum(n - {self.ddof}, 0)", ("n",), (n,)) if self.ddof else n
