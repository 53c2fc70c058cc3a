"""Every op has a kernel: no step of any sample, nor of its first and second derivatives, runs on NumPy."""

import pytest

import graphnn as gn
from graphnn.ir.node import Node
from graphnn.testing import Trial, samples_of

pytestmark = [
    pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"]),
    pytest.mark.usefixtures("compiled_once_more"),
]
OPS = {name: op for name, op in Node.ops.items() if op.__module__.startswith("graphnn.") and op.samples}


@pytest.mark.parametrize("name", OPS)
def test_no_step_runs_on_numpy(name):
    for one in samples_of(OPS[name]):
        if one.error is None:
            bound = Trial(OPS[name], one, "float32").program("native")._program._bindings.any()
            assert bound.whole and not bound.reasons
