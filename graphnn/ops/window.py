"""Windows, which convolutions and pooling slide over images: their size, their movement, and the number of places."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.node import Node, describe
from ..ir.spec import Dim, Shape, Size, show_shape

__all__ = ["Window", "read_window"]

Pairs = tuple[tuple[int, int], ...]
Index = tuple[slice, ...]


@dataclass(frozen=True)
class Window:
    """A window over the last axes of an image: its size, stride, padding and dilation."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """The number of axes along which it slides."""
        return len(self.kernel)

    @property
    def taps(self) -> int:
        """The number of elements that it covers at a time."""
        return prod(self.kernel)

    @property
    def extent(self) -> tuple[int, ...]:
        """The number of positions from its first tap to its last, along each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def padded(self, image: Shape) -> Shape:
        """The shape of an image with its padding."""
        return tuple(n + before + after for n, (before, after) in zip(image, self.padding, strict=True))

    def places(self, op: str, x: Node, image: Shape, ceil: bool = False) -> Shape:
        """The number of places along each axis; with `ceil`, one more if positions would be left over.

        Raises:
            ShapeError: when the window is larger than the image, or when the number is not of the form k·N + c.
        """
        found: list[Dim] = []
        for n, e, s, (before, after) in zip(image, self.extent, self.stride, self.padding, strict=True):
            room = n + before + after - e
            if isinstance(room, int) and room < 0:
                raise ShapeError(
                    f"{op}: a window of {_by(self.extent)} positions does not fit {describe(x)}, "
                    f"of {_by(self.padded(image))} with its padding."
                )
            found.append(_steps(op, x, room, n, before, s, ceil) + 1)
        return tuple(found)

    def image(self, places: Shape, extra: tuple[int, ...]) -> Shape:
        """The shape of an image with so many places, and `extra` positions left over: the inverse of `places`."""
        return tuple(
            (n - 1) * s + e + rest - before - after
            for n, e, s, (before, after), rest in zip(
                places, self.extent, self.stride, self.padding, extra, strict=True
            )
        )

    def slack(self, image: Shape) -> Shape:
        """The number of positions that the window can move by along each axis; negative if it does not fit."""
        return tuple(n - e for n, e in zip(self.padded(image), self.extent, strict=True))

    def rest(self, image: Shape) -> tuple[int, ...]:
        """The number of positions at the end of each axis that no window reaches."""
        return tuple(r % s if isinstance(r, int) else 0 for r, s in zip(self.slack(image), self.stride, strict=True))

    def spans(self, image: tuple[int, ...], places: tuple[int, ...]) -> list[tuple[Index, Index]]:
        """For each tap, as indices: the positions that it reads in images, and the places at which it reads them.

        Positions in the padding are left out, and so is a tap that reads nothing else.
        """
        found: list[tuple[Index, Index]] = []
        for tap in product(*map(range, self.kernel)):
            first = [t * d - before for t, d, (before, _) in zip(tap, self.dilation, self.padding, strict=True)]
            starts = [max(-(o // s), 0) for o, s in zip(first, self.stride, strict=True)]
            ends = [
                min((n - 1 - o) // s + 1, count)
                for n, count, o, s in zip(image, places, first, self.stride, strict=True)
            ]
            if all(a < z for a, z in zip(starts, ends, strict=True)):
                seen = (
                    slice(a * s + o, (z - 1) * s + o + 1, s)
                    for a, z, o, s in zip(starts, ends, first, self.stride, strict=True)
                )
                at = (slice(a, z) for a, z in zip(starts, ends, strict=True))
                found.append(((slice(None), slice(None), *seen), (slice(None), slice(None), *at)))
        return found


def _steps(op: str, x: Node, room: Dim, n: Dim, before: int, stride: int, ceil: bool) -> Dim:
    """The number of steps of the stride in so many positions."""
    if isinstance(room, Size):
        try:
            return room // stride
        except ShapeError as error:
            raise ShapeError(
                f"{op}: the places of the window along a named size of {describe(x)} are not of the form k·N + c: "
                f"{error} Give that size as a number, or use stride 1."
            ) from None
    steps = -(-room // stride) if ceil else room // stride
    assert isinstance(n, int)
    # A window that would begin in the padding after the image covers nothing, and is left out.
    return steps - 1 if ceil and steps * stride >= n + before else steps


def read_window(
    op: str, x: Node, kernel: tuple[int, ...], stride: Any, padding: Any, dilation: Any, transposed: bool = False
) -> Window:
    """The window that a user's stride, padding and dilation mean, for the axes of x after samples and channels.

    Each is a number, or one for every axis. `padding` may also be "valid" (none), "same" (as many places as positions
    divided by the stride; an odd zero is added at the end), "same_lower" (an odd zero is added at the beginning), or a
    pair (before, after) for every axis.

    Raises:
        GraphError: for anything else.
    """
    axes = len(kernel)
    plain = Window(
        kernel, _numbers(op, "stride", stride, axes), ((0, 0),) * axes, _numbers(op, "dilation", dilation, axes)
    )
    if padding in ("same", "same_lower"):
        pairs = tuple(_same(op, x, plain, a, padding == "same_lower", transposed) for a in range(axes))
    elif padding == "valid":
        pairs = plain.padding
    else:
        pairs = _pairs(op, padding, axes)
    return Window(kernel, plain.stride, pairs, plain.dilation)


def _same(op: str, x: Node, window: Window, a: int, lower: bool, transposed: bool) -> tuple[int, int]:
    n, extent, stride = x.shape[2 + a], window.extent[a], window.stride[a]
    if isinstance(n, int) and not transposed:
        total = max((-(-n // stride) - 1) * stride + extent - n, 0)
    elif transposed or stride == 1 or (isinstance(n, Size) and not (n.scale % stride or n.offset % stride)):
        total = max(extent - stride, 0)
    else:
        raise ShapeError(
            f'{op}: padding="same" with stride {stride} is not known for the size {n} of {describe(x)}: '
            "give that size as a number, or the padding in pairs."
        )
    return (total - total // 2, total // 2) if lower else (total // 2, total - total // 2)


def _numbers(op: str, name: str, value: Any, axes: int) -> tuple[int, ...]:
    """One positive number for each axis."""
    many = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(many) != axes or any(isinstance(n, bool) or not hasattr(n, "__index__") or n < 1 for n in many):
        raise GraphError(f"{op}: {name} is {value!r}; it is a positive number, or one for each of {axes} axes.")
    return tuple(int(n) for n in many)


def _pairs(op: str, padding: Any, axes: int) -> Pairs:
    many = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * axes
    pairs = [tuple(p) if isinstance(p, (tuple, list)) else (p, p) for p in many]
    whole = all(
        len(p) == 2 and all(hasattr(n, "__index__") and not isinstance(n, bool) and n >= 0 for n in p) for p in pairs
    )
    if len(pairs) != axes or not whole:
        raise GraphError(
            f'{op}: padding is {padding!r}; it is "valid", "same", "same_lower", a number, '
            f"or a number or a pair (before, after) for each of {axes} axes."
        )
    return tuple((int(before), int(after)) for before, after in pairs)


def _by(shape: Shape) -> str:
    return show_shape(shape)[1:-1].replace(", ", "x")


def read_pool(node: Any, x: Node) -> None:
    """Read the kernel, stride, padding and dilation of a pooling op. The default stride is the size of the kernel.

    Raises:
        ShapeError: when the kernel does not have an axis for each axis of positions.
        DTypeError: for bools.
    """
    if x.dtype.kind == "b":
        raise DTypeError(f"{node.op}: {describe(x)} is of bools; cast it first, as in x.astype('float32').")
    axes = x.ndim - 2
    kernel = tuple(node.kernel) if isinstance(node.kernel, (tuple, list)) else (node.kernel,) * axes
    if axes < 1 or len(kernel) != axes:
        raise ShapeError(
            f"{node.op}: {describe(x)} should be samples, channels and positions, "
            f"and the kernel {node.kernel!r} a number, or one for each axis of positions."
        )
    kernel = _numbers(node.op, "kernel", kernel, axes)
    stride = kernel if node.stride is None else node.stride
    window = read_window(node.op, x, kernel, stride, node.padding, node.dilation)
    node.__dict__.update(kernel=kernel, stride=window.stride, padding=window.padding, dilation=window.dilation)


def pool_window(node: Any) -> Window:
    """The window of a pooling op, after `read_pool`."""
    return Window(node.kernel, node.stride, node.padding, node.dilation)


def pool_movement(node: Any) -> dict[str, Any]:
    """The fields of a pooling op that say how its window moves, for another op that moves alike."""
    return {name: getattr(node, name) for name in ("kernel", "stride", "padding", "dilation", "ceil_mode")}


def check_places(node: Any, x: Node, shape: Shape, **values: Node) -> None:
    """Refuse values of which there is not one for each place of the window over images x, which have this shape.

    Raises:
        ShapeError: naming both.
    """
    places = (*shape[:2], *pool_window(node).places(node.op, x, shape[2:], node.ceil_mode))
    for name, value in values.items():
        if value.shape != places:
            raise ShapeError(
                f"{node.op}: {name} {describe(value)} should have one value for each place of the window over "
                f"{describe(x)}, {show_shape(places)}."
            )
