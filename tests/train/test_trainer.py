"""The model, the trainer, and SGD with clipping."""

import re

import numpy as np
import pytest

import graphnn as gn


def linear_model():
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W, b = gn.Parameter("W", np.zeros((2, 2))), gn.Parameter("b", np.zeros(2))
    scores = gn.Affine(x, W, b)
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))


X, T = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [2.0, 0.0]]), np.array([0, 1, 0, 1])


def test_fit_goes_on_where_it_stopped():
    one, two = (gn.Trainer(linear_model(), gn.SGD(lr=0.5)) for _ in range(2))
    one.fit(X, T, max_epoch=4, batch_size=2, eval_interval=None)
    two.fit(X, T, max_epoch=1, batch_size=2, eval_interval=None)
    two.fit(X, T, max_epoch=3, batch_size=2, eval_interval=None)
    assert one.epoch == two.epoch == 4
    np.testing.assert_array_equal(one.model.parameters["W"].value, two.model.parameters["W"].value)


def test_an_optimizer_is_one_that_is_made():
    with pytest.raises(gn.GraphError, match=r"the optimizer is <class .*SGD'>: .*gn.SGD\(lr=0.1\)"):
        gn.Trainer(linear_model(), gn.SGD)
    assert "by SGD(lr=0.5): 0 epochs" in repr(gn.Trainer(linear_model(), gn.SGD(lr=0.5)))


def test_lines_average_the_losses_since_the_last(capsys):
    trainer = gn.Trainer(linear_model(), gn.SGD(lr=0.5))
    trainer.fit(X, T, max_epoch=2, batch_size=1, eval_interval=3, shuffle=None)
    assert [line.split("|")[2].strip() for line in capsys.readouterr().out.splitlines()] == [
        "iter 1 / 4", "iter 4 / 4", "iter 1 / 4", "iter 4 / 4",
    ]  # fmt: skip
    assert len(trainer.loss_list) == 4


def test_validation_and_callbacks(capsys):
    seen = []
    gn.Trainer(linear_model(), gn.SGD(lr=1.0)).fit(
        X, T, 2, 2, eval_interval=None, validation=(X, T), callbacks=[lambda trainer: seen.append(trainer.epoch)]
    )
    assert seen == [1, 2]
    assert re.search(r"\| epoch 2 \|  validation loss 0\.\d+ \| accuracy 1\.000", capsys.readouterr().out)


def test_accuracy_takes_one_hot_labels_and_refuses_others():
    model = linear_model()
    assert model.accuracy(X, np.eye(2)[[0, 0, 0, 0]]) == 1.0  # zero scores: the first class
    with pytest.raises(gn.ShapeError, match="accuracy: labels of shape"):
        model.accuracy(X, [0, 1])


def test_clipping_is_by_the_norm_over_all_gradients():
    gn.default_dtype("float64")
    a, b = gn.Parameter("a", [3.0, 0.0]), gn.Parameter("b", 4.0)
    loss = 0.5 * gn.Sum(a * a) + 0.5 * b * b
    gn.compile(loss, gn.SGD(lr=1.0).updates(loss, max_grad=1.0))()
    rate = 1.0 / (5.0 + 1e-6)
    np.testing.assert_allclose(a.value, [3 - 3 * rate, 0])
    np.testing.assert_allclose(b.value, 4 - 4 * rate)
    gn.compile(loss, gn.SGD(lr=1.0).updates(loss, max_grad=100.0))()  # below the bound nothing is clipped
    np.testing.assert_allclose(b.value, 0, atol=1e-15)
    with pytest.raises(gn.GraphError, match="max_grad is 0"):
        gn.SGD().updates(loss, max_grad=0)


def test_the_learning_rate_changes_without_recompiling():
    w = gn.Parameter("w", 1.0)
    optimizer = gn.SGD(lr=0.0)
    f = gn.compile(w * w, optimizer.updates(w * w))
    f()
    assert w.value == 1.0
    optimizer.lr = 0.25
    f()
    assert w.value == 0.5
    f.set("lr", 0.0)
    assert optimizer.lr == 0.0


def test_frozen_parameters_stay():
    w, frozen = gn.Parameter("w", 1.0), gn.Parameter("frozen", 1.0, trainable=False)
    loss = (w + frozen) ** 2
    gn.compile(loss, gn.SGD(lr=0.1).updates(loss))()
    assert w.value < 1 and frozen.value == 1
    with pytest.raises(gn.GraphError, match="no trainable parameter"):
        gn.SGD().updates(frozen * frozen)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda x, t, s: gn.Model(s, t, s, gn.SoftmaxCE(s, t)), "it must be an Input"),
        (lambda x, t, s: gn.Model(gn.Input("z", ()), t, s, gn.SoftmaxCE(s, t)), "depends on 'z'"),
    ],
)
def test_a_model_refuses_what_makes_no_sense(make, says):
    model = linear_model()
    with pytest.raises(gn.GraphError, match=says):
        make(model.x, model.t, model.scores)


def test_the_model_predicts_in_inference_form():
    class Noisy(gn.Node):
        x: gn.Node

        def infer(self):
            return self.x.spec

        def forward(self, xp, *arrays):
            return arrays[0] + 1

        def vjp(self, g):
            return g

        def infer_as(self):
            return self.x

    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    scores = Noisy(x)
    model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))
    np.testing.assert_array_equal(model.predict([[1, 2]]), [[1, 2]])
    np.testing.assert_array_equal(gn.compile(scores)(x=[[1, 2]]), [[2, 3]])
