"""A stand-in for CuPy on a machine without a GPU: as much of it as the backend asks for, with the CPU as the device.

Kernels are the text that the backend wrote, compiled by g++ (`shim.h`). It is stricter than a GPU: memory that is new
holds NaN, what lies around it is guarded, copies must lie inside live memory, arguments must be 8-byte numbers and as
many as the kernel has, and nothing may be allocated, copied or waited for while a graph is captured.
"""

import ctypes
import hashlib
import re
import shutil
import subprocess
import types
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

SHIM = Path(__file__).with_name("shim.h")
GUARD = 64
GXX = ["g++", "-std=c++17", "-O0", "-ffp-contract=off", "-fPIC", "-w"]
SIGNATURE = re.compile(r'extern "C" __global__ void (\w+)\((.*?)\) \{.*?^\}$', re.DOTALL | re.MULTILINE)


class CUDARuntimeError(RuntimeError):
    """What CuPy raises for an error of CUDA's."""


class Memory:
    """Memory of the device, between guards."""

    def __init__(self, world, size):
        self._world, self.size = world, size
        self._bytes = np.full(size + 2 * GUARD, 0xFF, np.uint8)
        self.ptr = self._bytes.ctypes.data + GUARD
        world.live[self.ptr] = self

    def __add__(self, offset):
        return Place(self, offset)

    def check(self):
        """The guards are as they were."""
        ends = self._bytes[:GUARD], self._bytes[-GUARD:]
        assert all(bytes(end) == b"\xff" * GUARD for end in ends), "written out of bounds"

    def __del__(self):
        self.check()


class Place:
    """A place in memory, which keeps it alive."""

    def __init__(self, memory, offset):
        self.memory, self.ptr = memory, memory.ptr + offset


class Array:
    """An array over memory of the device, as much of one as DLPack asks for."""

    def __init__(self, shape, dtype, memptr, strides):
        self.place, self.shape = memptr, shape
        low = sum((n - 1) * step for n, step in zip(shape, strides, strict=True) if step < 0)
        high = sum((n - 1) * step for n, step in zip(shape, strides, strict=True) if step > 0) + dtype.itemsize
        flat = np.ctypeslib.as_array((ctypes.c_uint8 * (high - low)).from_address(memptr.ptr + low))
        self._view = np.ndarray(shape, dtype, flat, -low, strides)

    def get(self):
        return self._view.copy()

    def __dlpack__(self, **how):
        return self._view.__dlpack__(**how)

    def __dlpack_device__(self):
        return self._view.__dlpack_device__()


