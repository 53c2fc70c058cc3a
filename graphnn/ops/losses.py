"""Losses of class labels: SoftmaxCE from scores, NLL from log-probabilities, SigmoidCE for yes-or-no labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.broadcast import broadcast_shape, broadcast_to
from ..ir.leaf import Constant, count_of
from ..ir.node import Node, describe
from ..ir.spec import Shape
from .activations import Sigmoid
from .choice import Where
from .compare import NotEqual
from .composite import Composite
from .elementwise import Map
from .indexing import OneHot, Pick, check_integer
from .linear import MatMul
from .reductions import Mean, Sum
from .regression import check_reduction, check_same_shape, reduced, spread_loss
from .sample import refused, sample
from .softmax import LogSoftmax, Softmax

__all__ = ["SoftmaxCE", "NLL", "SigmoidCE"]


class SoftmaxCE(Composite):
    """Softmax with loss: the mean over rows of the cross-entropy `-sum_k t_k log softmax(s)_k`.

    `SoftmaxCE(scores, labels, reduction="mean", weight=None, ignore=None, smoothing=0.0)`: `scores` are (N, C), or have
    more leading axes. `labels` are integers (N,) or one-hot rows (N, C). `reduction` is "mean" (over rows), "sum" or
    "none". Labels are checked at every call, and scores may be of any size.

    `weight` (C,) has a factor for the loss of each class; the mean is then over the sum of the factors of all labels,
    instead of their number. Rows whose integer label is `ignore` do not count; the mean of no rows is NaN. `smoothing`
    distributes a part of each label over all classes: `(1 - smoothing) * t + smoothing / C`.
    Source: I. Goodfellow, Y. Bengio and A. Courville, Deep Learning, MIT Press 2016, section 6.2.2.3; smoothing:
    C. Szegedy and others, Rethinking the Inception Architecture, 2015, https://arxiv.org/abs/1512.00567, section 7.

    Raises:
        ShapeError: when scores and labels, or weights, do not fit together.
        DTypeError: when labels of rank N are not integers, or scores are not floats.
        LabelError: at the call, when a label is outside 0..C-1 and not ignored; -1 does not count from the end.
        GraphError: for another `reduction`, `ignore` with one-hot rows, or `smoothing` outside 0..1.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.SoftmaxCE([[0.0, 0.0], [1e4, 0.0]], [1, 0]))().round(4))
    0.3466
    """

    scores: Node
    labels: Node
    reduction: str = "mean"
    weight: Node | None = None
    ignore: int | None = None
    smoothing: float = 0.0
    onnx = "SoftmaxCrossEntropyLoss"
    samples = (
        sample(("N", 3), ("N",), dtypes=(None, "int64"), domain=(0, 2), least={"N": 1}),
        sample(("N", 3), ("N",), reduction="none", dtypes=(None, "int64"), domain=(0, 2)),
        sample(("N", 3), ("N", 3), reduction="sum", domain=(0.1, 1.0)),
        sample(("N", 2, 3), ("N", 2), dtypes=(None, "int64"), domain=(0, 2), ignore=1, smoothing=0.1, reduction="sum"),
        sample(("N", 3), ("N",), dtypes=(None, "int64"), domain=(0, 2), weight=(0.5, 1.0, 2.0), least={"N": 1}),
        sample(("N", 3), ("N", 3), smoothing=0.2, domain=(0.1, 1.0), least={"N": 1}),
        refused(ShapeError, ("N", 3), ("M",), dtypes=(None, "int64")),
        refused(DTypeError, ("N", 3), ("N",)),
        refused(GraphError, ("N", 3), ("N",), reduction="median", dtypes=(None, "int64")),
        refused(DTypeError, ("N", 3), ("N",), dtypes=("int64", "int64")),
        refused(GraphError, ("N", 3), ("N", 3), ignore=0),
        refused(GraphError, ("N", 3), ("N",), smoothing=1.5, dtypes=(None, "int64")),
    )

    def prepare(self) -> None:
        """Check that labels and scores fit."""
        scores, labels = self.scores, self.labels
        check_reduction(self)
        if scores.dtype.kind != "f":
            raise DTypeError(f"SoftmaxCE: scores {describe(scores)} must be of a float dtype.")
        if not scores.ndim or labels.shape not in (scores.shape, scores.shape[:-1]):
            raise ShapeError(
                f"SoftmaxCE: scores {describe(scores)} and labels {describe(labels)} do not fit: labels should be "
                f"integers {_shown(scores.shape[:-1])}, or one-hot rows {_shown(scores.shape)}."
            )
        if not self.one_hot:
            check_integer("SoftmaxCE", labels)
        elif self.ignore is not None:
            raise GraphError(
                f"SoftmaxCE: ignore={self.ignore} names an integer label, but {describe(labels)} are one-hot rows."
            )
        if not 0 <= self.smoothing <= 1:
            raise GraphError(f"SoftmaxCE: smoothing is {self.smoothing!r}; it is a part of one label, 0..1.")
        _check_weight(self, self.weight, scores)

    @property
    def one_hot(self) -> bool:
        """Are the labels one-hot rows?"""
        return self.labels.ndim == self.scores.ndim

    @property
    def plain(self) -> bool:
        """Are there no weights, ignored labels or smoothing?"""
        return self.weight is None and self.ignore is None and not self.smoothing

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int] | None:
        """Integer labels; classes are the scores of a row."""
        labelled = not self.one_hot and self.ignore is None  # where some are ignored, the rest is checked in `Pick`
        return (self.labels, self.scores.spec.concrete(sizes)[-1]) if labelled else None

    def target(self) -> Node:
        """The labels as one-hot rows in the dtype of the scores."""
        if self.one_hot:
            return self.labels.cast(self.scores.dtype)
        return OneHot(self.labels, _classes(self, self.scores), self.scores.dtype)

    def expand(self) -> Node:
        """`-log softmax` at the label, then the reduction."""
        log_y = LogSoftmax(self.scores)
        if self.plain:
            gains: Node = Sum(self.target() * log_y, -1) if self.one_hot else Pick(log_y, self.labels)
            match self.reduction:
                case "mean":
                    return -Mean(gains)
                case "sum":
                    return -Sum(gains)
            return -gains
        if self.one_hot:
            gains, weights = self._of_rows(log_y)
        else:
            gains, weights = _of_labels(self, log_y, self.labels, self.weight, self.ignore, self.smoothing)
        return reduced(-gains, self.reduction, weights)

    def _of_rows(self, log_y: Node) -> tuple[Node, Node | None]:
        """Each row's gain, and the weight of its label, for one-hot rows."""
        t, smoothing = self.target(), self.smoothing
        smooth = t * (1 - smoothing) + smoothing / _classes(self, self.scores) if smoothing else t
        if self.weight is None:
            return Sum(smooth * log_y, -1), None
        return Sum(smooth * self.weight * log_y, -1), MatMul(t, self.weight)

    def vjp(self, g: Node) -> tuple[Node | None, ...]:
        """`(y - t) / N` with y the softmax and t one-hot; for rows t that do not sum to one, `y * sum(t) - t`."""
        if not self.plain:
            return tuple(super().vjp(g))
        if self.reduction == "mean":
            g = g / count_of(self.scores.shape[:-1], g.dtype)
        if self.reduction == "none":
            g = g.reshape((*g.shape, 1))
        y, t = Softmax(self.scores), self.target()
        if not self.one_hot:
            return (y - t) * g, None
        d_scores = (y * Sum(t, -1, keepdims=True) - t) * g
        return d_scores, -LogSoftmax(self.scores) * g if self.labels.dtype == g.dtype else None


