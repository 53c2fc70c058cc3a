"""Sources: what a kernel reads at each element: arrays, coordinates, and windows that slide over images.

A coordinate has no memory: its value is how far the element stands along some axes. A window reads an array where the
element's place falls inside it, and a constant elsewhere: so padding takes no copy.
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
    """A number for each element: the sum over the axes of its place along each times a step."""

    steps: tuple[int, ...]


@dataclass(frozen=True)
class Slide:
    """One axis of an image under a window: `(start + coordinate) / divisor` is the place along it.

    It is inside when the division leaves no rest and the place is one of `size`, which lie `stride` bytes apart.
    """

    coordinate: Coordinate
    start: int
    size: int
    stride: int
    divisor: int = 1


@dataclass(frozen=True)
class Window:
    """An array seen through a window: how it moves along the axes beside those that slide, and what lies outside."""

    array: np.ndarray
    strides: tuple[int, ...]
    slides: tuple[Slide, ...]
    outside: float = 0


@dataclass(frozen=True)
class Windowed:
    """What a kernel knows of a window: the dtype, which slides divide, and what lies outside."""

    dtype: DType
    divided: tuple[bool, ...]
    outside: float


Source: TypeAlias = "np.ndarray | Coordinate | Window"
Kind: TypeAlias = "DType | Windowed | None"
"""What a kernel knows of a source: nothing of a coordinate."""


def coordinate_along(axis: int, ndim: int) -> Coordinate:
    """An element's place along one axis."""
    return Coordinate(tuple(int(a == axis) for a in range(ndim)))


def flat(sources: Sequence[Source]) -> list[Source]:
    """The sources, each window followed by the coordinates of its slides."""
    return [part for s in sources for part in (s, *_coordinates(s))]


def _coordinates(source: Source) -> Iterator[Source]:
    if isinstance(source, Window):
        yield from (slide.coordinate for slide in source.slides)


def kinds_of(flat: Sequence[Source]) -> tuple[Kind, ...]:
    """What a kernel knows of each."""
    return tuple(_kind(source) for source in flat)


def _kind(source: Source) -> Kind:
    if isinstance(source, Window):
        return Windowed(source.array.dtype, tuple(slide.divisor > 1 for slide in source.slides), source.outside)
    return None if isinstance(source, Coordinate) else source.dtype


def moves(flat: Sequence[Source], axis: int) -> list[int]:
    """How far each moves along an axis: in bytes, and a coordinate by its step; scalars stay."""
    return [_strides(source)[axis] if _strides(source) else 0 for source in flat]


def _strides(source: Source) -> tuple[int, ...]:
    return source.steps if isinstance(source, Coordinate) else source.strides


def item_bytes(kind: Kind) -> int:
    """The bytes of an element; a coordinate counts as one."""
    return 1 if kind is None else kind.dtype.itemsize if isinstance(kind, Windowed) else kind.itemsize


def layouts(kinds: Sequence[Kind]) -> tuple[DType, ...]:
    """A dtype of so many bytes for each: what tells neighbours apart."""
    return tuple(np.dtype(f"V{item_bytes(kind)}") for kind in kinds)


def words_of(flat: Sequence[Source], at: Site) -> list[int]:
    """Where arrays begin, and the numbers of slides."""
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
    """The parameters of a source in a kernel: a pointer, and for each slide its numbers."""

    pointer: str = ""
    slides: tuple[tuple[str, ...], ...] = ()


def parameters(w: Writer, kinds: Sequence[Kind]) -> list[Parameters]:
    """The parameters that take `words_of`."""
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
    """The operands of a formula at one element, by the names of the sources."""
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
    """The value under a window."""
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
