"""Where the native backend cannot work, one sentence says why, before anything is compiled."""

import sys

import pytest

import graphnn as gn
from graphnn.backends.native import probe

llvm = pytest.importorskip("llvmlite.binding")


@pytest.fixture
def asked_anew():
    probe.problem.cache_clear()
    yield
    probe.problem.cache_clear()


def test_it_works_here():
    assert probe.problem() is None


def test_an_llvm_that_cannot_read_the_kernels_is_refused(monkeypatch, asked_anew):
    monkeypatch.setattr(llvm, "llvm_version_info", (20, 1, 8))
    assert "LLVM 20.1.8" in probe.problem() and "pip install -U 'llvmlite>=0.48'" in probe.problem()
    with pytest.raises(gn.BackendError, match=r"LLVM 20\.1\.8, and 22 or newer is needed"):
        gn.compile(gn.Exp(gn.Input("x", ())), backend="native")


def test_a_missing_library_is_named_with_its_mend(monkeypatch, asked_anew):
    monkeypatch.setattr(probe, "find_spec", lambda name: None)
    assert probe.problem() == "llvmlite is not installed; pip install 'graphnn[native]'"


def test_blas_is_found_without_loading_all_of_linear_algebra(run_python):
    code = (
        "import sys, graphnn\n"
        "from graphnn.backends.native.probe import blas\n"
        "alone = blas('dgemm')\n"
        "print('scipy.linalg' in sys.modules)\n"
        "import scipy.linalg.cython_blas, scipy.linalg.blas\n"
        "blas.cache_clear()\n"
        "print(blas('dgemm') == alone != blas('sgemm'), scipy.linalg.cython_blas.__name__)\n"
        "print(scipy.linalg.blas.dgemm(1.0, [[2.0]], [[3.0]])[0, 0])\n"
    )
    assert run_python(code).splitlines() == [str(sys.platform == "win32"), "True scipy.linalg.cython_blas", "6.0"]
