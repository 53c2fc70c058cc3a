"""Normalisation within a sample: LayerNorm, RMSNorm, InstanceNorm, GroupNorm."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import DTypeError, ShapeError
from ..ir.broadcast import broadcast_to
from ..ir.node import Node, describe
from ..ir.spec import Shape, show_shape
from .axes import read_axes
from .composite import Composite
from .functions import Sqrt
from .reductions import Mean, Sum
from .sample import refused, sample
from .shape import Reshape

__all__ = ["LayerNorm", "RMSNorm", "InstanceNorm", "GroupNorm"]


class LayerNorm(Composite):
    """Layer normalisation: the features of each sample get mean 0 and variance 1, then `* scale + shift`.

    `LayerNorm(x, scale, shift, axis=-1, epsilon=1e-5)` is `(x - mean) / sqrt(variance + epsilon) * scale + shift`, with
    mean and variance over `axis`, which is one axis or several. The variance is divided by n. `scale` and `shift` have
    the shape of these axes, or are None.
    Source: J. Ba, J. Kiros and G. Hinton, Layer Normalization, 2016, https://arxiv.org/abs/1607.06450, equation 4.

    Raises:
        ShapeError: when there is no such axis, or scale or shift does not have its shape.
        DTypeError: when x is not of a float dtype.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.LayerNorm([[1.0, 3.0], [10.0, 30.0]], [1.0, 2.0], [0.0, 1.0]))().round(3))
    [[-1.  3.]
     [-1.  3.]]
    """

    x: Node
    scale: Node | None = None
    shift: Node | None = None
    axis: int | tuple[int, ...] = -1
    epsilon: float = 1e-5
    onnx = "LayerNormalization"
    samples = (
        sample(("N", 4), (4,), (4,), least={"N": 1}),
        sample(("N", 2, 3), (2, 3), (2, 3), axis=(1, 2)),
        sample(("N", 3, 2), (3,), axis=1, epsilon=0.1),
        sample(("N", "M"), least={"M": 2}),
        refused(ShapeError, ("N", 4), (3,), (4,)),
        refused(ShapeError, ("N", 4), (4,), (3,)),
        refused(ShapeError, ("N", 4), (4,), (4,), axis=2, culprits=("x0",)),
        refused(DTypeError, ("N", 4), dtypes=("int64",)),
    )

    def prepare(self) -> None:
        """Read the axes, and check scale and shift against them."""
        _prepare_scaled(self, self.x, self.axis, {"scale": self.scale, "shift": self.shift})

    def _deviation(self) -> tuple[Node, Node, Node]:
        """The deviation from the mean, its root mean square, and their quotient; built once."""
        known: tuple[Node, Node, Node] | None = self.__dict__.get("_parts")
        if known is None:
            centred = self.x - Mean(self.x, self.axis, keepdims=True)
            deviation = Sqrt(Mean(centred * centred, self.axis, keepdims=True) + self.epsilon)
            known = self.__dict__["_parts"] = (centred, deviation, centred / deviation)
        return known

    def expand(self) -> Node:
        """The normalised value, scaled and shifted."""
        y = self._deviation()[2]
        if self.scale is not None:
            y = y * align(self.scale, self.x, self.axis)
        return y if self.shift is None else y + align(self.shift, self.x, self.axis)

    def vjp(self, g: Node) -> tuple[Node, ...]:
        """`(h - mean(h) - y*mean(h*y)) / deviation`, h = g·scale and y the normalised value; `sum(g*y)`, `sum(g)`."""
        _, deviation, y = self._deviation()
        h = g if self.scale is None else g * align(self.scale, self.x, self.axis)
        axis = self.axis
        found = [(h - Mean(h, axis, keepdims=True) - y * Mean(h * y, axis, keepdims=True)) / deviation]
        if self.scale is not None:
            found.append(gather(g * y, self.scale, axis))
        if self.shift is not None:
            found.append(gather(g, self.shift, axis))
        return tuple(found)


class RMSNorm(Composite):
    """RMS normalisation: each sample divided by its root mean square, `x / sqrt(mean(x²) + epsilon) * scale`.

    `RMSNorm(x, scale=None, axis=-1, epsilon=1e-5)`; `axis` is one axis or several, and `scale` has their shape.
    Source: B. Zhang and R. Sennrich, Root Mean Square Layer Normalization, 2019, https://arxiv.org/abs/1910.07467,
    equation 4.

    Raises:
        ShapeError: when there is no such axis, or the scale does not have its shape.
        DTypeError: when x is not of a float dtype.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.RMSNorm([[3.0, 4.0, 0.0, 0.0]], [1.0, 1.0, 1.0, 1.0]))().round(3))
    [[1.2 1.6 0.  0. ]]
    """

    x: Node
    scale: Node | None = None
    axis: int | tuple[int, ...] = -1
    epsilon: float = 1e-5
    onnx = "RMSNormalization"
    samples = (
        sample(("N", 4), (4,)),
        sample(("N", 2, 3), (2, 3), axis=(1, 2)),
        sample(("N", "M"), axis=0, epsilon=0.1, least={"N": 1}),
        refused(ShapeError, ("N", 4), (3,)),
        refused(DTypeError, ("N", 4), (4,), dtypes=("int64", None)),
    )

    def prepare(self) -> None:
        """Read the axes, and check the scale against them."""
        _prepare_scaled(self, self.x, self.axis, {"scale": self.scale})

    def expand(self) -> Node:
        """The quotient, scaled."""
        y = self.x / Sqrt(Mean(self.x * self.x, self.axis, keepdims=True) + self.epsilon)
        return y if self.scale is None else y * align(self.scale, self.x, self.axis)


class InstanceNorm(Composite):
    """Instance normalisation: each channel of each sample gets mean 0 and variance 1, then `* scale + shift`.

    `InstanceNorm(x, scale, shift, epsilon=1e-5)` of x (N, C, ...), with scale and shift (C,).
    Source: D. Ulyanov, A. Vedaldi and V. Lempitsky, Instance Normalization, 2016, https://arxiv.org/abs/1607.08022.

    Raises:
        ShapeError: for fewer than three axes, or when scale or shift does not have one value for each channel.
        DTypeError: when x is not of a float dtype.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.InstanceNorm([[[1.0, 3.0]]], [2.0], [0.0]))().round(3))
    [[[-2.  2.]]]
    """

    x: Node
    scale: Node
    shift: Node
    epsilon: float = 1e-5
    onnx = "InstanceNormalization"
    samples = (
        sample(("N", 2, 3), (2,), (2,), epsilon=0.1),
        sample(("N", 2, 2, 3), (2,), (2,), epsilon=0.1),
        refused(ShapeError, ("N", 2), (2,), (2,), culprits=("x0",)),
        refused(ShapeError, ("N", 2, 3), (3,), (2,)),
    )

    def prepare(self) -> None:
        """Check the axes, and scale and shift against the channels."""
        _prepare_channels(self, self.x, {"scale": self.scale, "shift": self.shift})

    def expand(self) -> Node:
        """A LayerNorm over the positions, then scale and shift by channel."""
        y = LayerNorm(self.x, axis=tuple(range(2, self.x.ndim)), epsilon=self.epsilon)
        return y * align(self.scale, self.x, 1) + align(self.shift, self.x, 1)


class GroupNorm(Composite):
    """Group normalisation: each group of channels of a sample gets mean 0 and variance 1, then `* scale + shift`.

    `GroupNorm(x, scale, shift, groups, epsilon=1e-5)` of x (N, C, ...), with scale and shift (C,).
    Source: Y. Wu and K. He, Group Normalization, 2018, https://arxiv.org/abs/1803.08494.

    Raises:
        ShapeError: for fewer than three axes, when the channels do not fall into so many equal groups, or when
            scale or shift does not have one value for each channel.
        DTypeError: when x is not of a float dtype.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", 6, 5, 5))
    >>> gn.GroupNorm(x, [1.0] * 6, [0.0] * 6, groups=3).spec
    Spec(shape=(N, 6, 5, 5), dtype=dtype('float32'))
    """

    x: Node
    scale: Node
    shift: Node
    groups: int
    epsilon: float = 1e-5
    onnx = "GroupNormalization"
    samples = (
        sample(("N", 4, 3), (4,), (4,), groups=2, epsilon=0.1),
        sample(("N", 2, 2, 3), (2,), (2,), groups=1, epsilon=0.1),
        refused(ShapeError, ("N", 4, 3), (4,), (4,), groups=3, culprits=("x0",)),
        refused(ShapeError, ("N", 4), (4,), (4,), groups=2, culprits=("x0",)),
        refused(ShapeError, ("N", 4, 3), (4,), (2,), groups=2),
    )

    def prepare(self) -> None:
        """Check the axes and groups, and scale and shift against the channels."""
        _prepare_channels(self, self.x, {"scale": self.scale, "shift": self.shift})
        channels = self.x.shape[1]
        if not isinstance(channels, int) or self.groups < 1 or channels % self.groups:
            raise ShapeError(
                f"GroupNorm: the {channels} channels of {describe(self.x)} do not fall into {self.groups} equal groups."
            )

    def expand(self) -> Node:
        """A LayerNorm over each group, then scale and shift by channel."""
        x = self.x
        channels = x.shape[1]
        assert isinstance(channels, int)
        grouped = Reshape(x, (x.shape[0], self.groups, channels // self.groups, *x.shape[2:]))
        y = Reshape(LayerNorm(grouped, axis=tuple(range(2, grouped.ndim)), epsilon=self.epsilon), x.shape)
        return y * align(self.scale, x, 1) + align(self.shift, x, 1)


def require_floats(op: str, x: Node) -> None:
    if x.dtype.kind != "f":
        raise DTypeError(f"{op}: {describe(x)} must be of a float dtype; cast it first, as in x.astype('float32').")


def _prepare_scaled(node: Node, x: Node, axis: int | tuple[int, ...], factors: Mapping[str, Node | None]) -> None:
    """Write the axes out, and refuse a scale or shift that does not have their shape."""
    require_floats(node.op, x)
    axes = read_axes(node.op, axis, x)
    node.__dict__["axis"] = axes
    expected: Shape = tuple(x.shape[a] for a in axes)
    for name, factor in factors.items():
        if factor is None:
            continue
        if factor.shape != expected:
            raise ShapeError(
                f"{node.op}: the {name} {describe(factor)} does not fit {describe(x)}: "
                f"normalised over axis {', '.join(map(str, axes))}, it should have the shape {show_shape(expected)}."
            )
        node.__dict__[name] = factor.cast(x.dtype)


def _prepare_channels(node: Node, x: Node, factors: Mapping[str, Node]) -> None:
    """Refuse a scale or shift that does not have one value for each channel."""
    require_floats(node.op, x)
    if x.ndim < 3:
        raise ShapeError(f"{node.op}: {describe(x)} should have three axes or more: samples, channels and positions.")
    for name, factor in factors.items():
        if factor.shape != x.shape[1:2]:
            raise ShapeError(
                f"{node.op}: the {name} {describe(factor)} does not fit {describe(x)}: "
                f"it should have one value for each channel, {show_shape(x.shape[1:2])}."
            )
        node.__dict__[name] = factor.cast(x.dtype)


def align(factor: Node, x: Node, axis: int | tuple[int, ...]) -> Node:
    """A value for each place along some axes, with size 1 for the others, repeated to the shape of x."""
    axes = (axis,) if isinstance(axis, int) else axis
    return broadcast_to(Reshape(factor, tuple(d if a in axes else 1 for a, d in enumerate(x.shape))), x.shape)


def gather(g: Node, factor: Node, axis: int | tuple[int, ...]) -> Node:
    """The adjoint of `align`."""
    axes = (axis,) if isinstance(axis, int) else axis
    return Reshape(Sum(g, tuple(a for a in range(g.ndim) if a not in axes)), factor.shape)
