"""Losses: Softmax, LogSoftmax and the softmax with loss (SoftmaxCE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.leaf import count_of
from ..ir.node import Node, describe
from .axes import read_axis
from .composite import Composite
from .functions import Exp, Log
from .indexing import OneHot, Pick, check_integer
from .reductions import Max, Mean, Sum
from .sample import refused, sample
from .structure import StopGradient

__all__ = ["Softmax", "LogSoftmax", "SoftmaxCE"]


class Softmax(Composite):
    """`exp(s_k) / sum_i exp(s_i)` along an axis, right for scores of any size: `Softmax(x, axis=-1)`.

    The largest score is subtracted first, which changes nothing but the range.

    Raises:
        ShapeError: when there is no such axis.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Softmax([[1e4, 1e4], [0.0, -1e4]]))())
    [[0.5 0.5]
     [1.  0. ]]
    """

    x: Node
    axis: int = -1
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
    """The logarithm of softmax along an axis, accurate where softmax itself vanishes: `LogSoftmax(x, axis=-1)`.

    Raises:
        ShapeError: when there is no such axis.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.LogSoftmax([[0.0, -1e4]]))())
    [[     0. -10000.]]
    """

    x: Node
    axis: int = -1
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
    # The shift cancels in what is made of it, so no gradient needs to flow through the maximum.
    return x - StopGradient(Max(x, axis, keepdims=True))


class SoftmaxCE(Composite):
    """Softmax with loss: the cross-entropy `-sum_k t_k log softmax(s)_k` of each row, and its mean.

    `scores` are (N, C) (or any leading axes); `labels` are integers (N,) or one-hot rows (N, C); `reduction` is
    "mean" (over rows), "sum" or "none". Labels are checked at every call, and scores of any size are safe.
    Source: I. Goodfellow, Y. Bengio and A. Courville, Deep Learning, MIT Press 2016, section 6.2.2.3.

    Raises:
        ShapeError: when scores and labels do not fit together.
        DTypeError: when labels of rank N are not integers, or scores are not floats.
        LabelError: when a label is outside 0..C-1, at the call; -1 never wraps.
        GraphError: for another `reduction`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.SoftmaxCE([[0.0, 0.0], [1e4, 0.0]], [1, 0]))().round(4))
    0.3466
    """

    scores: Node
    labels: Node
    reduction: str = "mean"
    samples = (
        sample(("N", 3), ("N",), dtypes=(None, "int64"), domain=(0, 2), least={"N": 1}),
        sample(("N", 3), ("N",), reduction="none", dtypes=(None, "int64"), domain=(0, 2)),
        sample(("N", 3), ("N", 3), reduction="sum", domain=(0.1, 1.0)),
        refused(ShapeError, ("N", 3), ("M",), dtypes=(None, "int64")),
        refused(DTypeError, ("N", 3), ("N",)),
        refused(GraphError, ("N", 3), ("N",), reduction="median", dtypes=(None, "int64")),
        refused(DTypeError, ("N", 3), ("N",), dtypes=("int64", "int64")),
    )

    def prepare(self) -> None:
        """Check that labels and scores fit."""
        scores, labels = self.scores, self.labels
        if self.reduction not in ("mean", "sum", "none"):
            raise GraphError(f"SoftmaxCE: reduction {self.reduction!r} is none of 'mean', 'sum', 'none'.")
        if scores.dtype.kind != "f":
            raise DTypeError(f"SoftmaxCE: scores {describe(scores)} must be of a float dtype.")
        if not scores.ndim or labels.shape not in (scores.shape, scores.shape[:-1]):
            raise ShapeError(
                f"SoftmaxCE: scores {describe(scores)} and labels {describe(labels)} do not fit: labels should be "
                f"integers {_shown(scores.shape[:-1])}, or one-hot rows {_shown(scores.shape)}."
            )
        if not self.one_hot:
            check_integer("SoftmaxCE", labels)

    @property
    def one_hot(self) -> bool:
        """Are the labels one-hot rows?"""
        return self.labels.ndim == self.scores.ndim

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int] | None:
        """Integer labels; classes are the scores of a row."""
        return None if self.one_hot else (self.labels, self.scores.spec.concrete(sizes)[-1])

    def target(self) -> Node:
        """The labels as one-hot rows in the dtype of the scores."""
        if self.one_hot:
            return self.labels.cast(self.scores.dtype)
        classes = self.scores.shape[-1]
        if not isinstance(classes, int):
            raise ShapeError(f"SoftmaxCE: {describe(self.scores)} needs a fixed number of classes, not {classes}.")
        return OneHot(self.labels, classes, self.scores.dtype)

    def expand(self) -> Node:
        """`-log softmax` at the label, then the reduction."""
        log_y = LogSoftmax(self.scores)
        gains = Sum(self.target() * log_y, -1) if self.one_hot else Pick(log_y, self.labels)
        match self.reduction:
            case "mean":
                return -Mean(gains)
            case "sum":
                return -Sum(gains)
        return -gains

    def vjp(self, g: Node) -> tuple[Node, Node | None]:
        """`(y - t) / N` with y the softmax and t one-hot; for rows t that do not sum to one, `y * sum(t) - t`."""
        if self.reduction == "mean":
            g = g / count_of(self.scores.shape[:-1], g.dtype)
        if self.reduction == "none":
            g = g.reshape((*g.shape, 1))
        y, t = Softmax(self.scores), self.target()
        if not self.one_hot:
            return (y - t) * g, None
        d_scores = (y * Sum(t, -1, keepdims=True) - t) * g
        return d_scores, -LogSoftmax(self.scores) * g if self.labels.dtype == g.dtype else None


def _shown(shape: Any) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
