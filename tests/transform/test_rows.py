"""Rows: which steps become one loop over rows, which stay apart, and that the bits stay."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.transform.record import Record, recording
from graphnn.transform.rows import rows
from graphnn.transform.rowwise import Rows

needs_native = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])


def steps(graph):
    """The ops of what is computed, by name; of a loop over rows what it holds."""
    return [
        str(n.body) if isinstance(n, Rows) else n.op
        for n in graph.nodes
        if n.operands and not n.static and n.view(True) is None
    ]


def after(*outputs, updates=None):
    return rows.apply(gn.Graph(list(outputs), updates))


def softmax(x):
    e = gn.Exp(x - gn.Max(x, axis=-1, keepdims=True))
    return e / gn.Sum(e, axis=-1, keepdims=True)


def test_a_softmax_is_one_loop():
    x = gn.Input("x", ("N", 3))
    graph = after(softmax(x))
    assert steps(graph) == ["Max Sub Exp Sum Div"]
    [y] = graph.outputs.values()
    assert (y.op, y.spec) == ("Item", x.spec)


@needs_native
def test_a_loss_with_its_gradient_is_one_loop_and_bias_and_labels_join():
    x, t, b = gn.Input("x", ("N", 3)), gn.Input("t", ("N",), dtype="int64"), gn.Parameter("b", [0.0, 1.0, 2.0])
    loss = gn.SoftmaxCE(x + b, t)
    step = gn.compile(loss, gn.SGD().updates(loss), backend="native")
    first = step.plan.steps[0].node
    assert isinstance(first, Rows) and str(first.body) == "Add Max Sub Pick Exp Sum Log Sub OneHot Map"
    assert [result.op for result in first.body.results] == ["Sub", "Map"]
    ledger = step.explain().split("== ledger")[1]
    assert "rows: one loop over rows" in ledger and "it is read elsewhere too" not in ledger


def test_a_fold_alone_stays_what_it_is():
    x = gn.Input("x", ("N", 3))
    assert steps(after(gn.Sum(x, axis=1))) == ["Sum"]


@pytest.mark.parametrize("shape", [("N", 5000), ("N", "M"), ("N", 1), (3,)])
def test_rows_of_other_widths_stay_apart(shape):
    x = gn.Input("x", shape)
    assert not any(isinstance(node, Rows) for node in after(softmax(x)).nodes)


def test_what_leaves_the_rows_and_comes_back_is_another_loop():
    x, w = gn.Input("x", ("N", 3)), gn.Parameter("w", np.eye(3))
    with recording(Record()) as record:
        graph = after(softmax(softmax(x) @ w))
    assert steps(graph) == ["Max Sub Exp Sum Div", "MatMul", "Max Sub Exp Sum Div"]
    y = softmax(x)
    with recording(Record()) as record:
        graph = after(softmax(y @ w + y))
    assert steps(graph) == ["Max Sub Exp Sum Div", "MatMul", "Add Max Sub Exp Sum Div"]
    assert [kept.why for kept in record.kept] == ["what lies between them is no step of the same rows"]


def test_what_is_read_outside_comes_out_and_the_rest_does_not():
    x = gn.Input("x", ("N", 4))
    s = gn.Sum(gn.Exp(x), axis=1)
    graph = after(s * 2, gn.Sum(s), gn.Sqrt(s))
    [step] = [node for node in graph.nodes if isinstance(node, Rows)]
    assert [result.op for result in step.body.results] == ["Sum", "Mul", "Sqrt"]
    assert steps(graph) == ["Exp Sum Mul Sqrt", "Sum"]


def test_a_view_read_outside_is_made_there():
    x = gn.Input("x", ("N", 4))
    y = gn.Max(x, axis=1, keepdims=True)
    flat = y.reshape(("N",))
    graph = after(x - y, gn.Sum(flat), flat)
    assert steps(graph) == ["Max Sub", "Sum"]
    assert graph.outputs["out2"].op == "Reshape"
    order = {node: i for i, node in enumerate(gn.Graph(graph.outputs).nodes)}
    assert all(order[operand] < order[node] for node in order for operand in node.operands)


def test_rows_of_two_dtypes_stay_apart():
    x, y = gn.Input("x", ("N", 3)), gn.Input("y", ("N", 3), dtype="float64")
    graph = after(gn.Where(x > gn.Max(x, axis=1, keepdims=True), y, 2 * y) - gn.Max(y, axis=1, keepdims=True))
    assert steps(graph) == ["Max Greater", "Mul Where Max Sub"]


def test_two_arrays_of_labels_stay_apart():
    x, s, t = gn.Input("x", ("N", 3)), gn.Input("s", ("N",), dtype="int64"), gn.Input("t", ("N",), dtype="int64")
    y = softmax(x)
    with recording(Record()) as record:
        graph = after(gn.Pick(y, s) + gn.Pick(y, t))
    assert not any(isinstance(node, Rows) for node in graph.nodes)
    assert "one array of labels" in record.kept[-1].why


def program(dtype, width, shape=("N",)):
    x = gn.Input("x", (*shape, width), dtype=dtype)
    t = gn.Input("t", shape, dtype="int64")
    b = gn.Parameter("b", np.linspace(-1, 1, width).astype(dtype), dtype=dtype)
    y = x + b
    loss = gn.SoftmaxCE(y, t)
    normal = gn.LayerNorm(x, np.ones(width, dtype), np.zeros(width, dtype))
    return {"loss": loss, "db": gn.grad(loss, b), "y": softmax(y), "norm": normal, "far": gn.Min(x, axis=-1) > 0}


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [2, 10, 17, 80, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 16, 33))])
def test_the_bits_are_those_of_the_steps_apart_and_the_numbers_those_of_numpy(dtype, width):
    outputs = program(dtype, width)
    plain = gn.compile(outputs, backend="native", passes="none")
    exact = gn.compile(outputs, backend="native", passes="exact")
    alone = gn.compile(outputs, backend="native", passes=[rows])
    free = gn.compile(outputs, backend="native")
    numpy = gn.compile(outputs)
    for f in (exact, alone, free):
        assert any(step.node.op == "Rows" for step in f.plan.steps)
    rng = np.random.default_rng(0)
    for n in (1, 5, 8, 16, 30, 33):
        feeds = {"x": rng.normal(size=(n, width)).astype(dtype), "t": rng.integers(0, width, n)}
        expected, by_numpy = plain(**feeds), numpy(**feeds)
        for f in (exact, alone):
            for name, value in f(**feeds).items():
                np.testing.assert_array_equal(value, expected[name], err_msg=name)
        for name, value in free(**feeds).items():
            np.testing.assert_allclose(value, by_numpy[name], rtol=1e-4, atol=1e-6, err_msg=name)


@needs_native
@pytest.mark.parametrize("width", [3, 37])
def test_rows_of_any_layout(width):
    x, s = gn.Input("x", ("N", 5, width)), gn.Input("s", (width, "N", 5))
    many = {"batches": softmax(x), "strided": softmax(s.transpose((2, 1, 0))), "apart": softmax(x[:, ::2])}
    f, plain = (gn.compile(many, backend="native", passes=p) for p in ([rows], "none"))
    assert [step.node.op for step in f.plan.steps].count("Rows") == 3
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(11, 5, width)), "s": rng.normal(size=(width, 11, 5))}
    for name, value in f(**feeds).items():
        np.testing.assert_array_equal(value, plain(**feeds)[name])


@needs_native
def test_labels_that_are_computed_are_checked():
    x, t = gn.Input("x", ("N", 3)), gn.Input("t", ("N",), dtype="int64")
    f = gn.compile(gn.Pick(softmax(x), t + 1), backend="native", passes=[rows])
    assert [step.node.op for step in f.plan.steps] == ["Add", "Rows"]
    with pytest.raises(gn.LabelError, match="3"):
        f(x=np.zeros((2, 3)), t=[0, 2])
    np.testing.assert_allclose(f(x=np.zeros((2, 3)), t=[0, 1]), 1 / 3, rtol=1e-6)


def test_what_has_no_kernel_is_computed_by_numpy():
    x = gn.Input("x", ("N", 3))
    f = gn.compile(softmax(x), passes=[rows])
    np.testing.assert_allclose(f(x=np.zeros((4, 3))), 1 / 3, rtol=1e-6)
    assert [step.node.op for step in f.plan.steps] == ["Rows"]
