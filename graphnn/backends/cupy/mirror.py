"""The mirror: which place on the device stands for which of the host's.

A program lies on the device as its arrays lie on the host: an arena of the same offsets, a copy of each parameter and
each constant. So shapes, strides and views are made once, by NumPy, and an address is a matter of looking up. The
host's memory is hardly touched, but for what is fed, read back, or computed by a step that has no kernel.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..placed import owner
from .device import Device

__all__ = ["Mirror"]


class Mirror:
    """Stretches of the host's memory, and the device's memory for each."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._begins: list[int] = []
        self.stretches: list[tuple[np.ndarray, Any]] = []
        self._constants: dict[tuple[int, int], tuple[np.ndarray, Any]] = {}

    def add(self, array: np.ndarray, memory: Any) -> None:
        """Let memory of the device stand for that of a contiguous array, to which there is no other way in."""
        if array.nbytes:
            begin = array.ctypes.data
            place = bisect_right(self._begins, begin)
            self._begins.insert(place, begin)
            self.stretches.insert(place, (array.reshape(-1).view(np.uint8), memory))

    def keep(self, array: np.ndarray, memory: Any) -> None:
        """Let memory of the device stand for an array that is neither sent nor fetched."""
        self._constants[np.lib.array_utils.byte_bounds(array)] = array, memory

    def address(self, array: np.ndarray) -> int:
        """Where an array begins on the device; one that lies in no stretch is a constant, and sent."""
        if not array.size:
            return 0
        place: int = array.__array_interface__["data"][0]
        found = self._find(place)
        if found is not None:
            stretch, memory = found
            return int(memory.ptr) + place - stretch.ctypes.data
        array = owner(array)  # of many parts of a constant the whole is sent, and once
        low, high = np.lib.array_utils.byte_bounds(array)
        if (low, high) not in self._constants:
            memory = self._device.allocate(high - low)
            self._device.upload(memory.ptr, np.ctypeslib.as_array((ctypes.c_uint8 * (high - low)).from_address(low)))
            self._constants[low, high] = array, memory  # the array too: its place is not to be another's
        return int(self._constants[low, high][1].ptr) + place - low

    def _find(self, place: int) -> tuple[np.ndarray, Any] | None:
        at = bisect_right(self._begins, place) - 1
        return self.stretches[at] if at >= 0 and place < self._begins[at] + self.stretches[at][0].nbytes else None

    def download(self, arrays: Iterable[np.ndarray]) -> None:
        """Bring the host's arrays up to date; constants are."""
        for part, address in self._parts(arrays):
            self._device.download(part, address)

    def upload(self, arrays: Iterable[np.ndarray]) -> None:
        """Send what the host wrote into arrays."""
        for part, address in self._parts(arrays):
            self._device.upload(address, part)

    def _parts(self, arrays: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
        """The bytes from the first to the last of each array, and where the device has them."""
        for array in arrays:
            low, high = np.lib.array_utils.byte_bounds(array)
            found = self._find(low) if array.size else None
            if found is not None:
                stretch, memory = found
                begin = low - stretch.ctypes.data
                yield stretch[begin : begin + high - low], int(memory.ptr) + begin
