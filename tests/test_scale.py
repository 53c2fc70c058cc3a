"""Many nodes, a hundred thousand in the wide sweep: nothing recurses, nothing is quadratic."""

import numpy as np
import pytest

import graphnn as gn


def chain(length):
    x = gn.Input("x", ("N",))
    h = x
    for _ in range(length):
        h = gn.Tanh(h)
    return x, gn.Sum(h)


@pytest.mark.parametrize("length", [2_500, pytest.param(25_000, marks=pytest.mark.slow)])
def test_a_chain_of_many_nodes(length, monkeypatch):
    monkeypatch.setenv("GRAPHNN_CHECK", "0")
    x, loss = chain(length)
    g = gn.grad(loss, x)  # three nodes for each: 100,000 in all of the longer one
    graph = gn.Graph([loss, g])
    assert len(graph.nodes) >= 4 * length and len(graph.schedule) == len(graph.nodes)
    f = gn.compile([loss, g])
    value, slope = f(x=np.full(3, 0.1))
    assert np.isfinite(value) and slope.shape == (3,)
    assert str(graph).count("\n") >= 4 * length
    assert len(f.plan.slots) < 1.04 * length  # one kept value a layer, the gradient in one buffer


def test_a_deep_net_with_shortcuts_differentiates_without_recursion():
    x = gn.Input("x", ("N", 2))
    h = x
    for _ in range(1_100):  # Python recurses a thousand times
        h = h + gn.Tanh(h)
    slope = gn.compile(gn.grad(gn.Sum(h), x), passes="none")(x=np.zeros((1, 2)))
    assert slope.shape == (1, 2) and not np.isnan(slope).any()


def test_many_parameters_cost_no_more_each():
    parameters = [gn.Parameter(f"p{i}", 0.0) for i in range(5_000)]
    loss = gn.AddN(tuple(p * p for p in parameters))
    gradients = gn.grad(loss, parameters)
    assert len(gradients) == 5_000
