"""Windows: kernels of pooling and of its gradients, which look at every tap of a window at every place.

A tap that may lie beyond the image is compared with its size first, so that no image need be copied with its padding.
Sums are carried as NumPy carries them, half floats in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod
from typing import Literal, TypeAlias

from ..nests import Axis
from .maps import axis_loop
from .reductions import Fold, fold, fold_values, start_of
from .types import DType, number, register_type
from .writer import Writer

__all__ = ["ARRAYS", "Sliding", "Work", "window_kernel"]

WRITTEN = 16
"""Windows of up to so many taps are written out."""

Work: TypeAlias = Literal["maximum", "add", "unpool", "pick", "spread"]

ARRAYS: dict[Work, str] = {"maximum": "pi", "add": "pi", "unpool": "ipip", "pick": "piip", "spread": "ip"}
"""The result, then the operands: `i` has a value for each position of an image, `p` for each place of the window."""


@dataclass(frozen=True)
class Sliding:
    """What the kernel depends on."""

    work: Work
    dtypes: tuple[DType, ...]
    axes: tuple[Axis, ...]
    """Samples and channels; and the places, where no tap leaves the image."""
    kernel: tuple[int, ...]
    edges: bool
    """May a tap lie beyond the image?"""
    alone: bool
    """Does exactly one tap at one place see each position, so that nothing needs to be added up?"""


@cache
def window_kernel(how: Sliding) -> str:
    """The kernel. A result that is an image must be zero before, unless `alone` holds.

    Its words, in order. Offsets and strides are in bytes:

    - for each array, a pointer
    - for each axis of the image, the stride from tap to tap in each array that is an image
    - the sizes and strides of the axes that vary
    - with `edges`, for each image, the offset from its beginning to the first tap at the first place
    - with `edges`, for each axis of places: the number of places; the stride of each array from place to place; then
      in positions of the image, the stride of the window, where the first tap is at the first place, the distance
      between taps, and the size of the image
    """
    w = Writer()
    _Kernel(w, how).write()
    return w.text()


class _Kernel:
    def __init__(self, w: Writer, how: Sliding) -> None:
        self.w, self.how = w, how
        self.kinds = ARRAYS[how.work]
        self.result = how.dtypes[0]
        self.images = [i for i, kind in enumerate(self.kinds) if kind == "i"]
        self.edges: list[tuple[str, str, str]] = []
        """For each axis: the position of the first tap, those between taps, and the size of the image."""

    def write(self) -> None:
        w, how = self.w, self.how
        places = [w.word("ptr") for _ in how.dtypes]
        self.moves = [{i: w.word() for i in self.images} for _ in how.kernel]
        with ExitStack() as stack:
            for axis in how.axes:
                places = stack.enter_context(axis_loop(w, axis, how.dtypes, places))
            if how.edges:
                places = [w.offset(p, (w.word(), 1)) if i in self.images else p for i, p in enumerate(places)]
                for _ in how.kernel:
                    places = stack.enter_context(self._places(places))
            self._at_a_place(places)

    @contextmanager
    def _places(self, places: list[str]) -> Iterator[list[str]]:
        """A loop over one axis of places, which remembers where its taps lie."""
        w = self.w
        size, moves = w.word(), [w.word() for _ in places]
        step, first, apart, image = (w.word() for _ in range(4))
        with w.loop(size) as index:
            position = w.put(f"add nsw i64 {w.put(f'mul nsw i64 {index}, {step}')}, {first}")
            self.edges.append((position, apart, image))
            yield [w.offset(place, (index, move)) for place, move in zip(places, moves, strict=True)]

    def _taps(self, places: Sequence[str]) -> Iterator[list[str]]:
        """For each tap that lies in the image the pointers there, the last tap first, so that what is found last is
        the first: few taps are written out, more are loops."""
        w, kernel = self.w, self.how.kernel
        if prod(kernel) <= WRITTEN:
            for taps in product(*(map(str, reversed(range(count))) for count in kernel)):
                with ExitStack() as stack:
                    yield self._tap(stack, places, taps)
        else:
            with ExitStack() as stack:
                loops = [(count, stack.enter_context(w.loop(str(count)))) for count in kernel]
                yield self._tap(stack, places, [w.put(f"sub nsw i64 {count - 1}, {index}") for count, index in loops])

    def _tap(self, stack: ExitStack, places: Sequence[str], taps: Sequence[str]) -> list[str]:
        """The pointers at one tap, inside of conditions that it lies in the image."""
        w, at = self.w, list(places)
        for (position, apart, image), tap in zip(self.edges, taps, strict=False):
            seen = w.put(f"add nsw i64 {position}, {w.put(f'mul nsw i64 {tap}, {apart}')}")
            # As an unsigned number, a position in front of the image is larger than any behind it.
            stack.enter_context(w.when(w.put(f"icmp ult i64 {seen}, {image}")))
        for i in self.images:
            at[i] = w.offset(at[i], *((tap, moves[i]) for tap, moves in zip(taps, self.moves, strict=True)))
        return at

    # What happens at one place -----------------------------------------------------------------------------------

    def _at_a_place(self, places: list[str]) -> None:
        match self.how.work:
            case "maximum" | "add":
                self._fold(places, fold(self.how.work, self.result, self.result))
            case "spread":
                value = self.w.load(places[1], self.result)
                for at in self._taps(places):
                    self._lay_down(value, at[0])
            case "unpool":
                value = self.w.load(places[1], self.result)
                with self._first_maximum(places, 0) as place:
                    self._lay_down(value, place)
            case "pick":
                self.w.store(number(0, self.result), places[0], self.result)
                with self._first_maximum(places, 1) as place:
                    self.w.store(self.w.load(place, self.result), places[0], self.result)

    def _fold(self, places: list[str], how: Fold) -> None:
        """A function folded over what the window sees."""
        w, kind = self.w, register_type(how.carried)
        total = w.variable(kind, start_of(how))
        for at in self._taps(places):
            value = w.converted(w.load(at[1], how.source), how.source, how.carried)
            folded = fold_values(w, how, w.put(f"load {kind}, ptr {total}"), value, 1)
            w.do(f"store {kind} {folded}, ptr {total}")
        w.store(w.converted(w.put(f"load {kind}, ptr {total}"), how.carried, how.result), places[0], how.result)

    @contextmanager
    def _first_maximum(self, places: list[str], array: int) -> Iterator[str]:
        """Where in an array the first tap is that has the maximum, if one has it (none is NaN).

        x and its maxima are the last operands. The place is chosen, not the value: a choice of pointers is no branch
        in machine code, and none predicts where maxima stand.
        """
        w, dtype = self.w, self.how.dtypes[2]
        best, chosen = w.load(places[3], dtype), w.variable("ptr", "null")
        same = "fcmp oeq" if dtype.kind == "f" else "icmp eq"
        for at in self._taps(places):
            equal = w.put(f"{same} {register_type(dtype)} {w.load(at[2], dtype)}, {best}")
            before = w.put(f"load ptr, ptr {chosen}")
            w.do(f"store ptr {w.put(f'select i1 {equal}, ptr {at[array]}, ptr {before}')}, ptr {chosen}")
        place = w.put(f"load ptr, ptr {chosen}")
        with w.when(w.put(f"icmp ne ptr {place}, null")):
            yield place

    def _lay_down(self, value: str, place: str) -> None:
        """Write a value to a position, or add it to what is there."""
        w, how = self.w, fold("add", self.result, self.result)
        if not self.how.alone:
            before, value = (w.converted(v, how.source, how.carried) for v in (w.load(place, self.result), value))
            value = w.converted(fold_values(w, how, before, value, 1), how.carried, how.result)
        w.store(value, place, self.result)
