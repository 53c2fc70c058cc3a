"""Probing: does the native backend work on this machine, and if not, why in one sentence."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
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
    if sys.platform == "win32" or full in sys.modules or package is None:  # on Windows the package finds its DLLs
        return import_module(full)
    folders = [str(Path(folder, "linalg")) for folder in package.submodule_search_locations or ()]
    found = PathFinder.find_spec(full, folders)
    if found is None or found.loader is None:
        return import_module(full)
    module = module_from_spec(found)
    found.loader.exec_module(module)
    sys.modules.pop(full, None)  # for whoever imports it with its package
    return module
