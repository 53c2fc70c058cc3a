"""Bindings: a plan, bound for several sets of sizes, over one block of memory."""

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
"""The number of sets of sizes that stay bound, since a few batch sizes may alternate, as in training and evaluation."""


class Bindings(Generic[Memory, Bound]):
    """What `bind` returns for a block of memory and for sizes, kept for the next call with these sizes.

    When the block grows, its memory is elsewhere, and everything is bound again.
    """

    def __init__(
        self, backend: str, plan: Plan, block: Block[Memory], bind: Callable[[Memory, dict[str, int]], Bound]
    ) -> None:
        self._backend, self._plan, self.block, self._bind = backend, plan, block, bind
        self._memory: Memory | None = None
        self._kept: dict[tuple[tuple[str, int], ...], Bound] = {}

    def __iter__(self) -> Iterator[Bound]:
        return iter(self._kept.values())

    def at(self, sizes: Mapping[str, int]) -> Bound:
        """What is bound for these sizes, now or by a former call.

        Raises:
            BackendError: when there is not enough memory; the message says how much is needed.
        """
        key = tuple(sorted(sizes.items()))
        if self._memory is not self.block.memory:  # the block has grown since
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
        """The memory of the block, once it is large enough for these sizes."""
        needed = self._plan.offsets(sizes)[1]
        if not self.block.holds(needed):
            self._forget()
        elif len(self._kept) >= _KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._memory = self.block.grow(needed)
        return self._memory

    def _forget(self) -> None:
        """Release all that holds the old memory, before new memory is allocated."""
        self._kept.clear()
        self._memory = None

    def any(self) -> Bound:
        """What is bound for any sizes."""
        return next(iter(self), None) or self.at(some_sizes(self._plan.graph))