class Library:
    """Kernels as functions of the CPU: compiled together when one of them is first launched."""

    def __init__(self, folder):
        self.folder, self.texts, self.waiting, self.functions = folder, {}, {}, {}
        self.header = folder / SHIM.name  # what all kernels include is compiled once: that is most of a compile
        shutil.copy(SHIM, self.header)
        subprocess.run([*GXX, "-x", "c++-header", self.header, "-o", f"{self.header}.gch"], check=True)

    def add(self, code):
        """The kernels of a module; what stands before them is the same for all."""
        prelude = code[: code.index('extern "C"')] or "\n"
        for found in SIGNATURE.finditer(code):
            name, parameters = found.groups()
            if name not in self.texts:
                self.texts[name] = self.waiting[name] = found[0], parameters.split(", "), prelude

    def function(self, name):
        """The function that runs a kernel."""
        if name not in self.functions:
            self._compile()
        return self.functions[name]

    def _compile(self):
        names = list(self.waiting)
        half = -(-len(names) // 2) if len(names) > 200 else len(names)  # two processors, where it is worth it
        parts = [self._begin(names[start : start + half]) for start in range(0, len(names), half)]
        for part, path, process in parts:
            _, errors = process.communicate()
            assert process.returncode == 0, errors[:4000]
            library = ctypes.CDLL(str(path))
            self.functions.update({name: getattr(library, f"run_{name}") for name in part})
        self.waiting.clear()

    def _begin(self, names):
        """Start the compiler on some kernels."""
        prelude = max((self.waiting[name][2] for name in names), key=len)
        parts = [f'#include "{self.header}"', prelude]
        for name in names:
            text, parameters, _ = self.waiting[name]
            given = ", ".join(f"({p.rsplit(' ', 1)[0]})w[{i}]" for i, p in enumerate(parameters))
            barriers = "true" if "__syncthreads" in text else "false"
            parts.append(text)
            parts.append(
                f'extern "C" int run_{name}(unsigned blocks, unsigned threads, long long* words) {{ return '
                f"shim_grid(blocks, threads, {barriers}, [](long long* w) {{ {name}({given}); }}, words); }}"
            )
        source = "\n".join(parts)
        path = self.folder / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.cpp"
        path.write_text(source)
        library = path.with_suffix(".so")
        command = [*GXX, "-shared", path, "-o", library]
        return names, library, subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


class World:
    """The device: its memory, what was launched, and whether a graph is being captured."""

    def __init__(self, library):
        self.library, self.live = library, WeakValueDictionary()
        self.captured = None
        self.launched, self.allocated, self.copied = 0, 0, 0
        self.capacity, self.most = None, 0

    def alloc(self, size):
        """New memory."""
        self._not_captured("an allocation")
        if self.capacity is not None and size > self.capacity:
            raise MemoryError(f"Out of memory allocating {size:,} bytes")
        self.allocated += 1
        made = Memory(self, size)
        self.most = max(self.most, sum(memory.size for memory in self.live.values()))
        return made

    def copy(self, to, source, size, kind, stream):
        """The bytes of one stretch of memory, which must be live on the device's side."""
        self._not_captured("a copy to or from the host")
        self.copied += 1
        for address in (to,) if kind == 1 else (source,) if kind == 2 else (to, source):
            self._memory_of(address, size).check()
        ctypes.memmove(to, source, size)

    def _memory_of(self, address, size):
        for memory in self.live.values():
            if memory.ptr <= address and address + size <= memory.ptr + memory.size:
                return memory
        raise AssertionError("a copy beyond live memory")

    def _not_captured(self, what):
        if self.captured is not None:
            raise CUDARuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} during capture")

    def launch(self, work):
        """Do it, or note it for the graph."""
        if self.captured is not None:
            self.captured.append(work)
        else:
            self.launched += 1
            work()

    def run_kernel(self, name, blocks, threads, words):
        """Run a kernel on the CPU."""
        given = (ctypes.c_longlong * len(words))(*map(int, words))
        assert self.library.function(name)(blocks, threads, given) == 0, f"{name}: not all threads reach a barrier"


def make_cupy(world):
    """The module: what the backend takes for cupy."""

    class Stream:
        def __init__(self, non_blocking):
            assert non_blocking
            self.ptr = 1

        def __enter__(self):
            world.current = self
            return self

        def __exit__(self, *_):
            world.current = None

        def synchronize(self):
            world._not_captured("waiting")

        def begin_capture(self):
            world.captured = []

        def end_capture(self):
            nodes, world.captured = world.captured, None
            return Graph(nodes)

    class Graph:
        def __init__(self, nodes):
            self.nodes = nodes

        def launch(self, stream):
            for node in self.nodes:
                world.launch(node)

    class RawModule:
        def __init__(self, code, options=()):
            world.library.add(code)

        def get_function(self, name):
            parameters = world.library.texts[name][1]

            def function(grid, block, args):
                assert world.current is not None, "launched on the default stream"
                assert len(grid) == len(block) == 1 and 0 < grid[0] < 2**31 and 0 < block[0] <= 1024
                assert len(args) == len(parameters) and all(isinstance(a, np.int64) for a in args)
                world.launch(partial(world.run_kernel, name, grid[0], block[0], args))

            return function

    world.current = None
    runtime = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError, memcpyAsync=world.copy, memcpyHostToDevice=1, memcpyDeviceToHost=2,
        memcpyDeviceToDevice=3,
        getDeviceProperties=lambda number: {"name": b"a CPU"},
        driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 13000, getDeviceCount=lambda: 1,
    )  # fmt: skip
    cupy = types.ModuleType("cupy")
    cupy.__version__ = "14.0.0"
    cupy.RawModule = RawModule
    cupy.ndarray = Array
    cupy.cuda = types.SimpleNamespace(runtime=runtime, alloc=world.alloc, Stream=Stream)
    return cupy
