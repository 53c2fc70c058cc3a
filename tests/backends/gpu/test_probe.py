"""What is wrong with a machine is one sentence with what mends it, from `gn.backends()` and from a compile."""

import sys
from types import SimpleNamespace

import pytest

import graphnn as gn
from graphnn.backends.cupy import probe


@pytest.fixture(autouse=True)
def _ask_again():
    probe.problem.cache_clear()
    yield
    probe.problem.cache_clear()


def refused(part):
    """The sentence, the same from both."""
    said = gn.backends()["cupy"]
    assert part in said and "\n" not in said
    with pytest.raises(gn.BackendError, match="backend 'cupy': ") as error:
        gn.compile(gn.Constant(1.0), backend="cupy")
    assert str(error.value) == f"backend 'cupy': {said}."


def fail(error):
    def call(*arguments, **named):
        raise error

    return call


def test_no_cupy(monkeypatch):
    monkeypatch.setattr(probe, "find_spec", lambda name: None)
    refused(
        "cupy is not installed; pip install 'graphnn[cuda12]' or 'graphnn[cuda13]', whichever CUDA nvidia-smi shows"
    )


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (OSError("[Errno 13] Permission denied: '/root/.cupy'"), "set CUPY_CACHE_DIR to a folder that can be written"),
        (ImportError("libcudart.so.12: cannot open shared object file\nmore"), "cannot open shared object file; pip"),
    ],
)
def test_an_import_that_fails(monkeypatch, error, part):
    monkeypatch.setattr(probe, "find_spec", lambda name: True)
    monkeypatch.setattr(probe, "import_module", fail(error))
    refused(part)


RUNTIME = {
    "no driver": ({"driverGetVersion": lambda: 0}, "there is no NVIDIA driver"),
    "old driver": ({"driverGetVersion": lambda: 12080}, "the NVIDIA driver is for CUDA 12, but cupy for 13"),
    "old CUDA": ({"runtimeGetVersion": lambda: 11080}, "cupy is built for CUDA 11, 12 or newer is needed"),
    "none": ({"getDeviceCount": lambda: 0}, "there is no GPU; see nvidia-smi"),
    "broken": ({"memcpyAsync": fail(ValueError("an illegal memory access"))}, "the GPU does not answer: an illegal"),
}


@pytest.mark.parametrize("what", RUNTIME)
def test_a_runtime_that_refuses(world, monkeypatch, what):
    changes, part = RUNTIME[what]
    for name, value in changes.items():
        monkeypatch.setattr(sys.modules["cupy"].cuda.runtime, name, value)
    refused(part)


def test_a_driver_without_a_device(world, monkeypatch):
    runtime = sys.modules["cupy"].cuda.runtime
    error = runtime.CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    monkeypatch.setattr(runtime, "getDeviceCount", fail(error))
    refused("there is no GPU that can be used: cudaErrorNoDevice: no CUDA-capable device is detected; see nvidia-smi")


def test_an_old_cupy(world, monkeypatch):
    monkeypatch.setattr(sys.modules["cupy"], "__version__", "13.6.0")
    refused("cupy 13.6.0 is too old, 14 or newer is needed")


def test_a_cache_that_cannot_be_written(world, monkeypatch):
    monkeypatch.setattr(sys.modules["cupy"], "RawModule", fail(OSError("[Errno 30] Read-only file system: '/cache'")))
    refused("kernels cannot be kept: [Errno 30] Read-only file system: '/cache'; set CUPY_CACHE_DIR to a folder")


def test_a_device_that_computes_wrongly(world, monkeypatch):
    module = SimpleNamespace(get_function=lambda name: lambda *launch: None)
    monkeypatch.setattr(sys.modules["cupy"], "RawModule", lambda code: module)
    refused("the GPU computes wrongly")


def test_all_is_well(world):
    assert gn.backends()["cupy"] == "ok"
