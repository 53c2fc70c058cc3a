"""Bindings: what a plan is bound to for a few sets of sizes, over one block of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from ..ir.collector import collector_paused
from ..plan.memory import Plan
from ..plan.sizes import some_sizes
from ..plan.usage import out_of_memory
from .block import Block

__all__ = ["Bindings"]

Memory = TypeVar("Memory")
Bound = TypeVar("Bound")

_KEPT = 8
"""Sets of sizes that stay bound: a few batch sizes alternate, as in training and evaluation."""


class Bindings(Generic[Memory, Bound]):
    """What `bind` makes of a block's memory and of sizes, kept; a block that has grown has everything bound anew."""

    def __init__(
        self, backend: str, plan: Plan, block: Block[Memory], bind: Callable[[Memory, dict[str, int]], Bound]
    ) -> None:
        self._backend, self._plan, self.block, self._bind = backend, plan, block, bind
        self._memory: Memory | None = None
        self._kept: dict[tuple[tuple[str, int], ...], Bound] = {}

    def __iter__(self) -> Iterator[Bound]:
        return iter(self._kept.values())

    def at(self, sizes: Mapping[str, int]) -> Bound:
        """What is bound for these sizes.

        Raises:
            BackendError: when there is not enough memory, with the bytes needed.
        """
        key = tuple(sorted(sizes.items()))
        if self._memory is not self.block.memory:  # which has grown since
            self._forget()
        found = self._kept.get(key)
        if found is None:
            try:
                with collector_paused():
                    found = self._bind(self._roomy(sizes), dict(sizes))
            except MemoryError as error:
                raise out_of_memory(self._backend, self._plan, sizes) from error
            self._kept[key] = found
        return found

    def _roomy(self, sizes: Mapping[str, int]) -> Memory:
        """The memory, large enough for these sizes."""
        needed = self._plan.offsets(sizes)[1]
        if not self.block.holds(needed):
            self._forget()
        elif len(self._kept) >= _KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._memory = self.block.grow(needed)
        return self._memory

    def _forget(self) -> None:
        """Let all go that holds the old memory, before there is more."""
        self._kept.clear()
        self._memory = None

    def any(self) -> Bound:
        """What is bound for some sizes."""
        return next(iter(self), None) or self.at(some_sizes(self._plan.graph))
