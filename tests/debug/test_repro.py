"""Repros: a failed step runs again as a script that knows NumPy alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn.debug.repro import Evidence
from graphnn.ir.node import Node
from graphnn.ir.walk import evaluate, walk
from graphnn.testing.ops import SIZES as DRAWN
from graphnn.testing.sampling import build, feeds_for

SIZES = DRAWN[0]
LEAVES = {"Input", "Parameter", "Constant", "Count", "Item", "Placeholder"}
SAMPLES = [
    pytest.param(op, one, id=f"{name}-{i}")
    for name, op in Node.ops.items()
    if op.__module__.startswith("graphnn.ops.") and name not in LEAVES
    for i, one in enumerate(op.samples)
    if one.error is None
]


def run_alone(script):
    """What a script prints in a Python that has no graphnn."""
    code = f"import runpy, sys; sys.modules['graphnn'] = None; runpy.run_path({str(script)!r})"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def failure(backend="numpy", name="x"):
    x, w = gn.Input("x", ("N", 2)), gn.Parameter(name, np.array([[1.0], [2.0]]))
    loss = gn.Mean(gn.Log(x @ w))
    step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend=backend)
    with pytest.raises(gn.NonFiniteError) as raised:
        step.loop({"x": [[1.0, 1.0], [2.0, 1.0], [3.0, -40.0]]}, batch_size=1, epochs=2)
    return raised.value


@pytest.mark.parametrize("backend", [name for name, state in gn.backends().items() if state == "ok"])
def test_a_script_with_its_data_makes_the_nan_again(tmp_path, backend):
    error = failure(backend, name="w")
    assert gn.write_repro(error, tmp_path / "nan.py") == str(tmp_path / "nan.py")
    assert run_alone(tmp_path / "nan.py").splitlines() == [
        f"Log f32[N, 1] ({error.node.origin})",
        "1 of 1 elements are not finite",
    ]
    text = (tmp_path / "nan.py").read_text()
    assert text.startswith("# epoch 1, batch 3: Log f32[N, 1] (test_repro.py:")
    assert "# MatMul f32[N, 1] (test_repro.py:" in text and "= np.matmul(v0, v1)\n" in text
    assert "import graphnn" not in text
    with np.load(tmp_path / "nan.npz") as data:  # the parameter stands as before the step
        assert data["d0"].tolist() == [[3.0, -40.0]] and data["d1"].shape == (2, 1)


def test_a_step_in_mixed_precision_is_written_as_it_was_rounded(tmp_path):
    x, w = gn.Input("x", ("N", 2)), gn.Parameter("w", np.array([[1.0], [1.001]]))  # 1.001 is 1 in bfloat16
    for half, loss, fed in (
        ("float16", gn.Mean(x @ w), [[7e4, 1.0]]),
        ("bfloat16", gn.Mean(1 / (x @ w - 1)), [[0.0, 1.0]]),
    ):
        step = gn.compile(loss, gn.SGD().updates(loss), precision=f"mixed_{half}")
        with pytest.raises(gn.NonFiniteError) as raised:
            step(x=fed)
        gn.write_repro(raised.value, tmp_path / "nan.py")
        assert "elements are not finite" in run_alone(tmp_path / "nan.py")
        assert "# as data" not in (tmp_path / "nan.py").read_text()


def test_names_that_are_code_stay_in_comments(tmp_path):
    gn.write_repro(failure(name='w"\n"""; raise SystemExit(3)\n#'), tmp_path / "nan.py")
    assert "1 of 1 elements are not finite" in run_alone(tmp_path / "nan.py")


def test_what_cannot_be_reproduced_or_written_is_said(tmp_path):
    error = failure(name="w")
    with pytest.raises(gn.GraphError, match=r"'nan.txt' does not end in \.py"):
        gn.write_repro(error, "nan.txt")
    with pytest.raises(gn.GraphError, match="names no node that a step computed"):
        gn.write_repro(gn.NonFiniteError("of a user's own"), tmp_path / "nan.py")
    with pytest.raises(gn.CheckpointError, match=r"cannot write .*nan\.py: No such file"):
        gn.write_repro(error, tmp_path / "nowhere" / "nan.py")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("op", "one"), SAMPLES)
def test_every_op_computes_the_same_as_a_script(tmp_path, op, one):
    inputs, node = build(op, one, "float64")
    leaves = {x: feeds_for(one, SIZES, 0)[x.name] for x in inputs}
    leaves |= {p: p.value for p in walk([node]) if isinstance(p, gn.Parameter)}
    error = gn.NonFiniteError("a test")
    error.evidence = Evidence(node, leaves, SIZES)
    path = gn.write_repro(error, tmp_path / "op.py")
    text = Path(path).read_text()
    # NumPy has no error function; SciPy, which has one, is not asked for.
    assert ("# as data" in text) == (isinstance(node, gn.Elementwise) and "erf" in str(node.body))
    names = {"__file__": path, "print": lambda *said: None}
    exec(compile(text, path, "exec"), names)
    [expected] = evaluate([node], leaves, np, SIZES)
    for made, right in zip(names["parts"], expected if isinstance(expected, tuple) else (expected,), strict=True):
        np.testing.assert_array_equal(made, right)
