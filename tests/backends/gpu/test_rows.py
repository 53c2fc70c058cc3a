"""Loops over rows on the CuPy backend: softmax, loss and gradient in one kernel, with the bits of steps apart."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.cupy import folds
from graphnn.transform.rowwise import Rows

BOTH = ("numpy", "cupy")


def feeds(rows, width, dtype="float32"):
    rng = np.random.default_rng(rows)
    return {"x": 3 * rng.normal(size=(rows, width)).astype(dtype), "t": rng.integers(0, width, rows)}


def loss_and_gradient(width, dtype="float32"):
    x, t = gn.Input("x", ("N", width), dtype=dtype), gn.Input("t", ("N",), dtype="int64")
    loss = gn.SoftmaxCE(x, t)
    return {"loss": loss, "dx": gn.grad(loss, x), "softmax": gn.Softmax(x)}


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", [3, 32, 33, 700])
def test_short_and_long_rows_have_the_bits_of_steps_apart(cupy, width, dtype):
    outputs = loss_and_gradient(width, dtype)
    for rows in (1, 9):
        gn.testing.agree(outputs, feeds(rows, width, dtype), BOTH)
    f = gn.compile(outputs, backend="cupy")
    assert [step.node.op for step in f.plan.steps].count("Rows") == 1


def test_very_many_rows_have_a_thread_each(world, monkeypatch):
    monkeypatch.setattr(folds, "MANY", 64)
    gn.testing.agree(loss_and_gradient(50), feeds(70, 50), BOTH)


def test_rows_whose_elements_lie_apart(cupy):
    """Of such rows a single fold takes elements in another order, and so does this kernel."""
    x = gn.Input("x", (40, "N"))
    y = gn.Softmax(x.T)
    gn.testing.agree({"y": y, "dx": gn.grad(gn.Sum(y * y), x)}, {"x": feeds(40, 20)["x"]}, BOTH)
    deep = gn.Input("x", ("N", 40, 3, 2))
    y = gn.LogSoftmax(deep.transpose((3, 0, 2, 1)))
    values = feeds(40, 36)["x"].reshape(6, 40, 3, 2)
    gn.testing.agree({"y": y, "dx": gn.grad(gn.Sum(y * y), deep)}, {"x": values}, BOTH)


@pytest.mark.parametrize("width", [5, 60])
def test_a_normalised_layer_with_one_hot_classes(cupy, width):
    x, t = gn.Input("x", ("N", width)), gn.Input("t", ("N",), dtype="int32")
    scale, shift = gn.Parameter("scale", np.linspace(1, 2, width)), gn.Parameter("shift", np.zeros(width))
    y = gn.LayerNorm(x, scale, shift)
    loss = gn.Mean((gn.Softmax(y) - gn.OneHot(t, width)) ** 2)
    given = feeds(7, width)
    gn.testing.agree([loss, *gn.grad(loss, [x, scale, shift])], {"x": given["x"], "t": given["t"]}, BOTH)


def test_a_whole_step_has_one_loop_over_rows(cupy):
    x, t = gn.Input("x", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    state = {}
    for backend in BOTH:
        w = gn.Parameter("w", np.linspace(-1, 1, 40).reshape(4, 10))
        loss = gn.SoftmaxCE(x @ w, t)
        f = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend=backend)
        given = feeds(50, 4)
        f.loop(given, 8, epochs=2, shuffle=0)
        state[backend] = w.value
    assert sum(isinstance(step.node, Rows) for step in f.plan.steps) == 1
    np.testing.assert_allclose(state["cupy"], state["numpy"], 1e-4, 1e-6)