class NLL(Composite):
    """The negative log-likelihood of integer labels, given the logarithms of probabilities: `-log_y[label]`.

    `NLL(log_y, labels, reduction="mean", weight=None, ignore=None)` of (..., C) and integers (...); weights, ignored
    labels and reductions are as for `SoftmaxCE`, which is the same as `NLL(LogSoftmax(scores), labels)`.
    Source: C. Bishop, Pattern Recognition and Machine Learning, Springer 2006, equation 4.108.

    Raises:
        ShapeError: when there is not one label for each row, or one weight for each class.
        DTypeError: when labels are not integers, or log_y not floats.
        LabelError: when a label is outside 0..C-1 and not ignored, at the call.
        GraphError: for another `reduction`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.NLL([[-0.5, -1.0], [-2.0, -0.25]], [0, 1]))())
    0.375
    """

    log_y: Node
    labels: Node
    reduction: str = "mean"
    weight: Node | None = None
    ignore: int | None = None
    onnx = "NegativeLogLikelihoodLoss"
    samples = (
        sample(("N", 3), ("N",), dtypes=(None, "int64"), domain=(0, 2), least={"N": 1}),
        sample(("N", 2, 3), ("N", 2), reduction="none", ignore=1, dtypes=(None, "int64"), domain=(0, 2)),
        refused(ShapeError, ("N", 3), ("M",), dtypes=(None, "int64")),
        refused(DTypeError, ("N", 3), ("N",)),
        refused(DTypeError, ("N", 3), ("N",), dtypes=("int64", "int64")),
        refused(GraphError, ("N", 3), ("N",), reduction="median", dtypes=(None, "int64")),
    )

    def prepare(self) -> None:
        """Check that labels and probabilities fit."""
        log_y, labels = self.log_y, self.labels
        check_reduction(self)
        if log_y.dtype.kind != "f":
            raise DTypeError(f"NLL: {describe(log_y)} must be of a float dtype.")
        check_integer("NLL", labels)
        if not log_y.ndim or labels.shape != log_y.shape[:-1]:
            raise ShapeError(
                f"NLL: {describe(log_y)} and labels {describe(labels)} do not fit: "
                f"labels should be integers {_shown(log_y.shape[:-1])}."
            )
        _check_weight(self, self.weight, log_y)

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int] | None:
        """The labels; classes are the elements of a row."""
        return None if self.ignore is not None else (self.labels, self.log_y.spec.concrete(sizes)[-1])

    def expand(self) -> Node:
        """What is picked of each row, then the reduction."""
        gains, weights = _of_labels(self, self.log_y, self.labels, self.weight, self.ignore, 0.0)
        return reduced(-gains, self.reduction, weights)


