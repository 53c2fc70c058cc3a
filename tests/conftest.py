"""What every test has: restored defaults, golden files, and a fresh Python to ask."""

import difflib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before NumPy is imported: with more, the small products of tests wait for threads that other processes keep busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import graphnn as gn

os.environ.setdefault("GRAPHNN_CHECK", "1")  # every program's first run is held against references

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(Path(__file__).parent))  # for what several rooms' tests share: random_graphs

QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
settings.register_profile("ordinary", max_examples=10, deadline=None, derandomize=True, suppress_health_check=QUIET)
settings.register_profile("wide", max_examples=100, deadline=None, derandomize=True, suppress_health_check=QUIET)


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files with what is made now")


def pytest_configure(config):
    settings.load_profile("wide" if config.getoption("-m") == "slow" else "ordinary")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; tests press Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _default_dtype():
    before = gn.default_dtype()
    yield
    gn.default_dtype(before)


@pytest.fixture
def golden(request):
    """`golden(name, text)`: the text must be that of the file; `--update-golden` makes it so."""

    def check(name, text):
        path = GOLDEN / name
        text = text.rstrip("\n") + "\n"
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        expected = path.read_text(encoding="utf-8") if path.exists() else ""
        if text != expected:
            diff = difflib.unified_diff(expected.splitlines(), text.splitlines(), "golden", "made", lineterm="")
            pytest.fail(f"{name} differs; if that is meant, run pytest --update-golden.\n" + "\n".join(diff))

    return check


@pytest.fixture
def compiled_once_more(monkeypatch):
    """For sweeps over thousands of small programs: the same plan is demanded of one more compile, not of ten."""
    monkeypatch.setattr("graphnn.plan.checking._TIMES", 1)


@pytest.fixture
def run_python():
    """`run_python(code, **environment)`: what a fresh Python prints."""

    def run(code, **environment):
        where = str(Path(gn.__file__).parents[1])
        env = {**os.environ, "PYTHONPATH": where, **environment}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
