"""Tiny nets: a single kernel with a single block that runs many steps of a loop, in the block's shared memory.

A launch costs microseconds, and so does each node of a captured graph. That is longer than a tiny net computes. So
here the kernels of a step become functions, which one block calls in order. The block does the work of all blocks of
a kernel, one after the other, with a barrier after each. While it runs, the arena and the parameters are in shared
memory. The functions have the text of the kernels, so a loop gives the same bits as its steps one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...plan.arena import aligned
from .bound import Bound
from .device import Device
from .lower import Launched
from .site import Address
from .writer import THREADS, Kernel, Launch

__all__ = ["Tiny", "make_tiny"]

SHARED = 48 << 10
"""The bytes of shared memory that a block may use on every GPU, without opting in to more."""
BLOCKS = 4
"""A net is tiny if its launches have at most so many blocks on average. With more, several multiprocessors would be
faster than one. Not measured."""


def make_tiny(bound: Bound, full: Sequence[Launched], odd: Sequence[Launched], steps: int) -> Tiny | None:
    """The steps of an epoch as one kernel, or None if the net is not tiny.

    `full` holds the launches of a step with a full batch. `odd` holds those of the last step if its batch is smaller,
    else nothing. An epoch has `steps` steps.
    """
    launches = [launch for launch in (*full, *odd) if isinstance(launch, Launch)]
    if len(launches) < len(full) + len(odd) or any(launch.gate for launch in launches):
        return None
    if sum(launch.blocks for launch in launches) > BLOCKS * len(launches):
        return None
    home = _Home(bound)
    words = sum(len(launch.words) + 1 for launch in launches) + 3 * len(home.stretches) + 1
    kernels = {launch.kernel for launch in launches}
    needed = rounded(home.size) + aligned(8 * words) + sum(kernel.shared for kernel in kernels)
    return Tiny(bound, home, full, odd, steps) if needed <= SHARED else None


@dataclass(frozen=True)
class _Stretch:
    """A range of device memory that the block copies into shared memory: its address, its bytes, and the offset of the
    copy in shared memory."""

    address: int
    size: int
    local: int


class _Home:
    """The layout of shared memory: the arena and the parameters, one after the other."""

    def __init__(self, bound: Bound) -> None:
        self.stretches: list[_Stretch] = []
        self.size = 0
        for array, memory in bound.mirror.stretches:
            self.stretches.append(_Stretch(int(memory.ptr), array.nbytes, self.size))
            self.size += aligned(array.nbytes)

    def find(self, word: int) -> int | None:
        """The offset in shared memory of what is at an address; None for a number, or an address outside all copies."""
        if isinstance(word, Address):
            for stretch in self.stretches:
                if stretch.address <= word < stretch.address + stretch.size:
                    return stretch.local + word - stretch.address
        return None


def rounded(size: int) -> int:
    """The size in bytes, rounded up to a multiple of 4 KiB, so that one kernel serves many batch sizes."""
    return max(1, -(-size // 4096)) * 4096


class Tiny:
    """The kernel of a tiny net, and on the device the table of the words (arguments) of the functions that it calls."""

    def __init__(
        self, bound: Bound, home: _Home, full: Sequence[Launched], odd: Sequence[Launched], steps: int
    ) -> None:
        self._device: Device = bound.device
        self._status = int(bound.room.status.ptr)
        table: list[int] = [n for s in home.stretches for n in (s.address, s.size, s.local)]
        self._kernel = _Text(home, table, steps).kernel(full, odd)
        self._table = self._device.allocate(8 * len(table))
        self._device.upload(self._table.ptr, np.array(table, np.int64))
        self._device.compile([self._kernel])

    def launch(self, step: int, most: int) -> int:
        """Launch the kernel for `most` steps, and return this number. The device itself knows which step is next."""
        launch = Launch(self._kernel, [int(self._table.ptr), most], 1)
        self._device.run([self._device.ready(launch, self._status)])
        return most


class _Text:
    """Writes the text of the kernel, and appends to the table the words that its calls take."""

    def __init__(self, home: _Home, table: list[int], steps: int) -> None:
        self.home, self.table, self.steps = home, table, steps
        self.functions: dict[Kernel, str] = {}

    def kernel(self, full: Sequence[Any], odd: Sequence[Any]) -> Kernel:
        """The kernel that runs all steps."""
        self.table.append(self.steps)
        epoch = f"words[{len(self.table) - 1}]"
        calls = [*self._steps(full, odd, epoch)]
        functions = [line for kernel, name in self.functions.items() for line in self._function(kernel, name)]
        size = rounded(self.home.size)
        body = [
            f"  __shared__ long long local[{size // 8}], words[{len(self.table)}];\n",
            f"  for (int i = threadIdx.x; i < {len(self.table)}; i += {THREADS}) words[i] = table[i];\n",
            "  __syncthreads();\n",
            *self._copies(back=False),
            "  __syncthreads();\n",
            "  const long long base = (long long)local;\n",
            *functions,
            "  for (long long step = 0; step < count && !*status; step++) {\n",
            *calls,
            "  }\n",
            *self._copies(back=True),
        ]
        shared = size + 8 * len(self.table) + sum(kernel.shared for kernel in self.functions)
        return Kernel(("const long long* table", "long long count"), "".join(body), shared)

    def _copies(self, back: bool) -> Iterator[str]:
        """The lines that copy each stretch into shared memory, or back to device memory."""
        for i in range(len(self.home.stretches)):
            address, size, begin = (f"words[{3 * i + n}]" for n in range(3))
            here, there = f"((char*)local)[{begin} + i]", f"((char*){address})[i]"
            to, source = (there, here) if back else (here, there)
            head = f"for (long long i = threadIdx.x; i < {size}; i += {THREADS})"
            yield f"  {head} {to} = {source};\n"

    def _steps(self, full: Sequence[Launch], odd: Sequence[Launch], epoch: str) -> Iterator[str]:
        """The lines that run a step. If the last step of an epoch has a smaller batch, they choose between the two."""
        if not odd:
            yield from self._calls(full, "    ")
            return
        yield f"    if (status[1] % {epoch} != {epoch} - 1) {{\n"
        yield from self._calls(full, "      ")
        yield "    } else {\n"
        yield from self._calls(odd, "      ")
        yield "    }\n"

    def _calls(self, launches: Sequence[Launch], indent: str) -> Iterator[str]:
        for launch in launches:
            name = self.functions.setdefault(launch.kernel, f"f{len(self.functions)}")
            given = ["block"]
            for parameter, word in zip(launch.kernel.parameters, launch.words, strict=True):
                local = self.home.find(word)
                text = f"words[{len(self.table)}]" if local is None else f"base + words[{len(self.table)}]"
                self.table.append(word if local is None else local)
                given.append(f"({parameter.rsplit(' ', 1)[0]})({text})")
            call = f"{name}({', '.join(given)}); __syncthreads();"
            yield f"{indent}for (unsigned block = 0; block < words[{len(self.table)}]; block++) {{ {call} }}\n"
            self.table.append(launch.blocks)

    @staticmethod
    def _function(kernel: Kernel, name: str) -> Iterator[str]:
        """The lines of a kernel as a function. The number of the block becomes its first argument."""
        yield f"  auto {name} = [&]({', '.join(['unsigned block', *kernel.parameters])}) {{\n"
        yield kernel.body.replace("blockIdx.x", "block")
        yield "  };\n"
