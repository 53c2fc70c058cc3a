"""Normalisation over the batch: BatchNorm, which uses running statistics for prediction."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.context import like
from ..ir.leaf import Parameter
from ..ir.node import Node, describe
from ..ir.spec import show_shape
from .axes import read_axis
from .composite import Composite
from .functions import Sqrt
from .normalise import align, require_floats
from .reductions import Mean, Sum
from .sample import refused, sample
from .shape import Reshape

__all__ = ["BatchNorm"]


class BatchNorm(Composite):
    """Batch normalisation: each channel gets mean 0 and variance 1 over the batch, then `* scale + shift`.

    `BatchNorm(x, scale, shift, running_mean, running_variance, momentum=0.9, epsilon=1e-5, axis=1)`: channels lie
    along `axis`, and the other four operands have one value for each channel. In training, mean and variance are those
    of the batch; the variance is divided by n. If the running statistics are parameters (declare them with
    `trainable=False`), a training step also updates them to `momentum * running + (1 - momentum) * batch`. With
    `training=False`, which `Model.predict` sets by itself, the result is
    `(x - running_mean) / sqrt(running_variance + epsilon) * scale + shift`.
    Source: S. Ioffe and C. Szegedy, Batch Normalization, 2015, https://arxiv.org/abs/1502.03167, algorithms 1 and 2;
    momentum and the variance are as the ONNX standard defines them.

    Raises:
        ShapeError: when one of the four does not have one value for each channel.
        DTypeError: when x is not of a float dtype.
        GraphError: when a running statistic is a trainable parameter, or momentum lies outside 0..1.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", 1))
    >>> mean = gn.Parameter("mean", [0.0], trainable=False)
    >>> variance = gn.Parameter("variance", [1.0], trainable=False)
    >>> y = gn.BatchNorm(x, gn.Parameter("scale", [1.0]), gn.Parameter("shift", [0.0]), mean, variance, momentum=0.5)
    >>> loss = gn.Sum(y * y)
    >>> step = gn.compile(loss, gn.SGD().updates(loss))
    >>> _ = step(x=[[2.0], [6.0]])
    >>> mean.value, variance.value
    (array([2.], dtype=float32), array([2.5], dtype=float32))
    """

    x: Node
    scale: Node
    shift: Node
    running_mean: Node
    running_variance: Node
    momentum: float = 0.9
    epsilon: float = 1e-5
    axis: int = 1
    training: bool = True
    onnx = "BatchNormalization"
    samples = (
        sample(("N", 2), (2,), (2,), (2,), (2,), least={"N": 2}, epsilon=0.1),
        sample(("N", 2, 3), (2,), (2,), (2,), (2,), least={"N": 1}, epsilon=0.1),
        sample(("N", 2, 3), (2,), (2,), (2,), (2,), training=False, domain=(0.3, 2.0)),
        sample(("N", 3), (3,), (3,), (3,), (3,), axis=-1, training=False, domain=(0.3, 2.0)),
        refused(ShapeError, ("N", 2), (3,), (2,), (2,), (2,)),
        refused(ShapeError, ("N", 2), (2,), (2,), (2,), (2, 1)),
        refused(ShapeError, ("N",), (2,), (2,), (2,), (2,), culprits=("x0",)),
        refused(DTypeError, ("N", 2), (2,), (2,), (2,), (2,), dtypes=("int64",)),
        refused(GraphError, ("N", 2), (2,), (2,), (2,), (2,), momentum=1.5),
    )

    def prepare(self) -> None:
        """Read the axis, and check that the four operands have one value for each channel."""
        x = self.x
        require_floats(self.op, x)
        self.__dict__["axis"] = axis = read_axis(self.op, self.axis, x)
        for name in ("scale", "shift", "running_mean", "running_variance"):
            node: Node = self.__dict__[name]
            if node.shape != (x.shape[axis],):
                raise ShapeError(
                    f"BatchNorm: the {name} {describe(node)} does not fit {describe(x)}: it should have one value "
                    f"for each channel along axis {axis}, {show_shape((x.shape[axis],))}."
                )
            if name.startswith("running") and isinstance(node, Parameter) and node.trainable:
                raise GraphError(
                    f"BatchNorm: the {name} {describe(node)} is trainable, so an optimiser would move it: "
                    "declare it with trainable=False."
                )
            self.__dict__[name] = node.cast(x.dtype)
        if not 0 <= self.momentum <= 1:
            raise GraphError(f"BatchNorm: momentum is {self.momentum!r}; it lies in 0..1.")

    @property
    def others(self) -> tuple[int, ...]:
        """The axes over which mean and variance are taken: all but that of the channels."""
        return tuple(a for a in range(self.x.ndim) if a != self.axis)

    def _statistics(self) -> tuple[Node, Node, Node, Node]:
        """Mean, variance and standard deviation of the batch by channel, and the normalised value; built once."""
        known: tuple[Node, Node, Node, Node] | None = self.__dict__.get("_parts")
        if known is None:
            mean = Mean(self.x, self.others, keepdims=True)
            centred = self.x - mean
            variance = Mean(centred * centred, self.others, keepdims=True)
            deviation = Sqrt(variance + self.epsilon)
            known = self.__dict__["_parts"] = (mean, variance, deviation, centred / deviation)
        return known

    def expand(self) -> Node:
        """The normalised value, scaled and shifted."""
        if self.training:
            y = self._statistics()[3]
        else:
            deviation = Sqrt(align(self.running_variance, self.x, self.axis) + self.epsilon)
            y = (self.x - align(self.running_mean, self.x, self.axis)) / deviation
        return y * align(self.scale, self.x, self.axis) + align(self.shift, self.x, self.axis)

    def vjp(self, g: Node) -> tuple[Node | None, ...]:
        """As for `LayerNorm`, over the batch. In training, the result does not depend on the running statistics."""
        if not self.training:
            return tuple(super().vjp(g))
        _, _, deviation, y = self._statistics()
        h, over = g * align(self.scale, self.x, self.axis), self.others
        dx = (h - Mean(h, over, keepdims=True) - y * Mean(h * y, over, keepdims=True)) / deviation
        return dx, Sum(g * y, over), Sum(g, over), None, None

    def infer_as(self) -> Node:
        """The op with running statistics."""
        if not self.training:
            return self
        with like(self):
            return BatchNorm(
                self.x, self.scale, self.shift, self.running_mean, self.running_variance,
                self.momentum, self.epsilon, self.axis, training=False,
            )  # fmt: skip

    def state_updates(self) -> Mapping[Parameter, Node]:
        """The running statistics with their next values."""
        if not self.training:
            return {}
        found: dict[Parameter, Node] = {}
        with like(self, inside=self.op):
            for kept, batch in zip((self.running_mean, self.running_variance), self._statistics()[:2], strict=True):
                if isinstance(kept, Parameter):
                    found[kept] = self.momentum * kept + (1 - self.momentum) * Reshape(batch, kept.shape)
        return found
