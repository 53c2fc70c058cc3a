"""Differentiation, graph to graph."""

import numpy as np
import pytest

import graphnn as gn


def spiral_net():
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    rng = np.random.default_rng(0)
    W1, b1 = gn.Parameter("W1", rng.normal(size=(2, 4))), gn.Parameter("b1", rng.normal(size=4))
    W2, b2 = gn.Parameter("W2", rng.normal(size=(4, 3))), gn.Parameter("b2", rng.normal(size=3))
    loss = gn.SoftmaxCE(gn.Affine(gn.Sigmoid(gn.Affine(x, W1, b1)), W2, b2), t)
    return loss, [W1, b1, W2, b2], {"x": rng.normal(size=(5, 2)), "t": [0, 1, 2, 1, 0]}


def test_first_and_second_derivatives_of_a_net():
    gn.default_dtype("float64")
    loss, wrt, feeds = spiral_net()
    gn.testing.check_grad(loss, wrt, feeds)
    norm = gn.Sum(gn.grad(loss, wrt[0]) ** 2)
    gn.testing.check_grad(norm, wrt, feeds)


def test_any_order():
    gn.default_dtype("float64")
    x = gn.Input("x", ())
    y = x**5
    for expected in (80.0, 160.0, 240.0, 240.0, 120.0):
        y = gn.grad(y, x)
        assert float(gn.compile([y, x])(x=2.0)[0]) == pytest.approx(expected)


def test_fan_out_sums_through_add_n():
    x = gn.Input("x", ("N",))
    y = gn.Exp(x)
    g = gn.grad(gn.Sum(y * y + y), x)
    assert "AddN" in [node.op for node in gn.Graph(g).nodes]


def test_gradients_through_intermediate_nodes_and_their_operands_together():
    gn.default_dtype("float64")
    x = gn.Input("x", ())
    h = x * x
    loss = h * h + x
    dh, dx = gn.compile(gn.grad(loss, [h, x]))(x=3.0)
    assert (dh, dx) == (18.0, 109.0)


def test_each_backward_node_knows_its_partner():
    loss, _, _ = spiral_net()
    graph = gn.Graph(loss).with_gradients()
    serials = {node.serial: node for node in graph.nodes}
    partners = [serials[node.adjoint_of].op for node in graph.backward]
    assert set(partners) == {"SoftmaxCE", "Affine", "Sigmoid"}
    # The order of partners is that of the forward half, reversed.
    assert list(dict.fromkeys(node.adjoint_of for node in graph.backward)) == sorted(
        {node.adjoint_of for node in graph.backward}, reverse=True
    )


def test_zero_where_no_gradient_flows():
    x = gn.Input("x", ("N",))
    np.testing.assert_array_equal(gn.compile(gn.grad(gn.Sum(gn.stop_gradient(x)), x))(N=2), [0, 0])


def test_an_unused_result_of_several_is_no_obstacle():
    x = gn.Input("x", ("N",))
    a, _ = gn.Branch(x, 2)
    np.testing.assert_array_equal(gn.compile(gn.grad(gn.Sum(a * a), x))(x=[1, 2]), [2, 4])


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda x, w: gn.grad(x * 2, x), gn.ShapeError, "is not a scalar. Reduce it first"),
        (lambda x, w: gn.grad(gn.Sum(x), w), gn.GraphError, r"does not depend on 'w' f32\[\]"),
        (lambda x, w: gn.grad(gn.Sum(x), [x, 3]), gn.GraphError, "wrt is int"),
        (lambda x, w: gn.grad(gn.Sum(gn.Input("i", (2,), dtype="int64")), x), gn.DTypeError, "not of a float dtype"),
    ],
)
def test_refusals(ask, error, says):
    with pytest.raises(error, match=says):
        ask(gn.Input("x", ("N",)), gn.Parameter("w", 1.0))


def test_a_rule_that_gives_too_few_or_wrong_gradients_is_named():
    class Few(gn.Node):
        x: gn.Node
        y: gn.Node

        def infer(self):
            return self.x.spec

        def vjp(self, g):
            return (g,)

    class Wrong(gn.Elementwise):
        x: gn.Node
        formula = "x"

        def vjp(self, g):
            return gn.Sum(g)

    x = gn.Input("x", (2,))
    with pytest.raises(gn.GraphError, match=r"Few\.vjp gives 1 gradients for 2 operands"):
        gn.grad(gn.Sum(Few(x, x)), x)
    with pytest.raises(gn.ShapeError, match=r"Wrong.vjp gives a gradient f32\[\] for its operand 'x' f32\[2\]"):
        gn.grad(gn.Sum(Wrong(x)), x)
