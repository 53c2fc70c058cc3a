"""The device, used through CuPy: its memory, its kernels, and one stream that runs everything in order.

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
"""A launch whose kernel and arguments are prepared. Calling it puts it on the stream."""
Replay: TypeAlias = "Callable[[], None]"
"""A captured graph. Calling it launches the whole graph."""
WORKSPACE = 32 << 20
"""The bytes of the workspace: scratch memory for products of the library and for large sums. One is enough for all
programs, since everything runs in order on one stream."""
OPTIONS = ("--std=c++17", "--fmad=false")
"""Without `--fmad=false`, NVRTC could fuse a product and a sum into one rounding. Kernels say where they want that, so
fused steps have the same bits as separate ones."""


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
    """Turns a failure of the GPU or its driver into an error of this package."""
    try:
        yield
    except RuntimeError as error:
        raise BackendError(f"cupy: the GPU failed: {str(error).strip().rstrip('.')}.") from error


class Device:
    """A GPU, with the stream that this process uses on it."""

    def __init__(self) -> None:
        self._cupy = import_module("cupy")
        self._runtime = self._cupy.cuda.runtime
        self.process = os.getpid()
        self.stream = self._cupy.cuda.Stream(non_blocking=True)
        self.workspace = self.allocate(WORKSPACE)
        self.workspace_twin = np.empty(WORKSPACE, np.uint8)
        """The array on the host that mirrors the workspace, so that views of it have addresses. It is never read or
        written, so it takes no memory."""
        self._functions: dict[str, Any] = {}

    # Memory ------------------------------------------------------------------------------------------------------

    def allocate(self, size: int) -> Any:
        """Allocate `size` bytes. They begin at address `.ptr`, and are freed when nothing refers to the result.

        Raises:
            MemoryError: when the device has not so much free memory.
        """
        return self._cupy.cuda.alloc(max(1, size))

    def upload(self, address: int, source: np.ndarray) -> None:
        """Copy the bytes of a contiguous array to the device."""
        self._copy(address, source.ctypes.data, source.nbytes, self._runtime.memcpyHostToDevice)

    def download(self, target: np.ndarray, address: int) -> None:
        """Copy bytes of the device into a contiguous array, after all earlier work on the stream is done."""
        self._copy(target.ctypes.data, address, target.nbytes, self._runtime.memcpyDeviceToHost)

    def _copy(self, to: int, source: int, size: int, kind: int) -> None:
        with _failures():
            if size:
                self._runtime.memcpyAsync(to, source, size, kind, self.stream.ptr)
                self.stream.synchronize()

    def keep(self, address: int, size: int, begin: int, like: np.ndarray) -> Any:
        """Copy `size` bytes from an address, and return a CuPy array over the copy.

        The array begins `begin` bytes after the start of the copy, and has the shape, dtype and strides of `like`.
        """
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
        """The library for products of large matrices, cuBLASLt; or a sentence that says why it does not work here."""
        try:
            return BlasLt(load(), Workspace(int(self.workspace.ptr), WORKSPACE), self)
        except Exception as error:  # whatever looks for the library, or opens it, may fail in its own way
            return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

    def ready(self, launched: Launch | Multiply, status: int) -> Ready:
        """A compiled kernel's launch or a product of the library, ready to be called without arguments.

        `status` is the address of the word at which kernels look whether a check has stopped the program.
        """
        if isinstance(launched, Multiply):
            return partial(launched.run, self.stream.ptr)
        words = tuple(np.array([launched.gate or status, *launched.words], np.int64))
        return partial(self._functions[launched.kernel.name], (launched.blocks,), (launched.threads,), words)

    def run(self, launches: Sequence[Ready]) -> None:
        """Launch in order, and return without waiting for the end."""
        with _failures(), self.stream:
            for launch in launches:
                launch()

    def synchronize(self) -> None:
        """Wait until all work on the stream is done."""
        with _failures():
            self.stream.synchronize()

    def capture(self, body: Callable[[], None]) -> Replay:
        """Capture all that `body` launches as a CUDA graph. Each call of the result launches the whole graph.

        The graph keeps the words (arguments) of the kernels as they are now. During the capture, nothing may be
        allocated, freed or copied to the host.
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
        """End a capture that failed. The error of the body is the one to report, not the error of the broken graph."""
        with suppress(self._runtime.CUDARuntimeError):
            self.stream.end_capture()
