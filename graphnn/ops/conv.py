"""Convolutions: Conv, its transpose ConvTranspose, and ConvWeight, the gradient with respect to the filters."""

from __future__ import annotations

from typing import Any

from ..errors import GraphError, ShapeError
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Shape, Spec, show_shape
from .convolving import convolve, convolve_transposed, correlate
from .filters import (
    check_bias,
    check_channels,
    check_groups,
    common_dtype,
    movement,
    positions,
    prepare_filters,
    read_movement,
    window_of,
)
from .im2col import Columns
from .reductions import Sum
from .sample import refused, sample
from .window import Window
from .windowed import Windowed

__all__ = ["Conv", "ConvTranspose", "ConvWeight"]


class Conv(Windowed):
    """The convolution of images with filters, plus a bias. As usual in neural networks, filters are not flipped.

    `Conv(x, W, b=None, stride=1, padding="valid", dilation=1, groups=1)` of images x (N, C, *image) and filters W
    (O, C / groups, *kernel), with one or more axes of positions: `y[n, o, p] = sum over c and k of
    W[o, c, k] * x[n, c, p*stride + k*dilation - padding] + b[o]`. Stride, padding and dilation are a number, or one
    for each axis. Padding may also be "valid" (none), "same", "same_lower", or a pair (before, after) for each axis.
    With groups, channels and filters are divided into as many groups, and each filter reads only the channels of its
    group. Its adjoint is ConvTranspose.
    Source: V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016,
    https://arxiv.org/abs/1603.07285; the ONNX operator Conv.

    Raises:
        ShapeError: when channels, groups or bias do not fit, or the filter is larger than the padded image.
        GraphError: for a stride, padding, dilation or groups that make no sense.

    >>> import graphnn as gn
    >>> x, W = gn.Input("x", ("N", 1, 8, 8)), gn.Parameter("W", [[[[0.0, 1.0], [1.0, 0.0]]]] * 4)
    >>> gn.Conv(x, W, stride=2).spec
    Spec(shape=(N, 4, 4, 4), dtype=dtype('float32'))
    """

    x: Node
    W: Node
    b: Node | None = None
    stride: Any = 1
    padding: Any = "valid"
    dilation: Any = 1
    groups: int = 1
    onnx = "Conv"
    adjoint = "ConvTranspose"
    samples = (
        sample(("N", 2, 4, 5), (3, 2, 2, 3)),
        sample(("N", 2, 5, 5), (3, 2, 3, 3), stride=2, padding="same"),
        sample(("N", 2, 5), (4, 1, 2), padding=((2, 1),), dilation=2, groups=2),
        sample(("B", 1, "K"), (2, 1, 3), padding="same", least={"K": 1}),
        sample(("N", 2, 3, 3), (2, 2, 1, 1)),
        refused(ShapeError, ("N", 3, 4, 4), (3, 2, 2, 2)),
        refused(ShapeError, ("N", 2, 4), (3, 2, 2, 2)),
        refused(ShapeError, ("N", 2, 4), (3, 2, 5), culprits=("x0",)),
        refused(ShapeError, ("N", 2, 4), (3, 1, 2), groups=2, culprits=("x1",)),
        refused(ShapeError, ("N", 2, 4), (3, 2, 2), (4,)),
        refused(ShapeError, ("N", 2, "K"), (3, 2, 2), stride=2, culprits=("x0",)),
        refused(GraphError, ("N", 2, 4), (3, 2, 2), stride=0),
        refused(GraphError, ("N", 2, 4), (3, 2, 2), padding=((1, 2), (1, 2))),
    )

    def prepare(self) -> None:
        """Cast to one dtype, read stride, padding and dilation, and check channels and bias."""
        x, W = prepare_filters(self, self.x, self.W, self.b)
        check_channels(self, x, W, W.shape[1] * self.groups, self.groups)
        check_bias(self, self.b, W, W.shape[0])

    @property
    def window(self) -> Window:
        """The window: a filter's size, and how it moves."""
        return window_of(self, self.W.shape[2:])

    def infer(self) -> Spec:
        """One channel for each filter, with a value for each place of the window."""
        x = self.x
        return Spec((x.shape[0], self.W.shape[0], *self.window.places("Conv", x, x.shape[2:])), x.dtype)

    def work(self) -> tuple[Shape, ...]:
        """A multiplication and an addition for each value of the result and each tap of a filter."""
        return ((2, *self.shape, *self.W.shape[1:]),)

    def room(self) -> tuple[Dim, ...]:
        """The window fits the image."""
        return self.window.slack(self.x.shape[2:])

    def columns(self) -> Columns:
        """How the images lie as columns."""
        return Columns(self.window, self.x.shape, self.shape[2:], self.dtype)

    def scratch(self) -> tuple[Spec, ...]:
        """The columns of a chunk of samples, the padded images, and the products."""
        columns = self.columns()
        return columns.columns_spec(), columns.padded_spec(), columns.values_spec(self.W.shape[0])

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """For each chunk of samples: the columns, one product with the filters, the bias added on the way out."""
        columns = self.columns().bound(xp, ins[0].shape, out.shape[2:])
        return convolve(columns, ins, out, scratch, self.groups)

    def vjp(self, g: Node) -> tuple[Node, ...]:
        """ConvTranspose of g and the filters; ConvWeight of the images and g; the sum of g for each channel."""
        move = movement(self)
        dx = ConvTranspose(g, self.W, extra=self.window.rest(self.x.shape[2:]), **move)
        dW = ConvWeight(self.x, g, self.W.shape[2:], **move)
        return (dx, dW) if self.b is None else (dx, dW, Sum(g, positions(g)))


