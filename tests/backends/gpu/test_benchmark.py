"""The benchmark on a GPU from end to end, on small cases with the CPU as the device: no figure of it is kept."""

import importlib.util
import re
import sys
from pathlib import Path

import graphnn as gn
from graphnn.backends.cupy import device

from .lt_stand_in import Lt

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def test_it_writes_its_table_and_leaves_the_rest(world, monkeypatch, tmp_path):
    monkeypatch.setattr(device, "load", lambda: Lt(world))
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    small = {"net 2-4-3, batch 8": ([2, 4, 3], 8, 16, 4, [None, "tf32"])}
    monkeypatch.setattr(script, "CASES", small)
    monkeypatch.setattr(script, "ROUNDS", 2)
    for rival in ("in_torch", "in_jax"):
        monkeypatch.setattr(script, rival, lambda *case: None)
    written = tmp_path / "benchmarks.md"
    written.write_text("# Benchmarks\n\n## numpy\n\nkept\n\n## cupy\n\nold\n\n## native\n\nkept too\n")
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--write", str(written)])
    script.main()
    text = written.read_text()
    assert "kept\n" in text and "kept too" in text and "old" not in text and "a CPU; driver 13000" in text
    errors = [float(n) for n in re.findall(r"\| graphnn cupy, \w+ \|.*\| ([\d.e+-]+) \|", text)]
    assert len(errors) == 2 and max(errors) < 1e-5
    assert gn.backends()["cupy"] == "ok"
