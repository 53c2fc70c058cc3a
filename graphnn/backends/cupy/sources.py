"""Sources: the operands that a kernel reads for each element. They are arrays, coordinates, or windows over images.

A coordinate takes no memory: its value is computed from the element's indices along some axes. A window reads an
array where the element's position falls inside it, and a constant elsewhere. So an image is padded without a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..kernels import DType
from .formulas import Register
from .site import Site
from .types import load, number, register_type
from .writer import Writer

__all__ = [
    "Coordinate",
    "Kind",
    "Slide",
    "Source",
    "Window",
    "coordinate_along",
    "flat",
    "item_bytes",
    "kinds_of",
    "layouts",
    "moves",
    "parameters",
    "read",
    "words_of",
]

COORDINATE = np.dtype(np.int64)


@dataclass(frozen=True)
class Coordinate:
    """A number for each element: the sum, over the axes, of the element's index times the step of the axis."""

    steps: tuple[int, ...]


@dataclass(frozen=True)
class Slide:
    """One axis of an image under a window. The index along it is `(start + coordinate) / divisor`.

    The element is inside the image if the division has no remainder and the index is in 0..size-1. Neighbours along
    the axis are `stride` bytes apart.
    """

    coordinate: Coordinate
    start: int
    size: int
    stride: int
    divisor: int = 1


@dataclass(frozen=True)
class Window:
    """An array seen through a window: strides in bytes for the kernel's axes, and a slide for each sliding axis.

    `outside` is the value of elements that are outside the array.
    """

    array: np.ndarray
    strides: tuple[int, ...]
    slides: tuple[Slide, ...]
    outside: float = 0


@dataclass(frozen=True)
class Windowed:
    """What the text of a kernel depends on in a window: the dtype, which slides divide, and the value outside."""

    dtype: DType
    divided: tuple[bool, ...]
    outside: float


Source: TypeAlias = "np.ndarray | Coordinate | Window"
Kind: TypeAlias = "DType | Windowed | None"
"""What the text of a kernel depends on in a source: the dtype of an array; None for a coordinate."""


def coordinate_along(axis: int, ndim: int) -> Coordinate:
    """The coordinate that is the element's index along one axis."""
    return Coordinate(tuple(int(a == axis) for a in range(ndim)))


def flat(sources: Sequence[Source]) -> list[Source]:
    """The sources, each window followed by the coordinates of its slides."""
    return [part for s in sources for part in (s, *_coordinates(s))]


def _coordinates(source: Source) -> Iterator[Source]:
    if isinstance(source, Window):
        yield from (slide.coordinate for slide in source.slides)


def kinds_of(flat: Sequence[Source]) -> tuple[Kind, ...]:
    """The kind of each source."""
    return tuple(_kind(source) for source in flat)


def _kind(source: Source) -> Kind:
    if isinstance(source, Window):
        return Windowed(source.array.dtype, tuple(slide.divisor > 1 for slide in source.slides), source.outside)
    return None if isinstance(source, Coordinate) else source.dtype


def moves(flat: Sequence[Source], axis: int) -> list[int]:
    """The stride of each source along an axis: bytes for an array, the step for a coordinate, 0 for a scalar."""
    return [_strides(source)[axis] if _strides(source) else 0 for source in flat]


def _strides(source: Source) -> tuple[int, ...]:
    return source.steps if isinstance(source, Coordinate) else source.strides


def item_bytes(kind: Kind) -> int:
    """The bytes of an element. A coordinate counts as 1, since its neighbours differ by 1."""
    return 1 if kind is None else kind.dtype.itemsize if isinstance(kind, Windowed) else kind.itemsize


def layouts(kinds: Sequence[Kind]) -> tuple[DType, ...]:
    """For each kind, a dtype with the bytes of its elements, by which `make_axes` recognises dense strides."""
    return tuple(np.dtype(f"V{item_bytes(kind)}") for kind in kinds)


def words_of(flat: Sequence[Source], at: Site) -> list[int]:
    """The words (arguments) for the sources: addresses of arrays, and the numbers of slides."""
    words: list[int] = []
    for source in flat:
        if isinstance(source, Window):
            words.append(at(source.array))
            for slide in source.slides:
                words += [slide.start, slide.size, slide.stride, *([slide.divisor] if slide.divisor > 1 else [])]
        elif not isinstance(source, Coordinate):
            words.append(at(source))
    return words


@dataclass(frozen=True)
class Parameters:
    """The names of a source's parameters in a kernel: a pointer, and for each slide its numbers."""

    pointer: str = ""
    slides: tuple[tuple[str, ...], ...] = ()


def parameters(w: Writer, kinds: Sequence[Kind]) -> list[Parameters]:
    """Declare the parameters of a kernel that receive the words of `words_of`."""
    found = []
    for kind in kinds:
        if kind is None:
            found.append(Parameters())
        elif isinstance(kind, Windowed):
            pointer = w.pointer(kind.dtype)
            slides = tuple(tuple(w.word() for _ in range(4 if divided else 3)) for divided in kind.divided)
            found.append(Parameters(pointer, slides))
        else:
            found.append(Parameters(w.pointer(kind)))
    return found


def read(
    w: Writer, names: Sequence[str], given: Sequence[Parameters], kinds: Sequence[Kind], offsets: Sequence[str]
) -> Mapping[str, Register]:
    """Write the lines that read all sources at one element, and return the operands of the formula by name."""
    values: dict[str, Register] = {}
    parts = iter(zip(given, kinds, offsets, strict=True))
    for name in names:
        parameters, kind, offset = next(parts)
        if kind is None:
            values[name] = Register(w.put(register_type(COORDINATE), offset), COORDINATE)
        elif isinstance(kind, Windowed):
            coordinates = [next(parts)[2] for _ in kind.divided]
            values[name] = Register(_seen(w, parameters, kind, offset, coordinates), kind.dtype)
        else:
            place = load(f"*at({parameters.pointer}, {offset})", kind)
            values[name] = Register(w.put(register_type(kind), place), kind)
    return values


def _seen(w: Writer, given: Parameters, kind: Windowed, offset: str, coordinates: Sequence[str]) -> str:
    """Write the lines that read an element through a window, and return the name of its value."""
    inside: list[str] = []
    for (start, size, stride, *divisor), coordinate in zip(given.slides, coordinates, strict=True):
        place = w.put("long long", f"{coordinate} + {start}")
        inside.append(f"{place} >= 0")
        if divisor:
            inside.append(f"{place} % {divisor[0]} == 0")
            place = w.put("long long", f"{place} / {divisor[0]}")
        inside.append(f"{place} < {size}")
        offset += f" + {place} * {stride}"
    value = load(f"*at({given.pointer}, {offset})", kind.dtype)
    outside = number(kind.outside, kind.dtype)
    return w.put(register_type(kind.dtype), f"{' && '.join(inside)} ? {value} : {outside}")
