"""Windowed ops: what ops that slide a window over images have in common."""

from __future__ import annotations

from typing import Any

from ..ir.node import Node
from ..ir.spec import Shape
from .window import Window, pool_window

__all__ = ["Pooling", "Windowed"]


class Windowed(Node):
    """The base of ops that slide a window over images: their `bind` is the whole of how they are computed."""

    @property
    def window(self) -> Window:
        """The window: its size, and how it moves."""
        raise NotImplementedError

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """Make the calls of `bind`, with memory of their own."""
        sizes: dict[str, int] = {}
        for operand, array in zip(self.operands, arrays, strict=True):
            operand.spec.unify(array.shape, sizes, operand.label, {})
        out = xp.empty(self.spec.concrete(sizes), self.dtype)
        scratch = tuple(xp.empty(spec.concrete(sizes), spec.dtype) for spec in self.scratch())
        for call in self.bind(xp, arrays, out, scratch):
            call()
        return out


class Pooling(Windowed):
    """The base of ops whose window has a kernel of its own, rather than the size of a filter."""

    @property
    def window(self) -> Window:
        """The kernel, and how it moves."""
        return pool_window(self)

    @property
    def placed(self) -> Shape:
        """The shape with an element for each place of the window."""
        raise NotImplementedError

    def work(self) -> tuple[Shape, ...]:
        """An operation for each tap of the kernel at each place."""
        return ((self.window.taps, *self.placed),)
