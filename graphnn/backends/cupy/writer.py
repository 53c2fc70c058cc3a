"""Writing CUDA: the parameters, statements and loops of one kernel.

A kernel is given the address of the program's status and 64-bit words: addresses and numbers. It does nothing once
the status says that the program has stopped. Names in the text are made here, so nothing of a user's is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import prod

from ..kernels import DType
from .types import memory_type, register_type

__all__ = ["Kernel", "Launch", "THREADS", "Writer", "launch"]

THREADS = 256
"""Threads of a block."""


@dataclass(frozen=True)
class Kernel:
    """A kernel as text: its parameters after the status, and its body. Equal texts are one kernel."""

    parameters: Sequence[str]
    body: str
    shared: int = 0
    """Bytes that its blocks share."""

    @cached_property
    def name(self) -> str:
        """What it is called: a digest of its text, so that equal kernels of several steps are compiled once."""
        return "k" + hashlib.sha256(f"{self.parameters}{self.body}".encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        """The whole function."""
        parameters = ", ".join(["long long* status", *self.parameters])
        return f'extern "C" __global__ void {self.name}({parameters}) {{\n{self.body}}}\n'


@dataclass(frozen=True)
class Launch:
    """A kernel with its words, and how many blocks of threads it runs in."""

    kernel: Kernel
    words: Sequence[int]
    blocks: int
    threads: int = THREADS
    code: int = 0
    """What it writes into the status when it stops the program; 0 when it never does."""
    gate: int = 0
    """Where the word is that it takes for the status, other than that of the program: of a branch of a choice."""


def launch(kernel: Kernel, words: Sequence[int], threads: int, code: int = 0) -> Launch:
    """The launch that gives each of so many threads its own number."""
    return Launch(kernel, words, -(-threads // THREADS), THREADS, code)


class Writer:
    """Writes one kernel."""

    def __init__(self) -> None:
        self._parameters: list[str] = []
        self._lines: list[str] = []
        self._depth = 1
        self._count = 0
        self._shared = 0

    def _new(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"

    def pointer(self, dtype: DType, written: bool = False) -> str:
        """A new parameter: where an array begins."""
        name = self._new("p")
        self._parameters.append(f"{'' if written else 'const '}{memory_type(dtype)}* {name}")
        return name

    def word(self) -> str:
        """A new parameter: a number."""
        name = self._new("n")
        self._parameters.append(f"long long {name}")
        return name

    def put(self, kind: str, value: str) -> str:
        """A new constant of that type; its name."""
        name = self._new("v")
        self.line(f"const {kind} {name} = {value};")
        return name

    def index(self, value: str) -> str:
        """A new whole number; its name, or the text itself where that is as short."""
        return value if value.isidentifier() or value.isdigit() else self.put("long long", value)

    def line(self, text: str) -> None:
        """A statement."""
        self._lines.append("  " * self._depth + text + "\n")

    @contextmanager
    def braces(self, head: str) -> Iterator[None]:
        """What the statements inside belong to: `for (...)`, `if (...)`."""
        self.line(head + " {")
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")

    def thread(self, count: str) -> str:
        """The number of this thread among all; those from `count` on leave, and all do once the program has stopped."""
        name = self.put("long long", "(long long)blockIdx.x * blockDim.x + threadIdx.x")
        self.line(f"if (*status || {name} >= {count}) return;")
        return name

    def leave_when_stopped(self) -> None:
        """Do nothing once the program has stopped: for kernels whose threads wait for one another."""
        self.line("if (*status) return;")

    def share(self, dtype: DType, name: str, *sizes: int) -> None:
        """An array that the threads of a block share."""
        self.line(f"__shared__ {register_type(dtype)} {name}{''.join(f'[{n}]' for n in sizes)};")
        self._shared += prod(sizes) * dtype.itemsize

    def kernel(self) -> Kernel:
        """The kernel written."""
        return Kernel(tuple(self._parameters), "".join(self._lines), self._shared)
