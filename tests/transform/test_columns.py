"""Columns: elementwise steps with the sums of their columns, structure and bits."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.transform.columns import columns
from graphnn.transform.rowwise import Rows

needs_native = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])


def step_of(*outputs):
    graph = columns.apply(gn.Graph(list(outputs)))
    steps = [node for node in graph.nodes if isinstance(node, Rows)]
    return steps[0] if steps else None


def test_an_elementwise_step_and_the_sum_of_its_columns_are_one():
    x = gn.Input("x", ("N", 10))
    y = gn.Tanh(x)
    step = step_of(y, gn.Sum(y, axis=0), gn.Max(y, axis=0, keepdims=True))
    assert str(step.body) == "Tanh Sum Max"
    assert [str(spec) for spec in step.spec] == ["f32[N, 10]", "f32[10]", "f32[1, 10]"]


def test_what_nobody_else_reads_is_not_written():
    x = gn.Input("x", ("N", 4, 10))
    assert [result.op for result in step_of(gn.Sum(gn.Tanh(x), axis=(0, 1))).body.results] == ["Sum"]


@pytest.mark.parametrize("case", ["narrow", "named", "whole", "rows", "product", "half"])
def test_other_sums_stay_apart(case):
    shape = {"narrow": ("N", 7), "named": ("N", "M")}.get(case, ("N", 16))
    x = gn.Input("x", shape, dtype="float16" if case == "half" else "float32")
    y = x @ np.ones((16, 16)) if case == "product" else gn.Tanh(x)
    assert step_of(gn.Sum(y, axis={"whole": None, "rows": 1}.get(case, 0))) is None


@needs_native
def test_a_net_sums_the_gradients_of_its_biases_on_the_way():
    x, t = gn.Input("x", ("N", 2), dtype="float64"), gn.Input("t", ("N",), dtype="int64")
    w1, b1 = gn.Parameter("w1", np.ones((2, 10)), dtype="float64"), gn.Parameter("b1", np.ones(10), dtype="float64")
    w2, b2 = gn.Parameter("w2", np.ones((10, 3)), dtype="float64"), gn.Parameter("b2", np.ones(3), dtype="float64")
    loss = gn.SoftmaxCE(gn.Affine(gn.Sigmoid(gn.Affine(x, w1, b1)), w2, b2), t)
    step = gn.compile(loss, gn.SGD().updates(loss), backend="native")
    bodies = [str(s.node.body) for s in step.plan.steps if isinstance(s.node, Rows)]
    assert bodies == ["Max Sub Pick Exp Sum Log Sub OneHot Map", "Map Sum"]
    ledger = step.explain().split("== ledger")[1]
    assert "columns: columns summed on the way" in ledger and "their sum has another order" in ledger


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [8, 10, 33, 64, 65, 300])
def test_the_bits_are_those_of_the_steps_apart(dtype, width):
    x, b = gn.Input("x", ("N", 2, width), dtype=dtype), gn.Parameter("b", np.linspace(-1, 1, width), dtype=dtype)
    y = gn.Tanh(x * b) * x
    outputs = {"y": y, "sum": gn.Sum(y, axis=(0, 1)), "most": gn.Max(y, axis=(0, 1), keepdims=True)}
    plain, f = (gn.compile(outputs, backend="native", passes=p) for p in ("none", "exact"))
    assert [step.node.op for step in f.plan.steps] == ["Rows"]
    for n in (1, 2, 9, 40):
        feed = np.random.default_rng(n).normal(size=(n, 2, width)).astype(dtype)
        expected = plain(x=feed)
        for name, value in f(x=feed).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
        np.testing.assert_allclose(expected["sum"], expected["y"].sum((0, 1)), rtol=1e-3, atol=1e-4)


@needs_native
def test_no_rows_sum_to_nothing():
    x = gn.Input("x", ("N", 16))
    f = gn.compile(gn.Sum(gn.Tanh(x), axis=0), backend="native")
    f(x=np.ones((3, 16)))
    np.testing.assert_array_equal(f(x=np.ones((0, 16))), np.zeros(16))
