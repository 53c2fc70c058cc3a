"""Tapes: a program's calls as an array of words, which the driver walks."""

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
    """A word that is an address, and moves when what lies there does."""


def address_of(array: np.ndarray) -> Address:
    """Where an array begins."""
    return Address(array.__array_interface__["data"][0])


@dataclass(frozen=True)
class Invocation:
    """A call of a kernel, given as its text, with its words."""

    kernel: str
    words: Sequence[int]


@dataclass
class Tape:
    """Calls, laid out in memory as the driver reads them."""

    calls: Sequence[Invocation]
    entries: np.ndarray = field(init=False)
    words: np.ndarray = field(init=False)
    starts: list[int] = field(init=False)

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
        """Walk it; 0, or the number of the entry that stopped it, counted from 1."""
        return int(driver(tape_kernel)(self._address)) if self.calls else 0

    def where(self, entry: int, word: int) -> int:
        """The address of a word of an entry."""
        return int(address_of(self.words)) + 8 * (self.starts[entry] + word)

    def addresses(self, low: int, high: int) -> list[tuple[int, int]]:
        """The words that are addresses from `low` up to `high`: which it is, and what."""
        return [
            (start + i, int(word))
            for call, start in zip(self.calls, self.starts, strict=True)
            for i, word in enumerate(call.words)
            if isinstance(word, Address) and low <= word < high
        ]


@cache
def driver(kernel: Any) -> Any:
    """One of the driver's kernels, to be called with the address of its words; the GIL is released meanwhile."""
    assert kernel in (loop_kernel, tape_kernel)
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(machine().address(kernel()))
