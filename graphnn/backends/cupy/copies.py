"""Copies of parameters on the device: one for each parameter, shared by all programs, brought up to date when read.

Either side may hold the newer value. The host's array is fetched when somebody looks at it, and sent when a program
of the device runs after somebody may have written to it.
"""

from __future__ import annotations

import numpy as np

from ...ir.leaf import Parameter
from .device import Device

__all__ = ["DeviceCopy", "copy_of"]


class DeviceCopy:
    """The value of a parameter on the device."""

    def __init__(self, device: Device, array: np.ndarray) -> None:
        self._device, self.array = device, array
        self.memory = device.allocate(array.nbytes)
        self._sent = False
        """Does the device hold what the host holds, or something newer?"""
        self._newer = False
        """Is what the device holds newer than what the host holds?"""

    def send(self) -> None:
        """Bring the device up to date, before a program runs there."""
        if not self._sent:
            self._device.upload(self.memory.ptr, self.array)
            self._sent = True

    def updated(self) -> None:
        """A program of the device has written a new value."""
        self._newer = True

    def fetch(self) -> None:
        """Bring the host up to date."""
        if self._newer:
            self._device.download(self.array, self.memory.ptr)
            self._newer = False

    def fetch_for_writing(self) -> None:
        """Bring the host up to date for somebody who may write there."""
        self.fetch()
        self._sent = False


def copy_of(parameter: Parameter, device: Device) -> DeviceCopy:
    """The one copy of a parameter, made when it is first asked for."""
    if parameter.device_copy is None:
        parameter.keep_device_copy(DeviceCopy(device, parameter.storage))
    assert isinstance(parameter.device_copy, DeviceCopy)
    return parameter.device_copy
