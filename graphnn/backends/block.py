"""Blocks: the memory in which programs lay their arenas."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from ..plan.memory import ALIGNMENT

__all__ = ["Block", "aligned_bytes"]

Memory = TypeVar("Memory")


class Block(Generic[Memory]):
    """Memory of one program, or of several that never run at once; `allocate` makes some of so many bytes.

    It grows by becoming another: what was bound to it lies elsewhere then, and is bound anew.
    """

    def __init__(self, allocate: Callable[[int], Memory]) -> None:
        self._allocate = allocate
        self._lock = threading.Lock()  # one of several programs may be bound in a thread of its own
        self.size = -1
        """Bytes; none yet."""
        self.memory: Memory | None = None

    def holds(self, needed: int) -> bool:
        """Is it large enough?"""
        return needed <= self.size

    def grow(self, needed: int) -> Memory:
        """The memory, once it is large enough."""
        with self._lock:
            if self.memory is None or not self.holds(needed):
                self.memory, self.size = None, -1  # the old one goes before the new one comes
                self.memory, self.size = self._allocate(needed), needed
            return self.memory


def aligned_bytes(size: int) -> np.ndarray:
    """Uninitialised bytes that begin at a cache line."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
