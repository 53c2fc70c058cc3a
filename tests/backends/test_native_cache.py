"""The compile cache: what a second process finds, and what it refuses to trust."""

import os
import stat

import pytest

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

PROGRAM = """
import numpy as np, graphnn as gn
from graphnn.backends.native.machine import machine
x = gn.Input("x", ("N", 3))
f = gn.compile(gn.Sum(gn.Tanh(x) * 3, axis=0), backend="native")
print(f(x=np.arange(6.0).reshape(2, 3)).tolist(), machine().compiled)
"""


def test_a_second_process_compiles_nothing(tmp_path, run_python):
    folder = tmp_path / "cache"
    first = run_python(PROGRAM, GRAPHNN_CACHE=str(folder))
    again = run_python(PROGRAM, GRAPHNN_CACHE=str(folder))
    assert first.split("]")[0] == again.split("]")[0]
    assert int(first.split()[-1]) > 0 and int(again.split()[-1]) == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 or os.name == "nt"
    assert not list(folder.glob("*.tmp"))


def test_an_entry_with_a_flipped_byte_is_compiled_anew(tmp_path, run_python):
    first = run_python(PROGRAM, GRAPHNN_CACHE=str(tmp_path / "c"))
    entries = list((tmp_path / "c").glob("*.o"))
    for entry in entries:
        data = bytearray(entry.read_bytes())
        data[len(data) // 2] ^= 1
        entry.write_bytes(data)
    again = run_python(PROGRAM, GRAPHNN_CACHE=str(tmp_path / "c"))
    assert again == first and int(again.split()[-1]) == len(entries)


def test_it_can_be_turned_off(tmp_path, run_python):
    counts = [run_python(PROGRAM, GRAPHNN_CACHE=off, XDG_CACHE_HOME=str(tmp_path)).split()[-1] for off in ("off", "0")]
    assert counts[0] == counts[1] != "0" and not list(tmp_path.iterdir()) and not os.path.exists("0")


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, run_python):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    assert run_python(PROGRAM, GRAPHNN_CACHE=str(folder)).split()[-1] != "0"
    assert not list(folder.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_runs_what_was_compiled_before(run_python):
    said = run_python(
        PROGRAM
        + """
import os, sys
sys.stdout.flush()
child = os.fork()
if child == 0:
    g = gn.compile(gn.Exp(x), backend="native")
    ok = f(x=np.ones((4, 3))).shape == (3,) and g(x=np.ones((1, 3))).shape == (1, 3)
    os._exit(0 if ok else 1)
print("child", os.waitpid(child, 0)[1])
"""
    )
    assert said.rstrip().endswith("child 0")
