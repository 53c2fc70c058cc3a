"""The device, by CuPy: memory, kernels, one stream on which everything happens in order, and what is captured of it.

This is all that the backend asks of CuPy. Nothing else of the package imports it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, cached_property, partial
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

from ...errors import BackendError
from ...ir.collector import collector_paused
from .blaslt import BlasLt, Workspace, load
from .site import Multiply
from .types import PRELUDE
from .writer import Kernel, Launch

__all__ = ["WORKSPACE", "Device", "Ready", "Replay", "open_device"]

Ready: TypeAlias = "Callable[[], None]"
"""A launch with all that CuPy would look up at each call."""
Replay: TypeAlias = "Callable[[], None]"
"""What was captured, to be launched at once."""
WORKSPACE = 32 << 20
"""Bytes for what products of the library, and large sums, keep while they run; as all is done in order on one stream,
one such stretch is enough for all programs."""
OPTIONS = ("--std=c++17", "--fmad=false")
"""Products and sums are fused where a kernel says so, and nowhere else: so fused steps keep the bits of steps apart."""


@cache
def _device() -> Device:
    return Device()


def open_device() -> Device:
    """The one device of this process.

    Raises:
        BackendError: in a process that was forked from the one which opened it, or when the workspace does not fit.
    """
    try:
        found = _device()
    except MemoryError as error:
        needed = f"the {WORKSPACE >> 20} MiB of the workspace that all programs share"
        raise BackendError(f"cupy: the GPU has not enough free memory for {needed}: {error}") from error
    if found.process != os.getpid():
        raise BackendError(
            "cupy: a GPU cannot be used after a fork of the process that opened it: start processes with "
            "multiprocessing.get_context('spawn')."
        )
    return found


@contextmanager
def _failures() -> Iterator[None]:
    """What the GPU or its driver refuses, as an error of this package."""
    try:
        yield
    except RuntimeError as error:
        raise BackendError(f"cupy: the GPU failed: {str(error).strip().rstrip('.')}.") from error


class Device:
    """A GPU, and a stream on it."""

    def __init__(self) -> None:
        self._cupy = import_module("cupy")
        self._runtime = self._cupy.cuda.runtime
        self.process = os.getpid()
        self.stream = self._cupy.cuda.Stream(non_blocking=True)
        self.workspace = self.allocate(WORKSPACE)
        self.workspace_twin = np.empty(WORKSPACE, np.uint8)
        """What stands for it on the host, where it is never touched, and so takes no memory."""
        self._functions: dict[str, Any] = {}

    # Memory ------------------------------------------------------------------------------------------------------

    def allocate(self, size: int) -> Any:
        """Memory of so many bytes, which begins at `.ptr` and is given back when nothing refers to it.

        Raises:
            MemoryError: when there is not so much.
        """
        return self._cupy.cuda.alloc(max(1, size))

    def upload(self, address: int, source: np.ndarray) -> None:
        """Copy the bytes of a contiguous array to the device."""
        self._copy(address, source.ctypes.data, source.nbytes, self._runtime.memcpyHostToDevice)

    def download(self, target: np.ndarray, address: int) -> None:
        """Copy bytes of the device into a contiguous array, once all that was asked for before is done."""
        self._copy(target.ctypes.data, address, target.nbytes, self._runtime.memcpyDeviceToHost)

    def _copy(self, to: int, source: int, size: int, kind: int) -> None:
        with _failures():
            if size:
                self._runtime.memcpyAsync(to, source, size, kind, self.stream.ptr)
                self.stream.synchronize()

    def keep(self, address: int, size: int, begin: int, like: np.ndarray) -> Any:
        """A CuPy array over a copy of so many bytes; it begins some bytes inside, with the layout of another array."""
        memory = self.allocate(size)
        self._copy(memory.ptr, address, size, self._runtime.memcpyDeviceToDevice)
        return self._cupy.ndarray(like.shape, like.dtype, memory + begin, like.strides)

    # Kernels -----------------------------------------------------------------------------------------------------

    def compile(self, kernels: Iterable[Kernel]) -> None:
        """Compile those kernels that this process has not met yet, as one module."""
        new = {kernel.name: kernel for kernel in kernels if kernel.name not in self._functions}
        if not new:
            return
        text = "\n".join([PRELUDE, *(kernel.text for kernel in new.values())])
        module = self._cupy.RawModule(code=text, options=OPTIONS)
        self._functions.update({name: module.get_function(name) for name in new})

    @cached_property
    def library(self) -> BlasLt | str:
        """What multiplies large matrices, or why it does not work here."""
        try:
            return BlasLt(load(), Workspace(int(self.workspace.ptr), WORKSPACE), self)
        except Exception as error:  # whatever looks for the library, or opens it, may fail in its own way
            return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

    def ready(self, launched: Launch | Multiply, status: int) -> Ready:
        """A launch of a compiled kernel, or a product, to be called without arguments."""
        if isinstance(launched, Multiply):
            return partial(launched.run, self.stream.ptr)
        words = tuple(np.array([launched.gate or status, *launched.words], np.int64))
        return partial(self._functions[launched.kernel.name], (launched.blocks,), (launched.threads,), words)

    def run(self, launches: Sequence[Ready]) -> None:
        """Launch in order; returns before they are done."""
        with _failures(), self.stream:
            for launch in launches:
                launch()

    def synchronize(self) -> None:
        """Wait until all is done."""
        with _failures():
            self.stream.synchronize()

    def capture(self, body: Callable[[], None]) -> Replay:
        """What a body would launch, as a graph: each call of the result launches all of it at once.

        Words are kept as they are. Nothing may be allocated, freed or copied to the host meanwhile.
        """
        with _failures(), self.stream, collector_paused():
            self.stream.begin_capture()
            try:
                body()
            except BaseException:
                self._abandon()
                raise
            graph = self.stream.end_capture()

        def replay() -> None:
            with _failures():
                graph.launch(self.stream)

        return replay

    def _abandon(self) -> None:
        """End a capture that failed; what went wrong is the error to be seen, and not that the graph is broken."""
        with suppress(self._runtime.CUDARuntimeError):
            self.stream.end_capture()
