"""Specs: the shape and dtype of a value, with sizes that may be named instead of known.

A dimension is an int, or `k·N + c` in one named size. That suffices to flatten, join, slice and convolve along a named
axis. And it is simple enough that two dimensions are equal exactly when they print the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ..errors import FeedError, ShapeError
from .dtype import short_name

__all__ = ["Size", "Dim", "Shape", "Spec", "as_dim", "as_shape", "show_shape"]


@dataclass(frozen=True, slots=True)
class Size:
    """A dimension that becomes known when the program runs: `scale * name + offset`.

    A name stands for the same size everywhere in a program. Two different names never count as the same size.

    >>> from graphnn import Size
    >>> n = Size("N")
    >>> print(2 * n + 1, n - n, (4 * n) // 2)
    2N+1 0 2N
    """

    name: str
    scale: int = 1
    offset: int = 0

    def __str__(self) -> str:
        scaled = self.name if self.scale == 1 else f"{self.scale}{self.name}"
        return f"{scaled}{self.offset:+d}" if self.offset else scaled

    __repr__ = __str__

    def __add__(self, other: Dim) -> Dim:
        if isinstance(other, Size):
            if other.name != self.name:
                raise ShapeError(
                    f"{self} + {other}: a dimension has one named size, '{self.name}' or '{other.name}', not both. "
                    "If they are the same size, use one name."
                )
            return _affine(self.name, self.scale + other.scale, self.offset + other.offset)
        return _affine(self.name, self.scale, self.offset + other)

    __radd__ = __add__

    def __sub__(self, other: Dim) -> Dim:
        return self + (other * -1)

    def __rsub__(self, other: int) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, Size):
            raise ShapeError(f"{self} * {other}: a dimension is k·N + c in one named size; products are not supported.")
        return _affine(self.name, self.scale * other, self.offset * other)

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> Dim:
        if other == 0 or self.scale % other or self.offset % other:
            raise ShapeError(f"{self} is not a multiple of {other} for every {self.name}.")
        return _affine(self.name, self.scale // other, self.offset // other)

    def __call__(self, sizes: Mapping[str, int]) -> int:
        """The dimension as a number, once the named sizes are known."""
        return self.scale * sizes[self.name] + self.offset

    def solve(self, number: int) -> int | None:
        """The value of the named size for which this dimension is `number`; None if there is none."""
        size, rest = divmod(number - self.offset, self.scale)
        return None if rest or size < 0 else size


Dim: TypeAlias = "int | Size"
Shape: TypeAlias = tuple[Dim, ...]


def _affine(name: str, scale: int, offset: int) -> Dim:
    return Size(name, scale, offset) if scale else offset


@lru_cache(maxsize=4096)
def _named(name: str) -> Size:
    # One object for each name: comparing shapes is then mostly comparing identities.
    if not name.isidentifier():
        raise ShapeError(f"{name!r} cannot name a size: use a word such as 'N'.")
    return Size(name)


def as_dim(dim: Any) -> Dim:
    """An int, a name such as `"N"`, or a `Size`, as a dimension.

    Raises:
        ShapeError: when it is none of these, or negative.
    """
    if isinstance(dim, str):
        return _named(dim)
    if isinstance(dim, Size):
        return dim
    if isinstance(dim, (int, np.integer)) and not isinstance(dim, (bool, np.bool_)):
        if dim < 0:
            raise ShapeError(f"a size of {dim} is negative.")
        return int(dim)
    raise ShapeError(f"{dim!r} is not a size: use a number, or a name such as 'N'.")


def as_shape(shape: Any) -> Shape:
    """A tuple of dimensions from a tuple, a list, or a single dimension."""
    if isinstance(shape, (str, int, np.integer, Size)):
        return (as_dim(shape),)
    if not isinstance(shape, Iterable):
        raise ShapeError(f"{shape!r} is not a shape: use a tuple such as ('N', 2).")
    return tuple(as_dim(dim) for dim in shape)


def show_shape(shape: Shape) -> str:
    """The shape as text, such as `[N, 2]`."""
    return "[" + ", ".join(map(str, shape)) + "]"


@dataclass(frozen=True, slots=True)
class Spec:
    """The shape and dtype of a value, printed `f32[N, 2]`."""

    shape: Shape
    dtype: np.dtype[Any]
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        if not self._hash:  # specs are looked up far more often than they are made
            object.__setattr__(self, "_hash", hash((self.shape, self.dtype)) or 1)
        return self._hash

    def __str__(self) -> str:
        return short_name(self.dtype) + show_shape(self.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def sizes(self) -> set[str]:
        """The names of the sizes in the shape."""
        return {dim.name for dim in self.shape if isinstance(dim, Size)}

    def concrete(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape in numbers, once the named sizes are known."""
        return tuple([dim if isinstance(dim, int) else dim(sizes) for dim in self.shape])

    def bytes(self, sizes: Mapping[str, int]) -> int:
        """The bytes of a value in C order, once the named sizes are known."""
        return prod(self.concrete(sizes)) * self.dtype.itemsize

    def other_axes(self, name: str, shape: tuple[int, ...]) -> str:
        """In words: an input of this spec was fed an array with more or fewer axes."""
        one = f" One sample is a batch of one: feed {name}[None]." if len(shape) == self.ndim - 1 else ""
        return f"input '{name}' is {self}, but was fed an array of shape {shape}: the number of axes differs.{one}"

    def unify(self, shape: tuple[int, ...], sizes: dict[str, int], name: str, seen: dict[str, str]) -> None:
        """Read the named sizes off the shape of an array, into `sizes`; `seen` says which input each came from.

        Raises:
            ShapeError: when the shape does not fit, or when a size is not that of an input read before.
        """
        if len(shape) != len(self.shape):
            raise ShapeError(self.other_axes(name, shape))
        for axis, (dim, number) in enumerate(zip(self.shape, shape, strict=True)):
            if isinstance(dim, int):
                if dim != number:
                    raise ShapeError(
                        f"input '{name}' is {self}: axis {axis} has size {dim}, "
                        f"but was fed an array of shape {shape}, with {number} there."
                    )
                continue
            size = dim.solve(number)
            if size is None:
                raise ShapeError(f"input '{name}' is {self}: axis {axis} is {dim}, which is never {number}.")
            known = sizes.setdefault(dim.name, size)
            if known != size:
                raise ShapeError(
                    f"size {dim.name} is {known} by input '{seen[dim.name]}' but {size} by input '{name}' "
                    f"({self}, fed an array of shape {shape}). Feed both with the same {dim.name}."
                )
            seen.setdefault(dim.name, name)


@lru_cache(maxsize=4096)
def spec_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Spec:
    """The spec of an array. Arrays of the same shape and dtype share one object, which makes comparing specs cheap."""
    return Spec(shape, dtype)


def check_known(names: Iterable[str], sizes: Mapping[str, int]) -> None:
    """Check that `sizes` has exactly these names.

    Raises:
        FeedError: for a missing or an unknown name, or a size that is no number.
    """
    names = sorted(set(names))
    missing = [name for name in names if name not in sizes]
    unknown = [name for name in sizes if name not in names]
    if missing or unknown:
        example = ", ".join(f"{name}=30" for name in names)
        raise FeedError(
            f"sizes {'missing: ' + ', '.join(missing) if missing else 'unknown: ' + ', '.join(unknown)}. "
            + (f"This program has {', '.join(names)}: pass {example}." if names else "This program has none.")
        )
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 0:
            raise FeedError(f"size {name} is {size!r}; it must be a number, 0 or more.")
