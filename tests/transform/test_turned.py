"""Turned weights: a loop that multiplies by transposed weights reads them laid out so."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.transform.turned import turned


def backward(units):
    """The gradients of a loop that multiplies by weights."""
    x, start = gn.Input("x", ("T", "N", units)), gn.Input("start", ("N", units))
    W, R = (gn.Parameter(n, np.random.default_rng(i).normal(size=(units, units)) / 8) for i, n in enumerate("WR"))
    (h,) = gn.Scan(lambda h, x: (gn.Tanh(x @ W + h @ R), None), start, x)
    return dict(zip(("dx", "dstart", "dW", "dR"), gn.grad(gn.Sum(h * h), [x, start, W, R]), strict=True))


def loops(graph):
    return [node for node in graph.nodes if node.op == "Scan"]


def products(loop):
    return [node for node in loop.body.graph.nodes if node.op == "MatMul"]


def test_weights_are_transposed_once_outside_the_loop():
    graph = gn.Graph(backward(64))
    _, before = loops(graph)
    assert sum(node.W.op == "Transpose" for node in products(before)) == 2
    graph, record = turned.run(graph)
    _, after = loops(graph)
    assert not any(node.W.op == "Transpose" for node in products(after))
    laid = [node for node in after.captured if node.op == "Map"]
    assert [node.values[0].op for node in laid] == ["Transpose", "Transpose"]
    assert {p.name for p in after.body.captured} == {"W", "R", "W.T", "R.T"}  # as they are, to compute a turn again
    assert [fired.rule for fired in record.fired][-1] == "turned weights"
    assert turned.run(graph)[0] is graph


@pytest.mark.parametrize("units", [8, 256])
def test_weights_that_a_kernel_turns_itself_or_a_library_reads_either_way_stay(units):
    graph = gn.Graph(backward(units))
    assert turned.run(graph)[0] is graph


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_the_values_are_the_same(backend):
    if gn.backends()[backend] != "ok":
        pytest.skip(gn.backends()[backend])
    rng = np.random.default_rng(0)
    given = {"x": rng.normal(size=(5, 3, 40)), "start": rng.normal(size=(3, 40))}
    outputs = backward(40)
    expected = gn.compile(outputs, passes="none")(**given)
    found = gn.compile(outputs, passes=[turned], backend=backend)(**given)
    for name in outputs:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)
