"""Changes of shape that are made of Reshape and Repeat: Flatten, Squeeze, Unsqueeze, Broadcast, Tile."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..ir.broadcast import broadcast_to
from ..ir.node import Node, describe
from ..ir.spec import Dim, Shape, Size, as_dim, as_shape, show_shape
from .axes import read_axes, read_axis
from .composite import Composite
from .sample import refused, sample
from .shape import Repeat, Reshape

__all__ = ["Flatten", "Squeeze", "Unsqueeze", "Broadcast", "Tile"]


class Flatten(Composite):
    """A matrix of all elements: `Flatten(x, axis=1)`. Rows are the axes before `axis`, columns the others.

    A batch of images (N, 3, 8, 8) becomes (N, 192). Its adjoint is Reshape.

    Raises:
        ShapeError: when there is no such axis, or rows or columns are not of the form k·N + c.

    >>> import graphnn as gn
    >>> gn.Flatten(gn.Input("x", ("N", 3, 8, 8))).spec
    Spec(shape=(N, 192), dtype=dtype('float32'))
    """

    x: Node
    axis: int = 1
    adjoint = "Reshape"
    onnx = "Flatten"
    samples = (
        sample(("N", 2, 3)),
        sample(("N", 2, 3), axis=2),
        sample((2, 3, "N"), axis=-1),
        sample(("N",), axis=0),
        sample((), axis=0),
        refused(ShapeError, ("N", 2), axis=3),
        refused(ShapeError, ("N", "M", 2), axis=2),
    )

    def prepare(self) -> None:
        """Read the axis, which may be one behind the last."""
        if self.axis != self.x.ndim:
            self.__dict__["axis"] = read_axis("Flatten", self.axis, self.x)

    def expand(self) -> Node:
        """A Reshape."""
        shape = self.x.shape
        return Reshape(self.x, (self._product(shape[: self.axis]), self._product(shape[self.axis :])))

    def _product(self, dims: Shape) -> Dim:
        product: Dim = 1
        for dim in dims:
            try:
                product = dim * product
            except ShapeError as error:
                raise ShapeError(f"Flatten: {describe(self.x)} at axis {self.axis}: {error}") from None
        return product


class Squeeze(Composite, method="squeeze"):
    """A value without some axes of size 1: `Squeeze(x, axis=None)`. Its adjoint is Unsqueeze.

    `axis` is a number or a tuple. Without it, all axes of size 1 are removed.

    Raises:
        ShapeError: when there is no such axis, or when its size is not 1 for all named sizes.

    >>> import graphnn as gn
    >>> gn.Squeeze(gn.Input("x", ("N", 1, 3, 1)), axis=1).spec
    Spec(shape=(N, 3, 1), dtype=dtype('float32'))
    """

    x: Node
    axis: int | tuple[int, ...] | None = None
    adjoint = "Unsqueeze"
    onnx = "Squeeze"
    samples = (
        sample(("N", 1, 2, 1), least={"N": 2}),
        sample((1, "N", 1), axis=-1),
        sample((1, "N", 1), axis=(0, 2)),
        sample(("N", "M"), axis=()),
        refused(ShapeError, ("N", 1), axis=0),
        refused(ShapeError, ("N", 1), axis=2),
    )

    def prepare(self) -> None:
        """Write the axes out."""
        x = self.x
        ones = tuple(a for a, dim in enumerate(x.shape) if dim == 1)
        axes = ones if self.axis is None else read_axes("Squeeze", self.axis, x)
        for a in axes:
            if a not in ones:
                raise ShapeError(
                    f"Squeeze: axis {a} of {describe(x)} has size {x.shape[a]}; only an axis of size 1 can go."
                )
        self.__dict__["axis"] = axes

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that are removed, in rising order."""
        return self.axis  # type: ignore[return-value]  # `prepare` made it a tuple

    def expand(self) -> Node:
        """A Reshape."""
        return Reshape(self.x, tuple(dim for a, dim in enumerate(self.x.shape) if a not in self.axes))

    def vjp(self, g: Node) -> Node:
        """The gradient with these axes again."""
        return Unsqueeze(g, self.axes)


