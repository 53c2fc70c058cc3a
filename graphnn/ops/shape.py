"""Shape: Reshape, Transpose and Repeat. They compute nothing; on most backends they are views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ShapeError
from ..ir.context import like
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Shape, Size, Spec, as_dim, as_shape, show_shape
from .axes import read_axis
from .sample import refused, sample

__all__ = ["Reshape", "Transpose", "Repeat"]


class Reshape(Node, method="reshape", role="reshape"):
    """The same elements, in C order, in another shape: `Reshape(x, to)`. Its adjoint is Reshape.

    One size in `to` may be -1: it follows from the others. As a method, it takes sizes one by one too: `x.reshape(-1,
    1)`.

    Raises:
        ShapeError: when the shapes do not hold the same number of elements.

    >>> import graphnn as gn
    >>> gn.Reshape(gn.Input("x", ("N", 2, 3)), ("N", -1)).spec
    Spec(shape=(N, 6), dtype=dtype('float32'))
    """

    x: Node
    to: Any
    adjoint = "Reshape"
    onnx = "Reshape"
    indifferent = True
    by_specs = True
    elements = "moved"
    samples = (
        sample(("N", "M"), to=("N", 1, "M")),
        sample(("N", 4), to=("N", 2, 2)),
        sample(("N", 2, 3), to=-1),
        sample((), to=(1, 1)),
        refused(ShapeError, ("N", 4), to=("N", 3)),
        refused(ShapeError, ("N", 4), to=("M", 4)),
        refused(ShapeError, (6,), to=(4, -1)),
    )

    def prepare(self) -> None:
        """Find the size that -1 stands for."""
        to = self.to if isinstance(self.to, (tuple, list)) else (self.to,)
        if sum(1 for dim in to if isinstance(dim, int) and dim == -1) > 1:
            raise ShapeError(f"Reshape: {tuple(to)} leaves more than one size open.")
        known = as_shape([dim for dim in to if not (isinstance(dim, int) and dim == -1)])
        if len(known) < len(to):
            position = next(i for i, dim in enumerate(to) if isinstance(dim, int) and dim == -1)
            known = (*known[:position], _quotient(self.x, known), *known[position:])
        self.__dict__["to"] = known

    def infer(self) -> Spec:
        """The shape in `to`."""
        if _elements(self.x.shape) != _elements(self.to):
            raise ShapeError(
                f"Reshape: {describe(self.x)} cannot be read as {show_shape(self.to)}: "
                "the shapes must hold the same number of elements, whatever the named sizes."
            )
        return Spec(self.to, self.x.dtype)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """A view where NumPy can make one."""
        # The shape in numbers follows from the array's where it can, since this may run before any size is known.
        return arrays[0].reshape(self.numbers(arrays[0].shape))

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """A copy, for operands whose elements do not lie in C order."""
        x, flat = ins[0], out.reshape(ins[0].shape)
        return [lambda: xp.copyto(flat, x)]

    def view(self, dense: bool) -> bool | None:
        """Always for a dense operand; for another one, when it only adds or removes axes of size 1."""
        if dense:
            return dense
        squeezed = [dim for dim in self.x.shape if dim != 1] == [dim for dim in self.to if dim != 1]
        return dense if squeezed else None

    def at(self, sizes: Mapping[str, int]) -> Node:
        """The node with numbers for the named sizes in `to`."""
        if not self.spec.sizes:
            return self
        to = Spec(self.to, self.dtype)
        return self.with_fields(to=to.concrete(sizes)) if to.sizes - self.x.spec.sizes <= sizes.keys() else self

    def vjp(self, g: Node) -> Node:
        """The gradient in the operand's shape."""
        return Reshape(g, self.x.shape)

    def numbers(self, actual: tuple[int, ...]) -> tuple[int, ...]:
        """The shape asked for, when the operand's is `actual`."""
        if not self.spec.sizes:
            return tuple(self.to)
        sizes: dict[str, int] = {}
        self.x.spec.unify(actual, sizes, "x", {})
        return Spec(self.to, self.dtype).concrete(sizes)


def _elements(shape: Shape) -> tuple[int, tuple[tuple[str, int, int], ...]]:
    """The number of elements in a form that is equal exactly when it is equal for all named sizes."""
    number, factors = 1, []
    for dim in shape:
        if isinstance(dim, int):
            number *= dim
        elif dim.offset == 0:
            number *= dim.scale
            factors.append((dim.name, 1, 0))
        else:
            factors.append((dim.name, dim.scale, dim.offset))
    return (number, tuple(sorted(factors))) if number else (0, ())