class SigmoidCE(Composite):
    """The cross-entropy of yes-or-no labels: `-(p t log y + (1 - t) log(1 - y))`, with y the sigmoid of the score.

    `SigmoidCE(scores, labels, reduction="mean", pos_weight=None)`: labels t are floats, integers or bools in 0..1, of
    the shape of the scores. `pos_weight`, p, is a factor for the loss of positive labels, and broadcasts to that shape.
    It is computed as `(1 - t) max(s, 0) + p t max(-s, 0) + (1 - t + p t) log1p(exp(-|s|))`, which keeps full
    relative accuracy for scores of any size; so does its gradient, `(1 - t) sigmoid(s) - p t sigmoid(-s)`.
    Source: C. Bishop, Pattern Recognition and Machine Learning, Springer 2006, equation 4.90.

    Raises:
        ShapeError: when labels do not have the shape of the scores, or the weights do not broadcast to it.
        DTypeError: when scores are not floats.
        GraphError: for another `reduction`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.SigmoidCE([0.0, 1e4, -1e4], [1, 1, 1], reduction="none"))().round(4))
    [6.931e-01 0.000e+00 1.000e+04]
    """

    scores: Node
    labels: Node
    reduction: str = "mean"
    pos_weight: Node | None = None
    samples = (
        sample(("N", "M"), ("N", "M"), domain=(0.1, 0.9), least={"N": 1, "M": 1}),
        sample(("N",), ("N",), reduction="sum", dtypes=(None, "int64"), domain=(0, 1)),
        sample(("N",), ("N",), reduction="none", dtypes=(None, "bool"), domain=(0, 1)),
        sample((), ()),
        refused(ShapeError, ("N", 3), ("N",)),
        refused(DTypeError, ("N",), ("N",), dtypes=("int64", "int64")),
        refused(GraphError, ("N",), ("N",), reduction="median"),
    )

    def prepare(self) -> None:
        """Check that labels and scores fit."""
        scores, labels = self.scores, self.labels
        check_reduction(self)
        if scores.dtype.kind != "f":
            raise DTypeError(f"SigmoidCE: scores {describe(scores)} must be of a float dtype.")
        check_same_shape("SigmoidCE", scores, labels, "scores", "labels")
        dtype = np.result_type(scores.dtype, labels.dtype) if labels.dtype.kind == "f" else scores.dtype
        self.__dict__["scores"] = scores = scores.cast(dtype)
        self.__dict__["labels"] = labels.cast(dtype)
        if self.pos_weight is not None:
            weight = self.pos_weight.cast(scores.dtype)
            if broadcast_shape("SigmoidCE", {"scores": scores, "pos_weight": weight}) != scores.shape:
                raise ShapeError(
                    f"SigmoidCE: pos_weight {describe(weight)} does not broadcast to scores {describe(scores)}."
                )
            self.__dict__["pos_weight"] = broadcast_to(weight, scores.shape)

    def expand(self) -> Node:
        """The formula, then the reduction."""
        p = "p * " if self.pos_weight is not None else ""
        both = "1 - t + p * t" if p else "1"
        text = f"(1 - t) * maximum(s, 0) + {p}t * maximum(-s, 0) + ({both}) * log1p(exp(-abs(s)))"
        return reduced(self._map(text), self.reduction)

    def _map(self, text: str) -> Node:
        named = {"s": self.scores, "t": self.labels, "p": self.pos_weight}
        given = {name: node for name, node in named.items() if node is not None}
        return Map(text, tuple(given), tuple(given.values()))

    def vjp(self, g: Node) -> tuple[Node, ...]:
        """`(1 - t) sigmoid(s) - p t sigmoid(-s)`; by t `p softplus(-s) - softplus(s)`, by p `t softplus(-s)`."""
        g = spread_loss(g, self.reduction, self.scores.shape)
        s, t, p = self.scores, self.labels, self.pos_weight
        negative = "maximum(-s, 0) + log1p(exp(-abs(s)))"
        yes = t if p is None else p * t
        d_scores = g * ((1 - t) * Sigmoid(s) - yes * Sigmoid(-s))
        if p is None:
            return d_scores, -g * s
        loss = Map(negative, ("s",), (s,))
        return d_scores, g * (p * loss - (s + loss)), g * t * loss