class Unsqueeze(Composite):
    """A value with new axes of size 1: `Unsqueeze(x, axis)`. Its adjoint is Squeeze.

    `axis` is a number or a tuple, the position of each new axis in the result.

    Raises:
        ShapeError: when the result has no such axis, or one is named twice.

    >>> import graphnn as gn
    >>> gn.Unsqueeze(gn.Input("x", ("N", 3)), (0, -1)).spec
    Spec(shape=(1, N, 3, 1), dtype=dtype('float32'))
    """

    x: Node
    axis: int | tuple[int, ...]
    adjoint = "Squeeze"
    onnx = "Unsqueeze"
    samples = (
        sample(("N", "M"), axis=1),
        sample(("N", "M"), axis=(0, -1)),
        sample((), axis=0),
        sample(("N",), axis=()),
        refused(ShapeError, ("N",), axis=2),
        refused(ShapeError, ("N",), axis=(0, -3)),
    )

    def prepare(self) -> None:
        """Count the axes from 0, in the result."""
        asked = self.axis if isinstance(self.axis, (tuple, list)) else (self.axis,)
        ndim = self.x.ndim + len(asked)
        if any(isinstance(a, bool) or not hasattr(a, "__index__") or not -ndim <= a < ndim for a in asked):
            raise ShapeError(
                f"Unsqueeze: axis {self.axis} is not there: with {len(asked)} more, {describe(self.x)} has {ndim} axes."
            )
        axes = tuple(sorted(int(a) % ndim for a in asked))
        if len(set(axes)) < len(axes):
            raise ShapeError(f"Unsqueeze: axis {self.axis} names an axis of the result twice, from {describe(self.x)}.")
        self.__dict__["axis"] = axes

    @property
    def axes(self) -> tuple[int, ...]:
        """The positions of the new axes in the result, in rising order."""
        return self.axis  # type: ignore[return-value]  # `prepare` made it a tuple

    def expand(self) -> Node:
        """A Reshape."""
        dims = iter(self.x.shape)
        ndim = self.x.ndim + len(self.axes)
        return Reshape(self.x, tuple(1 if a in self.axes else next(dims) for a in range(ndim)))

    def vjp(self, g: Node) -> Node:
        """The gradient without these axes."""
        return Squeeze(g, self.axes)


class Broadcast(Composite):
    """The value repeated to a shape, by NumPy's rule: `Broadcast(x, to)`. Its adjoint is Sum.

    Shapes are aligned at the last axis. Missing axes and axes of size 1 are repeated, each by a visible Repeat.

    Raises:
        ShapeError: when the size of an axis is neither 1 nor that in `to`.

    >>> import graphnn as gn
    >>> gn.Broadcast(gn.Input("b", (3,)), ("N", 3)).spec
    Spec(shape=(N, 3), dtype=dtype('float32'))
    """

    x: Node
    to: Any
    adjoint = "Sum"
    onnx = "Expand"
    samples = (
        sample(("M",), to=("N", "M")),
        sample(("N", 1), to=(2, "N", 3)),
        sample((), to=("N", 2)),
        sample(("N", "M"), to=("N", "M")),
        refused(ShapeError, ("N", 2), to=("N", 3)),
        refused(ShapeError, ("N", 2), to=(2,)),
    )

    def prepare(self) -> None:
        """Read the shape."""
        self.__dict__["to"] = as_shape(self.to)

    def expand(self) -> Node:
        """Reshape and Repeats."""
        x, to = self.x, self.to
        for dim, wanted in zip(reversed(x.shape), reversed(to), strict=False):
            if dim not in (1, wanted):
                raise ShapeError(
                    f"Broadcast: {describe(x)} cannot be repeated to {show_shape(to)}: its size {dim} is neither 1 "
                    f"nor {wanted}."
                )
        if x.ndim > len(to):
            raise ShapeError(f"Broadcast: {describe(x)} has more axes than {show_shape(to)}.")
        return broadcast_to(x, to)


class Tile(Composite):
    """A value repeated as a whole along each axis: `Tile(x, reps)`. Its adjoint is Sum.

    `reps` is a number, a named size, or one of these for each axis, aligned at the last axis as in NumPy.

    Raises:
        ShapeError: when a size of the result is not of the form k·N + c.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Tile([1.0, 2.0], 2))())
    [1. 2. 1. 2.]
    """

    x: Node
    reps: Any
    adjoint = "Sum"
    onnx = "Tile"
    samples = (
        sample(("N", "M"), reps=(2, 3)),
        sample(("N", "M"), reps=2),
        sample(("N",), reps=(2, 1)),
        sample((3,), reps="N"),
        sample(("N",), reps=0),
        refused(ShapeError, ("N",), reps="M"),
    )

    def prepare(self) -> None:
        """Read the numbers, one for each axis."""
        reps = tuple(map(as_dim, self.reps if isinstance(self.reps, (tuple, list)) else (self.reps,)))
        self.__dict__["reps"] = (1,) * (self.x.ndim - len(reps)) + reps

    def expand(self) -> Node:
        """Each axis n as (1, n), repeated to (reps, n), and reshaped to reps·n."""
        x, reps = self.x, self.reps
        shape = (1,) * (len(reps) - x.ndim) + x.shape
        whole: list[Dim] = []
        for n, dim in zip(reps, shape, strict=True):
            if isinstance(n, Size) and isinstance(dim, Size):
                raise ShapeError(
                    f"Tile: {describe(x)} has {dim} elements along an axis, and {n} times that is no size."
                )
            whole.append(dim * n)
        apart: Node = Reshape(x, tuple(d for dim in shape for d in (1, dim)))
        for i, n in enumerate(reps):
            if n != 1:
                apart = Repeat(apart, n, 2 * i)
        return Reshape(apart, tuple(whole))
