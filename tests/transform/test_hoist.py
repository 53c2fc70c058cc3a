"""Hoist: elementwise work on repeated values is done before they are repeated."""

import numpy as np

import graphnn as gn
from graphnn.transform.hoist import hoist


def test_work_on_repeated_values_is_done_once(written):
    b, c = gn.Input("b", (1, 3)), gn.Input("c", (1, 3))
    made = written(hoist, gn.Exp(gn.Repeat(b, "N") + gn.Repeat(c, "N")) * 2)
    assert made == ["%0 = Add(b, c)", "%1 = Exp(%0)", "%2 = Mul(%1, 2.0)", "%3 = Repeat(%2, n=N)"]


def test_values_repeated_along_two_axes(written):
    b = gn.Input("b", (1, 1))
    wide = gn.Repeat(gn.Repeat(b, "N", 0), 4, 1)
    assert written(hoist, gn.Tanh(wide)) == ["%0 = Tanh(b)", "%1 = Repeat(%0, n=N)", "%2 = Repeat(%1, n=4, axis=1)"]


def test_what_meets_a_whole_value_stays():
    b, x = gn.Input("b", (1, 3)), gn.Input("x", ("N", 3))
    graph = gn.Graph(gn.Repeat(b, "N") + x)
    assert hoist.run(graph)[0] is graph


def test_a_product_goes_on_reading_what_lay_there(after):
    b, w = gn.Input("b", (1, 3)), gn.Input("w", (3, 2))
    graph = after(hoist, gn.Exp(gn.Repeat(b, "N")) @ w)
    assert [node.op for node in graph.nodes if node.operands] == ["Repeat", "Exp", "MatMul"]


def test_what_is_picked_alone_is_computed(written):
    z, y = gn.Input("z", ("N", 5)), gn.Input("y", ("N", 1))
    t = gn.Input("t", ("N",), dtype="int64")
    made = written(hoist, gn.Pick(z - y, t))
    assert made == ["%0 = Pick(z, t)", "%1 = Reshape(y, to=(N,))", "%2 = Sub(%0, %1)"]
    assert written(hoist, gn.Pick(gn.Exp(z) * 2, t)) == ["%0 = Exp(z)", "%1 = Pick(%0, t)", "%2 = Mul(%1, 2.0)"]
    two = gn.Graph(gn.Pick(z - gn.Exp(z), t))  # two picks would cost more than they spare
    assert hoist.run(two)[0] is two
    whole = z - y
    kept = gn.Graph([gn.Pick(whole, t), whole])
    assert hoist.run(kept)[0] is kept


def test_a_loss_takes_no_logarithm_of_what_it_does_not_pick():
    s, t = gn.Input("s", ("N", 1000)), gn.Input("t", ("N",), dtype="int64")
    f = gn.compile(gn.SoftmaxCE(s, t))
    wide = [step.node.op for step in f.plan.steps if step.node.shape == s.shape]
    assert wide == ["Sub", "Exp"]


def test_numbers_agree(numbers_agree):
    b, w = gn.Input("b", (1, 3)), gn.Input("w", (3, 2))
    e = gn.Exp(gn.Repeat(b, 5)) * 3
    t = gn.Input("t", (5,), dtype="int64")
    picked = gn.Pick(gn.Exp(e) - gn.Sum(e, 1, keepdims=True), t)
    feeds = {"b": np.ones((1, 3)) / 3, "w": np.ones((3, 2)), "t": [0, 2, 1, 1, 0]}
    numbers_agree(hoist, [e, gn.Sum(e, 0), e @ w, picked], feeds)
