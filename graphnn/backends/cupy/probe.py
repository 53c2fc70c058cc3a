"""Probing: does the CuPy backend work on this machine, and if not, why in one sentence.

`import cupy` succeeds without a driver, and fails where its cache folder cannot be written; only a kernel that has
computed something proves that all is well.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

__all__ = ["problem"]

OLDEST, CUDA = 14, 12
"""The oldest releases that do, of CuPy and of CUDA."""
_INSTALL = "pip install 'graphnn[cuda12]' or 'graphnn[cuda13]', whichever CUDA nvidia-smi shows"

_DOUBLE = """
extern "C" __global__ void twice(long long* x) {
  x[threadIdx.x] *= 2;
}
"""


@cache
def problem() -> str | None:
    """Why the CuPy backend does not work here, with what mends it; None when it does. Never raises."""
    if find_spec("cupy") is None:
        return f"cupy is not installed; {_INSTALL}"
    try:
        cupy = import_module("cupy")
    except OSError as error:
        return f"cupy does not load: {_line(error)}; set CUPY_CACHE_DIR to a folder that can be written to"
    except Exception as error:
        return f"cupy does not load: {_line(error)}; {_INSTALL}"
    try:
        return _version(cupy) or _driver(cupy) or _kernel(cupy)
    except Exception as error:
        return f"the GPU does not answer: {_line(error)}"


def _line(error: BaseException) -> str:
    """The first line of an error, as part of a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__


def _version(cupy: Any) -> str | None:
    major = int(str(cupy.__version__).split(".")[0])
    if major < OLDEST:
        return f"cupy {cupy.__version__} is too old, {OLDEST} or newer is needed; {_INSTALL}"
    cuda = cupy.cuda.runtime.runtimeGetVersion() // 1000
    return f"cupy is built for CUDA {cuda}, {CUDA} or newer is needed; {_INSTALL}" if cuda < CUDA else None


def _driver(cupy: Any) -> str | None:
    """What is wrong with the driver, or that there is no device."""
    runtime = cupy.cuda.runtime
    driver, needed = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if not driver:
        return "there is no NVIDIA driver; install one that supports this GPU, see https://www.nvidia.com/drivers"
    if driver // 1000 < needed // 1000:
        return (
            f"the NVIDIA driver is for CUDA {driver // 1000}, but cupy for {needed // 1000}; "
            "update the driver, or install the cupy for that CUDA"
        )
    try:
        devices = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        return f"there is no GPU that can be used: {_line(error)}; see nvidia-smi, and CUDA_VISIBLE_DEVICES"
    return None if devices else "there is no GPU; see nvidia-smi, and CUDA_VISIBLE_DEVICES"


def _kernel(cupy: Any) -> str | None:
    """Compile one tiny kernel, run it, and look at the result."""
    memory = cupy.cuda.alloc(8 * 4)
    stream = cupy.cuda.Stream(non_blocking=True)
    numbers = np.arange(4)
    runtime = cupy.cuda.runtime
    runtime.memcpyAsync(memory.ptr, numbers.ctypes.data, numbers.nbytes, runtime.memcpyHostToDevice, stream.ptr)
    try:
        kernel = cupy.RawModule(code=_DOUBLE).get_function("twice")
        with stream:
            kernel((1,), (4,), (np.int64(memory.ptr),))
    except OSError as error:
        return f"kernels cannot be kept: {_line(error)}; set CUPY_CACHE_DIR to a folder that can be written to"
    runtime.memcpyAsync(numbers.ctypes.data, memory.ptr, numbers.nbytes, runtime.memcpyDeviceToHost, stream.ptr)
    stream.synchronize()
    return None if list(numbers) == [0, 2, 4, 6] else "the GPU computes wrongly: a test kernel failed"
