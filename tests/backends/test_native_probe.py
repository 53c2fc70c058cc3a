"""Where the native backend cannot work, one sentence says why, before anything is compiled."""

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
