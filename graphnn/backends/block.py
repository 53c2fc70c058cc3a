"""Blocks: the memory in which programs lay their arenas."""

from __future__ import annotations

import numpy as np

from ..plan.memory import ALIGNMENT

__all__ = ["Block", "aligned_bytes"]


class Block:
    """Bytes that begin at a cache line, of one program or of several that never run at once.

    It grows by becoming another: what was bound to it lies elsewhere then, and is bound anew.
    """

    def __init__(self) -> None:
        self.bytes = aligned_bytes(0)

    def holds(self, needed: int) -> bool:
        """Is it large enough?"""
        return needed <= self.bytes.nbytes

    def grow(self, needed: int) -> None:
        """Become large enough."""
        if not self.holds(needed):
            self.bytes = aligned_bytes(0)  # the old one goes before the new one comes
            self.bytes = aligned_bytes(needed)


def aligned_bytes(size: int) -> np.ndarray:
    """Uninitialised bytes that begin at a cache line."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
