"""The CuPy backend on two devices: the CPU, by a stand-in for CuPy that runs the kernels there; and a GPU.

Tests that take `cupy` run on both, on a GPU when asked to by `pytest -m gpu`; those that take `world` look inside the
stand-in.
"""

import shutil
import sys
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

import pytest

from graphnn.backends.cupy import device, probe, site

from .lt_stand_in import Lt
from .stand_in import Library, World, make_cupy


@pytest.fixture(scope="session")
def cpu_library(tmp_path_factory):
    """The kernels compiled so far, kept for all tests."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: it compiles the CUDA text for the CPU")
    return Library(tmp_path_factory.mktemp("kernels"))


@contextmanager
def cpu_instead(library):
    """While inside, `backend="cupy"` works: its device is the CPU."""
    made = World(library)
    cupy = make_cupy(made)
    cupy.__spec__ = ModuleSpec("cupy", None)
    kept = (device._device, probe.problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", cupy)
        for function in kept:
            function.cache_clear()
        yield made
    for function in kept:
        function.cache_clear()


@pytest.fixture
def world(cpu_library):
    """A device that is the CPU."""
    with cpu_instead(cpu_library) as made:
        yield made


@contextmanager
def real_gpu():
    """While inside, `backend="cupy"` is what it is on this machine, and works."""
    if probe.problem():
        pytest.skip(probe.problem())
    yield


DEVICES = ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)]


@pytest.fixture(params=DEVICES)
def cupy(request):
    """Each device."""
    with cpu_instead(request.getfixturevalue("cpu_library")) if request.param == "cpu" else real_gpu():
        yield request.param


@pytest.fixture
def lt(world, monkeypatch):
    """The library, for products of any size."""
    made = Lt(world)
    monkeypatch.setattr(device, "load", lambda: made)
    monkeypatch.setattr(site, "LARGE", 1)
    return made