def _of_labels(
    op: Node, log_y: Node, labels: Node, weight: Node | None, ignore: int | None, smoothing: float
) -> tuple[Node, Node | None]:
    """The gain of each row; and the weight of its label, if rows have different weights."""
    weights: Node | None = None
    if ignore is not None:
        kept = NotEqual(labels, Constant(ignore))
        labels = Where(
            kept, labels, Constant(0, dtype=labels.dtype)
        )  # a label that can be picked; what is picked is then weighed with 0
        weights = kept.cast(log_y.dtype)
    gains: Node = Pick(log_y, labels)
    if weight is not None:
        of_label = MatMul(OneHot(labels, _classes(op, log_y), weight.dtype), weight)
        gains = gains * of_label
        if smoothing:
            gains = gains * (1 - smoothing) + MatMul(log_y, weight) * (smoothing / _classes(op, log_y))
    elif smoothing:
        gains = gains * (1 - smoothing) + Sum(log_y, -1) * (smoothing / _classes(op, log_y))
    if weights is not None:
        gains = gains * weights
    if weight is not None:
        weights = of_label if weights is None else of_label * weights
    return gains, weights


def _classes(op: Node, scores: Node) -> int:
    classes = scores.shape[-1]
    if not isinstance(classes, int):
        raise ShapeError(f"{op.op}: {describe(scores)} needs a fixed number of classes, not {classes}.")
    return classes


def _check_weight(op: Node, weight: Node | None, scores: Node) -> None:
    """Refuse class weights that are not one for each class; bring them to the dtype of the scores."""
    if weight is None:
        return
    if weight.shape != scores.shape[-1:]:
        raise ShapeError(
            f"{op.op}: the class weights {describe(weight)} do not fit {describe(scores)}: "
            f"there should be one for each class, {_shown(scores.shape[-1:])}."
        )
    op.__dict__["weight"] = weight.cast(scores.dtype)


def _shown(shape: Shape) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
