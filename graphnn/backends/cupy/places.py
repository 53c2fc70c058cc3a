"""Places: the offset of an element in each array, computed from the element's number along all axes together."""

from __future__ import annotations

from collections.abc import Sequence

from ..nests import Axis
from .writer import Writer

__all__ = ["Walk"]


class Walk:
    """The axes that a kernel walks over: their sizes, and the stride in bytes of each array along them.

    It declares parameters for the words (arguments) that `nests.make_axes` returns: for each axis its size, if that
    varies, and the strides that are neither 0 nor the size of an element.
    """

    def __init__(self, w: Writer, axes: Sequence[Axis], itemsizes: Sequence[int]) -> None:
        self._w, self._arrays = w, len(itemsizes)
        self._axes: list[tuple[str, list[str]]] = []
        for axis in axes:
            size = str(axis.size) if axis.size is not None else w.word()
            kinds = zip(axis.strides, itemsizes, strict=True)
            moves = [w.word() if kind == "any" else str(item) if kind == "dense" else "0" for kind, item in kinds]
            self._axes.append((size, moves))

    @property
    def count(self) -> str:
        """The expression for the number of elements."""
        return " * ".join(size for size, _ in self._axes) or "1"

    def offsets(self, number: str) -> list[str]:
        """For each array, the expression for the offset in bytes of the element with this number."""
        terms: list[list[str]] = [[] for _ in range(self._arrays)]
        rest = number
        for i, (size, moves) in reversed(list(enumerate(self._axes))):
            at = rest if i == 0 else self._w.put("long long", f"{rest} % {size}")
            if i:
                rest = self._w.put("long long", f"{rest} / {size}")
            for array, move in zip(terms, moves, strict=True):
                if move != "0":
                    array.append(at if move == "1" else f"{at} * {move}")
        return [" + ".join(reversed(array)) or "0" for array in terms]
