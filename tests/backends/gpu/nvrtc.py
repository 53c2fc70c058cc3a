"""NVRTC, NVIDIA's compiler for CUDA text, by ctypes: it needs no GPU."""

import ctypes
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

__all__ = ["compile_cuda", "load"]


def load():
    """The library, from NVIDIA's wheel or the system; None where it is not installed."""
    wheel = find_spec("nvidia")
    folders = [Path(folder) for folder in wheel.submodule_search_locations] if wheel else []
    found = [str(path) for folder in folders for path in sorted(folder.glob("*/lib/libnvrtc.so*"))]
    for name in (*found, find_library("nvrtc")):
        if name:
            return ctypes.CDLL(name)
    return None


def compile_cuda(library, text, options):
    """Compile a text; what the compiler says about it, empty when that is nothing.

    Raises:
        AssertionError: with the compiler's messages, when it refuses.
    """
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    assert library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None) == 0
    status = library.nvrtcCompileProgram(program, len(options), given)
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    said = log.value.decode()
    assert status == 0, said[:4000]
    return said
