"""The mirror: finds the address on the device that belongs to an array on the host.

Every array of a program exists twice: as a NumPy array on the host, and as memory on the device that is laid out in
the same way. The arena on the device has the same offsets as the arena on the host, and each parameter and constant
has a copy. So NumPy makes shapes, strides and views once, on the host, and the mirror translates addresses. The
program hardly touches the host's memory: only for inputs, for results that are read back, and for steps that have no
kernel and run on NumPy.
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
    """Stretches of the host's memory, and for each the memory of the device that mirrors it.

    A stretch is a range of the host's memory without gaps: the arena, or the storage of one parameter.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._begins: list[int] = []
        self.stretches: list[tuple[np.ndarray, Any]] = []
        self._constants: dict[tuple[int, int], tuple[np.ndarray, Any]] = {}

    def add(self, array: np.ndarray, memory: Any) -> None:
        """Add a stretch: the memory of a contiguous array, and the memory of the device that mirrors it.

        Stretches must not overlap.
        """
        if array.nbytes:
            begin = array.ctypes.data
            place = bisect_right(self._begins, begin)
            self._begins.insert(place, begin)
            self.stretches.insert(place, (array.reshape(-1).view(np.uint8), memory))

    def keep(self, array: np.ndarray, memory: Any) -> None:
        """Let memory of the device mirror an array whose bytes are never copied, in either direction."""
        self._constants[np.lib.array_utils.byte_bounds(array)] = array, memory

    def address(self, array: np.ndarray) -> int:
        """The address on the device of the first element of an array; 0 for an empty array.

        An array outside all stretches is a constant. Its bytes are sent to the device when it is first asked for.
        """
        if not array.size:
            return 0
        place: int = array.__array_interface__["data"][0]
        found = self._find(place)
        if found is not None:
            stretch, memory = found
            return int(memory.ptr) + place - stretch.ctypes.data
        array = owner(array)  # a constant is sent whole, and once for all its views
        low, high = np.lib.array_utils.byte_bounds(array)
        if (low, high) not in self._constants:
            memory = self._device.allocate(high - low)
            self._device.upload(memory.ptr, np.ctypeslib.as_array((ctypes.c_uint8 * (high - low)).from_address(low)))
            self._constants[low, high] = array, memory  # holding the array keeps its address from being reused
        return int(self._constants[low, high][1].ptr) + place - low

    def _find(self, place: int) -> tuple[np.ndarray, Any] | None:
        at = bisect_right(self._begins, place) - 1
        return self.stretches[at] if at >= 0 and place < self._begins[at] + self.stretches[at][0].nbytes else None

    def download(self, arrays: Iterable[np.ndarray]) -> None:
        """Copy arrays from the device to the host. Constants are left out, since they never change."""
        for part, address in self._parts(arrays):
            self._device.download(part, address)

    def upload(self, arrays: Iterable[np.ndarray]) -> None:
        """Copy arrays from the host to the device, after the host has written into them."""
        for part, address in self._parts(arrays):
            self._device.upload(address, part)

    def _parts(self, arrays: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
        """For each array in a stretch: its bytes on the host, from first to last, and their address on the device."""
        for array in arrays:
            low, high = np.lib.array_utils.byte_bounds(array)
            found = self._find(low) if array.size else None
            if found is not None:
                stretch, memory = found
                begin = low - stretch.ctypes.data
                yield stretch[begin : begin + high - low], int(memory.ptr) + begin
