"""Softmax and its logarithm, which turn scores into probabilities."""

from __future__ import annotations

from ..errors import ShapeError
from ..ir.node import Node
from .axes import read_axis
from .composite import Composite
from .functions import Exp, Log
from .reductions import Max, Sum
from .sample import refused, sample

__all__ = ["Softmax", "LogSoftmax"]


class Softmax(Composite):
    """The softmax `exp(s_k) / sum_i exp(s_i)` along an axis, for scores of any size: `Softmax(x, axis=-1)`.

    The largest score is subtracted first, which does not change the result, and avoids overflow.

    Raises:
        ShapeError: when there is no such axis.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Softmax([[1e4, 1e4], [0.0, -1e4]]))())
    [[0.5 0.5]
     [1.  0. ]]
    """

    x: Node
    axis: int = -1
    onnx = "Softmax"
    samples = (
        sample(("N", "M"), least={"M": 1}),
        sample(("N", "M"), axis=0, least={"N": 1}),
        sample(("N",), least={"N": 1}),
        refused(ShapeError, ()),
    )

    def prepare(self) -> None:
        """Read the axis."""
        self.__dict__["axis"] = read_axis("Softmax", self.axis, self.x)

    def expand(self) -> Node:
        """`e / sum(e)` with `e = exp(x - max(x))`."""
        e = Exp(_below_max(self.x, self.axis))
        return e / Sum(e, self.axis, keepdims=True)

    def vjp(self, g: Node) -> Node:
        """`y*g - y*sum(y*g)`, from the output y."""
        yg = self * g
        return yg - self * Sum(yg, self.axis, keepdims=True)


class LogSoftmax(Composite):
    """The logarithm of the softmax along an axis: `LogSoftmax(x, axis=-1)`. It is accurate where softmax underflows.

    Raises:
        ShapeError: when there is no such axis.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.LogSoftmax([[0.0, -1e4]]))())
    [[     0. -10000.]]
    """

    x: Node
    axis: int = -1
    onnx = "LogSoftmax"
    samples = Softmax.samples

    def prepare(self) -> None:
        """Read the axis."""
        self.__dict__["axis"] = read_axis("LogSoftmax", self.axis, self.x)

    def expand(self) -> Node:
        """`z - log(sum(exp(z)))` with `z = x - max(x)`."""
        z = _below_max(self.x, self.axis)
        return z - Log(Sum(Exp(z), self.axis, keepdims=True))

    def vjp(self, g: Node) -> Node:
        """`g - softmax(x) * sum(g)`."""
        return g - Softmax(self.x, self.axis) * Sum(g, self.axis, keepdims=True)


def _below_max(x: Node, axis: int) -> Node:
    # No gradient flows through the maximum: the ops made of this have rules of their own.
    return x - Max(x, axis, keepdims=True)
