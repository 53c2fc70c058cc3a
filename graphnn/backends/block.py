"""Blocks: the memory in which the arenas of programs lie."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from ..plan.memory import ALIGNMENT

__all__ = ["Block", "aligned_bytes"]

Memory = TypeVar("Memory")


class Block(Generic[Memory]):
    """The memory of one program, or of several that never run at the same time.

    `allocate` makes memory of a given number of bytes. To grow, a block allocates new memory: all that was bound to the
    old memory has to be bound again.
    """

    def __init__(self, allocate: Callable[[int], Memory]) -> None:
        self._allocate = allocate
        self._lock = threading.Lock()  # one of several programs may be bound in another thread
        self.size = -1
        """The number of bytes; -1 before the first are allocated."""
        self.memory: Memory | None = None

    def holds(self, needed: int) -> bool:
        """Is the memory large enough?"""
        return needed <= self.size

    def grow(self, needed: int) -> Memory:
        """The memory, which is allocated anew unless it is large enough."""
        with self._lock:
            if self.memory is None or not self.holds(needed):
                self.memory, self.size = None, -1  # release the old memory before allocating the new
                self.memory, self.size = self._allocate(needed), needed
            return self.memory


def aligned_bytes(size: int) -> np.ndarray:
    """An array of uninitialised bytes that begins at a cache line."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
