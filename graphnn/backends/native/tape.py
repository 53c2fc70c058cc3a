"""Tapes: the kernel calls of a program as arrays of 64-bit words, which the driver carries out one by one."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from .driver import loop_kernel, tape_kernel
from .machine import machine

__all__ = ["Address", "Invocation", "Tape", "address_of", "driver"]


class Address(int):
    """A word that is an address. It can be changed when the data lies elsewhere."""


def address_of(array: np.ndarray) -> Address:
    """The address of the first element of an array."""
    return Address(array.__array_interface__["data"][0])


@dataclass(frozen=True)
class Invocation:
    """A call of a kernel: the LLVM IR of the kernel, and the words that are its arguments."""

    kernel: str
    words: Sequence[int]


@dataclass
class Tape:
    """Kernel calls, laid out in memory as the driver reads them."""

    calls: Sequence[Invocation]
    entries: np.ndarray = field(init=False)
    """For each call, the address of the compiled kernel and the address of the call's words."""
    words: np.ndarray = field(init=False)
    """The words of all calls, one call after the other."""
    starts: list[int] = field(init=False)
    """For each call, the index of its first word in `words`."""

    def __post_init__(self) -> None:
        flat: list[int] = []
        self.starts = []
        for call in self.calls:
            self.starts.append(len(flat))
            flat.extend(call.words)
        self.words = np.array(flat or [0], np.int64)
        base = address_of(self.words)
        pairs = [
            (machine().address(call.kernel), base + 8 * at) for call, at in zip(self.calls, self.starts, strict=True)
        ]
        self.entries = np.array(pairs, np.int64).reshape(-1, 2)
        self._told = np.array([address_of(self.entries), len(self.calls)], np.int64)
        self._address = address_of(self._told)

    def __len__(self) -> int:
        return len(self.calls)

    def run(self) -> int:
        """Carry out the calls. Returns 0, or the number of the entry whose kernel stopped the run, counted from 1."""
        return int(driver(tape_kernel)(self._address)) if self.calls else 0

    def where(self, entry: int, word: int) -> int:
        """The address of a word of an entry, both given by their index."""
        return int(address_of(self.words)) + 8 * (self.starts[entry] + word)

    def addresses(self, low: int, high: int) -> list[tuple[int, int]]:
        """The words that are addresses from `low` up to, but not including, `high`: the index and the value of each."""
        return [
            (start + i, int(word))
            for call, start in zip(self.calls, self.starts, strict=True)
            for i, word in enumerate(call.words)
            if isinstance(word, Address) and low <= word < high
        ]


@cache
def driver(kernel: Any) -> Any:
    """A kernel of the driver as a function of Python: it takes the address of the words, and releases the GIL."""
    assert kernel in (loop_kernel, tape_kernel)
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(machine().address(kernel()))
