"""Biases: which sums become part of a product."""

import numpy as np

import graphnn as gn
from graphnn.transform.biases import Biased, biases

x = gn.Input("x", ("N", 4))
W, b = gn.Parameter("W", np.ones((4, 3))), gn.Parameter("b", np.arange(3.0))


def after(node, **named):
    graph, record = biases.run(gn.Graph({"y": node, **named}))
    return graph, [fired.rule for fired in record.fired]


def test_the_bias_of_an_affine_map_goes_into_its_product():
    for y in (x @ W + b, b + x @ W):
        graph, fired = after(y)
        assert fired == ["bias added by its product"]
        y = graph.outputs["y"]
        assert isinstance(y, Biased) and (y.x, y.W) == (x, W) and y.spec == (x @ W).spec
    given = {"x": np.arange(8.0).reshape(2, 4)}
    np.testing.assert_array_equal(gn.compile(y)(**given), gn.compile(x @ W + b)(**given))


def test_what_is_no_bias_of_a_product_stays():
    product = x @ W
    rows = gn.Parameter("rows", np.ones((4, 1)))
    for node in (product + product, gn.Exp(x) + 1, x @ W + x @ rows, x[0] @ W + b):
        assert after(node)[1] == []
    assert after(product + b, product=product)[1] == [], "somebody else reads the product"
