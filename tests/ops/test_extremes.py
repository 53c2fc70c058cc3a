"""Scores of any size: right, and silent."""

import numpy as np
import pytest

import graphnn as gn

SCORES = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [88.8, -88.8, 710.0]], np.float32)


def test_sigmoid_reaches_its_limits():
    x = gn.Input("x", ("N", 3))
    f = gn.compile([gn.Sigmoid(x), gn.grad(gn.Sum(gn.Sigmoid(x)), x)])
    value, slope = f(x=SCORES)
    np.testing.assert_array_equal(value[0], [1, 0, 0.5])
    np.testing.assert_array_equal(slope[0], [0, 0, 0.25])


def test_softmax_and_its_loss_are_right_for_scores_of_ten_thousand():
    s, t = gn.Input("s", ("N", 3)), gn.Input("t", ("N",), dtype="int64")
    loss = gn.SoftmaxCE(s, t, reduction="none")
    f = gn.compile({"y": gn.Softmax(s), "log_y": gn.LogSoftmax(s), "loss": loss, "ds": gn.grad(gn.Sum(loss), s)})
    out = f(s=SCORES, t=[1, 0, 2])
    np.testing.assert_allclose(out["y"], [[1, 0, 0], [1 / 3] * 3, [0, 0, 1]], rtol=1e-6)
    np.testing.assert_allclose(out["loss"], [2e4, np.log(3), 0], rtol=1e-6)
    np.testing.assert_allclose(out["ds"][0], [1, -1, 0], rtol=1e-6)
    assert all(np.isfinite(value).all() for value in out.values())


@pytest.mark.parametrize("passes", ["none", "default"])
def test_nothing_warns(passes, recwarn):
    x = gn.Input("x", ("N", 3))
    gn.compile([gn.Sigmoid(x), gn.Softmax(x), gn.LogSoftmax(x), gn.Log(gn.Softmax(x))], passes=passes)(x=SCORES)
    assert not recwarn.list


def test_the_logarithm_of_softmax_is_made_stable():
    x = gn.Input("x", ("N", 2))
    value = gn.compile(gn.Log(gn.Softmax(x)))(x=[[0.0, -1e4]])
    np.testing.assert_array_equal(value, [[0, -1e4]])


def test_a_sum_to_one_holds_for_one_hot_rows_and_soft_labels_alike():
    gn.default_dtype("float64")
    s = gn.Input("s", ("N", 3))
    hard, soft = gn.Input("hard", ("N",), dtype="int64"), gn.Input("soft", ("N", 3))
    scores = np.random.default_rng(0).normal(size=(4, 3))
    labels = np.array([0, 2, 1, 1])
    by_integer = gn.compile([gn.SoftmaxCE(s, hard), gn.grad(gn.SoftmaxCE(s, hard), s)])(s=scores, hard=labels)
    by_row = gn.compile([gn.SoftmaxCE(s, soft), gn.grad(gn.SoftmaxCE(s, soft), s)])(s=scores, soft=np.eye(3)[labels])
    for one, other in zip(by_integer, by_row, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