class ConvTranspose(Windowed):
    """The transposed convolution: each value of x times a filter, added up where these overlap, plus a bias.

    `ConvTranspose(x, W, b=None, stride=1, padding="valid", dilation=1, groups=1, extra=0)` of x (N, C, *places) and
    filters W (C, O / groups, *kernel). The result has the shape of an image that Conv with the same filters, stride,
    padding and dilation turns into the shape of x. The padding is taken away from the result. `extra` adds positions at
    the end that no window of Conv would reach, fewer than the stride; ONNX calls it output_padding. Its adjoint is
    Conv.
    Source: V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016,
    https://arxiv.org/abs/1603.07285, chapter 4; the ONNX operator ConvTranspose.

    Raises:
        ShapeError: when channels, groups or bias do not fit, or when the padding leaves nothing of the result.
        GraphError: for a stride, padding, dilation, groups or extra that make no sense.

    >>> import graphnn as gn
    >>> x, W = gn.Input("x", ("N", 4, 4, 4)), gn.Parameter("W", [[[[0.0, 1.0], [1.0, 0.0]]]] * 4)
    >>> gn.ConvTranspose(x, W, stride=2).spec
    Spec(shape=(N, 1, 8, 8), dtype=dtype('float32'))
    """

    x: Node
    W: Node
    b: Node | None = None
    stride: Any = 1
    padding: Any = "valid"
    dilation: Any = 1
    groups: int = 1
    extra: Any = 0
    onnx = "ConvTranspose"
    adjoint = "Conv"
    samples = (
        sample(("N", 2, 2, 3), (2, 3, 2, 3)),
        sample(("N", 2, 2, 2), (2, 3, 3, 3), stride=2, padding=1, extra=1),
        sample(("N", 4, 3), (4, 2, 2), padding=((1, 0),), dilation=2, groups=2),
        sample(("B", 2, "K"), (2, 1, 3), padding="same", stride=2, least={"K": 1}),
        refused(ShapeError, ("N", 3, 4, 4), (2, 3, 2, 2)),
        refused(ShapeError, ("N", 2, 1), (2, 3, 2), padding=1, culprits=("x0",)),
        refused(ShapeError, ("N", 2, 4), (2, 3, 2), (2,)),
        refused(GraphError, ("N", 2, 4), (2, 3, 2), extra=1),
    )

    def prepare(self) -> None:
        """Cast to one dtype, read stride, padding and dilation, and check channels, bias and extra."""
        x, W = prepare_filters(self, self.x, self.W, self.b, transposed=True)
        check_channels(self, x, W, W.shape[0], self.groups)
        check_bias(self, self.b, W, W.shape[1] * self.groups)
        extra = tuple(self.extra) if isinstance(self.extra, (tuple, list)) else (self.extra,) * (x.ndim - 2)
        if len(extra) != x.ndim - 2 or not all(0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            raise GraphError(
                f"ConvTranspose: extra is {self.extra!r}; it is a number of positions below the stride "
                f"{self.stride}, or one for each axis."
            )
        self.__dict__["extra"] = extra

    @property
    def window(self) -> Window:
        """The window: a filter's size, and how it moves."""
        return window_of(self, self.W.shape[2:])

    def infer(self) -> Spec:
        """The shape of images whose convolution has the shape of x."""
        x = self.x
        image = self.window.image(x.shape[2:], self.extra)
        if any(isinstance(n, int) and n < 1 for n in image):
            raise ShapeError(f"ConvTranspose: of {describe(x)} nothing is left within the padding {self.padding}.")
        return Spec((x.shape[0], self.W.shape[1] * self.groups, *image), x.dtype)

    def work(self) -> tuple[Shape, ...]:
        """A multiplication and an addition for each value of x and each tap of a filter."""
        return ((2, *self.x.shape, *self.W.shape[1:]),)

    def columns(self) -> Columns:
        """How the images that come out lie as columns."""
        return Columns(self.window, self.shape, self.x.shape[2:], self.dtype)

    def scratch(self) -> tuple[Spec, ...]:
        """The columns of a chunk of samples, the padded images, and the values of x at each column."""
        columns = self.columns()
        return columns.columns_spec(), columns.padded_spec(), columns.values_spec(self.x.shape[1])

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """For each chunk of samples: one product makes the columns, and a call for each tap adds them to the images."""
        columns = self.columns().bound(xp, out.shape, ins[0].shape[2:])
        return convolve_transposed(columns, ins, out, scratch, self.groups)

    def vjp(self, g: Node) -> tuple[Node, ...]:
        """Conv of g and the filters; ConvWeight of g and x; the sum of g over all axes but channels."""
        move = movement(self)
        dx, dW = Conv(g, self.W, **move), ConvWeight(g, self.x, self.W.shape[2:], **move)
        return (dx, dW) if self.b is None else (dx, dW, Sum(g, positions(g)))


class ConvWeight(Windowed):
    """The gradient of a convolution with respect to its filters: from the images, and the upstream gradient g.

    `ConvWeight(x, g, kernel, stride=1, padding="valid", dilation=1, groups=1)` of images x (N, C, *image) and g (N, O,
    *places): `dW[o, c, k] = sum over n and p of g[n, o, p] * x[n, c, p*stride + k*dilation - padding]`, of shape (O, C
    / groups, *kernel). As a function of x, its adjoint is ConvTranspose; as a function of g, it is Conv. So a
    convolution can be differentiated to any order.
    Source: V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016,
    https://arxiv.org/abs/1603.07285.

    Raises:
        ShapeError: when g does not have a value for each place, or when channels cannot be divided into the groups.
        GraphError: for a kernel, stride, padding, dilation or groups that make no sense.

    >>> import graphnn as gn
    >>> x, g = gn.Input("x", ("N", 1, 8, 8)), gn.Input("g", ("N", 4, 6, 6))
    >>> gn.ConvWeight(x, g, (3, 3)).spec
    Spec(shape=(4, 1, 3, 3), dtype=dtype('float32'))
    """

    x: Node
    g: Node
    kernel: Any
    stride: Any = 1
    padding: Any = "valid"
    dilation: Any = 1
    groups: int = 1
    adjoint = "ConvTranspose"
    samples = (
        sample(("N", 2, 4, 5), ("N", 3, 3, 3), kernel=(2, 3)),
        sample(("N", 2, 5, 5), ("N", 3, 3, 3), kernel=(3, 3), stride=2, padding=1),
        sample(("N", 2, 5), ("N", 4, 6), kernel=(2,), padding=((2, 1),), dilation=2, groups=2),
        refused(ShapeError, ("N", 2, 4), ("N", 3, 4), kernel=(2,)),
        refused(ShapeError, ("N", 2, 4), ("M", 3, 3), kernel=(2,)),
        refused(ShapeError, ("N", 3, 4), ("N", 2, 3), kernel=(2,), groups=2),
    )

    def prepare(self) -> None:
        """Cast to one dtype, read stride, padding and dilation, and check places and channels."""
        x, g = self.x, self.g
        dtype = common_dtype(self, x, g)
        self.__dict__.update(x=x.cast(dtype), g=g.cast(dtype), kernel=tuple(self.kernel))
        read_movement(self, x, self.kernel)
        places = self.window.places("ConvWeight", x, x.shape[2:])
        if g.shape[:1] != x.shape[:1] or g.shape[2:] != places:
            raise ShapeError(
                f"ConvWeight: {describe(g)} should have one value of every channel for each sample of {describe(x)} "
                f"and each place of the window, {show_shape((*x.shape[:1], *g.shape[1:2], *places))}."
            )
        check_groups(self, self.groups, x, g)

    @property
    def window(self) -> Window:
        """The window: the kernel, and how it moves."""
        return window_of(self, self.kernel)

    def infer(self) -> Spec:
        """A filter for each channel of g."""
        channels = self.x.shape[1]
        return Spec((self.g.shape[1], channels // self.groups, *self.kernel), self.x.dtype)

    def work(self) -> tuple[Shape, ...]:
        """A multiplication and an addition for each value of g and each tap of a filter."""
        return ((2, *self.g.shape, *self.shape[1:]),)

    def room(self) -> tuple[Dim, ...]:
        """The window fits the image."""
        return self.window.slack(self.x.shape[2:])

    def columns(self) -> Columns:
        """How the images lie as columns."""
        return Columns(self.window, self.x.shape, self.g.shape[2:], self.dtype)

    def scratch(self) -> tuple[Spec, ...]:
        """The columns of a chunk of samples, the padded images, the values of g at each column, and one product."""
        columns = self.columns()
        return columns.columns_spec(), columns.padded_spec(), columns.values_spec(self.g.shape[1]), self._single()

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """For each chunk of samples: the columns, and one product with g. The products are added up."""
        columns = self.columns().bound(xp, ins[0].shape, ins[1].shape[2:])
        return correlate(columns, ins, out, scratch, self.groups)

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """ConvTranspose of g and the upstream gradient, which has the shape of filters; Conv of the images and that."""
        move = movement(self)
        return ConvTranspose(self.g, g, extra=self.window.rest(self.x.shape[2:]), **move), Conv(self.x, g, **move)