def _quotient(x: Node, known: Shape) -> Dim:
    """The size that, with the known ones, holds as many elements as `x`."""
    number, factors = _elements(x.shape)
    divisor, taken = _elements(known)
    rest = list(factors)
    for factor in taken:
        if factor not in rest:
            break
        rest.remove(factor)
    else:
        if len(rest) <= 1 and divisor and number % divisor == 0:
            quotient = number // divisor
            return as_dim(quotient) if not rest else Size(*rest[0]) * quotient
    raise ShapeError(
        f"Reshape: {describe(x)} cannot be read as {show_shape(known)} with one size open: "
        "what remains is not a whole number, or not of the form k·N + c."
    )


class Transpose(Node, method="transpose"):
    """The axes in another order, by default reversed: `Transpose(x, axes=None)`. Its adjoint is Transpose.

    Raises:
        ShapeError: when `axes` is not an order of the axes.

    >>> import graphnn as gn
    >>> gn.Input("x", ("N", 2)).T.spec
    Spec(shape=(2, N), dtype=dtype('float32'))
    """

    x: Node
    axes: tuple[int, ...] | None = None
    adjoint = "Transpose"
    onnx = "Transpose"
    indifferent = True
    by_specs = True
    elements = "moved"
    samples = (
        sample(("N", "M")),
        sample(("N", "M", "K"), axes=(1, 2, 0)),
        sample(()),
        refused(ShapeError, ("N", "M"), axes=(0, 0)),
        refused(ShapeError, ("N", "M"), axes=(0,)),
    )

    def prepare(self) -> None:
        """Read the order of the axes."""
        x = self.x
        axes = (
            tuple(reversed(range(x.ndim)))
            if self.axes is None
            else tuple(read_axis("Transpose", a, x) for a in self.axes)
        )
        if sorted(axes) != list(range(x.ndim)):
            raise ShapeError(f"Transpose: axes {axes} must name each of the {x.ndim} axes of {describe(x)} once.")
        self.__dict__["axes"] = axes

    def infer(self) -> Spec:
        """The sizes in the new order."""
        assert self.axes is not None
        return Spec(tuple(self.x.shape[a] for a in self.axes), self.x.dtype)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """A view."""
        return arrays[0].transpose(self.axes)

    def view(self, dense: bool) -> bool | None:
        """Always; dense still when only axes of size 1 change places."""
        assert self.axes is not None
        moved = [a for a in self.axes if self.x.shape[a] != 1]
        return dense and moved == sorted(moved)

    def vjp(self, g: Node) -> Node:
        """The transpose of the gradient, back to the old order."""
        assert self.axes is not None
        return Transpose(g, tuple(self.axes.index(a) for a in range(len(self.axes))))


class Repeat(Node, role="repeat"):
    """An axis of size 1 repeated n times: `Repeat(x, n, axis=0)`. Broadcasting is made of it. Its adjoint is Sum.

    `n` is a number or a named size.

    Raises:
        ShapeError: when the axis is not there, or is not of size 1.

    >>> import graphnn as gn
    >>> gn.Repeat(gn.Input("b", (1, 3)), "N").spec
    Spec(shape=(N, 3), dtype=dtype('float32'))
    """

    x: Node
    n: Any
    axis: int = 0
    adjoint = "Sum"
    indifferent = True
    by_specs = True
    elements = "moved"
    samples = (
        sample((1, "M"), n="N"),
        sample(("N", 1), n=4, axis=-1),
        sample((1,), n=0),
        refused(ShapeError, (2, "M"), n="N"),
        refused(ShapeError, (), n="N"),
    )

    def prepare(self) -> None:
        """Read the size and the axis."""
        self.__dict__["n"] = as_dim(self.n)
        self.__dict__["axis"] = read_axis("Repeat", self.axis, self.x)

    def infer(self) -> Spec:
        """The axis with size n."""
        x = self.x
        if x.shape[self.axis] != 1:
            raise ShapeError(
                f"Repeat: axis {self.axis} of {describe(x)} has size {x.shape[self.axis]}; "
                "only an axis of size 1 is repeated."
            )
        return Spec((*x.shape[: self.axis], self.n, *x.shape[self.axis + 1 :]), x.dtype)

    def at(self, sizes: Mapping[str, int]) -> Node:
        """The node with n as a number."""
        if isinstance(self.n, int):
            return self
        with like(self):
            return Repeat(self.x, self.n(sizes), self.axis)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """A view."""
        x, axis = arrays[0], self.axis
        shape, strides = (*x.shape[:axis], self.n, *x.shape[axis + 1 :]), (*x.strides[:axis], 0, *x.strides[axis + 1 :])
        # Not broadcast_to: that sets the strides of all axes of size 1 to 0, so a batch of one would lie otherwise.
        return xp.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)

    def view(self, dense: bool) -> bool | None:
        """Always, with stride 0 along the axis."""
        return dense and self.n == 1

    def vjp(self, g: Node) -> Node:
        """The sum over the axis, which stays with size 1."""
        return g.sum(self.axis, True)
