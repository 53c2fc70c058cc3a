"""Probing: does the native backend work on this machine, and if not, why in one sentence."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

__all__ = ["blas", "problem"]

_LLVM = 22
"""The first LLVM that reads the kernels' text: older ones have other masked loads, and end the process over it."""


@cache
def problem() -> str | None:
    """Why the native backend does not work here, with the command that mends it; None when it does."""
    for library in ("llvmlite", "scipy"):
        if find_spec(library) is None:
            return f"{library} is not installed; pip install 'graphnn[native]'"
    if sys.maxsize < 2**32:
        return "it needs a 64-bit Python"
    try:
        import llvmlite.binding as llvm  # type: ignore[import-untyped]

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    except (ImportError, OSError, RuntimeError) as error:
        return f"llvmlite does not load here: {' '.join(str(error).split())}; pip install --force-reinstall llvmlite"
    if llvm.llvm_version_info[0] < _LLVM:
        brought = ".".join(map(str, llvm.llvm_version_info))
        return f"llvmlite brings LLVM {brought}, and {_LLVM} or newer is needed; pip install -U 'llvmlite>=0.48'"
    return None


@cache
def blas(name: str) -> int:
    """The address of a BLAS routine, such as `dgemm`, in the library that SciPy is built on."""
    capsule = _pointers().__pyx_capi__[name]
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer_of(capsule, name_of(capsule)))


@cache
def _pointers() -> Any:
    """SciPy's module of BLAS routines, loaded by itself: 30 ms, and 160 with the package that it lies in."""
    full = "scipy.linalg.cython_blas"
    package = find_spec("scipy")
    if sys.platform != "win32" and full not in sys.modules and package is not None:  # Windows: it sets up DLLs
        for folder in package.submodule_search_locations or ():
            for suffix in EXTENSION_SUFFIXES:
                found = spec_from_file_location(full, Path(folder, "linalg", f"cython_blas{suffix}"))
                if found is not None and found.loader is not None and Path(str(found.origin)).exists():
                    module = module_from_spec(found)
                    found.loader.exec_module(module)
                    sys.modules.pop(full, None)  # for whoever imports it with its package
                    return module
    return import_module(full)
