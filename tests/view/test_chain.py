"""The chain of a graph: which gradient belongs to which value, whether the graph came with gradients or not."""

import numpy as np

import graphnn as gn
from graphnn.debug.observe import observe
from graphnn.view.chain import chain


def net():
    x, w = gn.Input("x", ("N", 2)), gn.Parameter("w", [[1.0], [2.0]])
    h = gn.Tanh(x @ w)
    return x, w, h, gn.Mean(h * h)


def test_a_loss_brings_the_gradient_of_every_value_between():
    x, w, h, loss = net()
    found = chain(gn.Graph(loss))
    assert found.mirrored and found.loss is loss
    assert [node.op for node in found.gradients] == ["Mean", "Mul", "Tanh", "MatMul", "Parameter"]
    assert found.graph.outputs == {"out": loss, "dw": found.gradients[w]} and x not in found.gradients
    values = observe([h, found.gradients[h]], {"x": np.eye(2)})
    np.testing.assert_allclose(values[found.gradients[h]], values[h], rtol=1e-6)  # d mean(h²) = 2h / 2


def test_its_graph_is_the_one_that_is_drawn_elsewhere():
    *_, loss = net()
    assert str(chain(gn.Graph(loss)).graph) == str(gn.Graph(loss).with_gradients())


def test_a_graph_with_gradients_stays_as_it_is():
    _, w, h, loss = net()
    graph = gn.Graph(loss, gn.SGD(lr=1.0).updates(loss))
    found = chain(graph)
    assert found.graph is graph and h in found.gradients
    step = w - graph.updates[w]
    values = observe([step, found.gradients[w]], {"x": np.eye(2)})
    np.testing.assert_allclose(values[step], values[found.gradients[w]], rtol=1e-6)


def test_scores_beside_the_loss_do_no_harm():
    _, _, h, loss = net()
    found = chain(gn.Graph({"scores": h, "loss": loss}))
    assert found.loss is loss and set(found.graph.outputs) == {"scores", "loss", "dw"}


def test_without_one_loss_or_a_trainable_parameter_there_is_none():
    x, _, h, loss = net()
    for outputs in (h, [loss, loss * 2], gn.Sum(x), gn.Sum(x).astype("int64")):
        graph = gn.Graph(outputs)
        found = chain(graph)
        assert found.graph is graph and not found.gradients and not found.mirrored
