"""With `GRAPHNN_CHECK=1` the first run on the device goes step by step, and the first step that is wrong is named."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.cupy import lowered


def test_the_first_step_that_computes_something_else_is_named(world, monkeypatch):
    lower = lowered.lower

    def wrong(node, *rest):
        return [] if node.op == "CumSum" else lower(node, *rest)

    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    loss = gn.Mean(gn.Exp(gn.CumSum(x * w, 0)))
    f = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend="cupy")
    monkeypatch.setattr(lowered, "lower", wrong)
    with pytest.raises(
        gn.BackendError, match=r"GRAPHNN_CHECK: cupy: the kernels of CumSum .*: nan, not 1\.0, at \(0,\)"
    ):
        f(x=[1.0, 2.0])
    monkeypatch.setenv("GRAPHNN_CHECK", "0")
    g = gn.compile(gn.CumSum(x, 0), backend="cupy")
    assert np.isnan(g(x=[1.0])).all()


def test_a_run_that_is_checked_is_a_run(world, monkeypatch):
    values = []
    for check in ("1", "0"):
        monkeypatch.setenv("GRAPHNN_CHECK", check)
        x, w = gn.Input("x", ("N", 3)), gn.Parameter("w", np.arange(3.0))
        values_of, places = gn.TopK(x * w, 2)
        loss = gn.Sum(values_of**2)
        f = gn.compile([loss, places, w], gn.Momentum(lr=0.1, momentum=0.5).updates(loss), backend="cupy")
        values.append([*f(x=np.ones((2, 3))), *f(x=np.ones((2, 3))), *f.state.values()])
    for one, other in zip(*values, strict=True):
        np.testing.assert_array_equal(one, other)
