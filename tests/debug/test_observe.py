"""Recordings: what every node comes to, without anything changing."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.debug.observe import observe


def test_every_node_has_the_value_that_numpy_gives_it():
    x, w = gn.Input("x", ("N", 2)), gn.Parameter("w", [[1.0], [2.0]], dtype="float64")
    graph = gn.Graph(gn.Mean(gn.Tanh(x.astype("float64") @ w)))
    values = observe(graph.nodes, {"x": [[1, 2], [3, 4]]})
    by_op = {node.op: value for node, value in values.items()}
    product = np.array([[5.0], [11.0]])
    np.testing.assert_array_equal(by_op["MatMul"], product)
    np.testing.assert_array_equal(by_op["Tanh"], np.tanh(product))
    assert by_op["Mean"] == np.tanh(product).mean() and by_op["Input"].dtype == np.float32
    assert values.keys() == set(graph.nodes)


def test_updates_are_computed_and_do_not_land():
    w = gn.Parameter("w", 2.0)
    graph = gn.Graph(w * w, {w: w - 0.5})
    values = observe(graph.nodes, {})
    assert values[graph.updates[w]] == 1.5 and w.value == 2.0


def test_an_op_with_several_results_has_none_of_its_own():
    values, places = gn.TopK(gn.Input("x", (3,)), 2)
    found = observe(gn.Graph([values, places]).nodes, {"x": [1, 3, 2]})
    assert values.node not in found
    assert found[values].tolist() == [3, 2] and found[places].tolist() == [1, 2]


def test_what_is_not_finite_is_recorded_as_it_is():
    x = gn.Input("x", (2,))
    assert np.isinf(observe([gn.Log(x)], {"x": [0, 1]}).popitem()[1][0])


def test_feeds_that_do_not_fit_are_refused_as_by_a_call():
    x = gn.Input("x", ("N", 2))
    with pytest.raises(gn.FeedError, match="not fed: 'x'"):
        observe([gn.Sum(x)], {})
    with pytest.raises(gn.ShapeError, match="x"):
        observe([gn.Sum(x)], {"x": [1, 2, 3]})
