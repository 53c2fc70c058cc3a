"""The mission's reference run: the spiral, once by a loop written out and once by the Trainer."""

import numpy as np
import pytest

import graphnn as gn


@pytest.fixture
def after_data():
    """The reference generator, past the 300 numbers that the data took."""
    rng = np.random.RandomState(1984)
    rng.randn(300)
    return rng


def declare(rng):
    gn.default_dtype("float64")
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W1, W2 = gn.Parameter("W1", 0.01 * rng.randn(2, 10)), gn.Parameter("W2", 0.01 * rng.randn(10, 3))
    b1, b2 = gn.Parameter("b1", np.zeros(10)), gn.Parameter("b2", np.zeros(3))
    scores = gn.Affine(gn.Sigmoid(gn.Affine(x, W1, b1)), W2, b2)
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))


def test_trainer_reproduces_the_run(after_data, capsys):
    model = declare(after_data)
    points, labels = gn.data.spiral()
    trainer = gn.Trainer(model, gn.SGD(lr=1.0))
    trainer.fit(points, labels, max_epoch=300, batch_size=30, eval_interval=20, shuffle=after_data)
    assert len(trainer.loss_list) == 300
    assert trainer.loss_list[0] == pytest.approx(1.0979836, abs=1e-6)
    assert trainer.loss_list[-1] == pytest.approx(0.1086861, abs=1e-6)
    assert round(model.accuracy(points, labels), 2) == 0.97
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| epoch 1 |  iter 1 / 10 | time 0[s] | loss 1.10"
    assert lines[-1].startswith("| epoch 300 |  iter 1 / 10 | time ") and lines[-1].endswith("| loss 0.11")


def test_a_loop_written_out_reproduces_the_run(after_data):
    model = declare(after_data)
    step = gn.compile(model.loss, gn.SGD(lr=1.0).updates(model.loss))
    x, t = gn.data.spiral()
    averages = []
    for _ in range(300):
        order = after_data.permutation(300)
        x, t = x[order], t[order]
        averages.append(np.mean([step(x=x[i : i + 30], t=t[i : i + 30]) for i in range(0, 300, 30)]))
    # This loop logs at the tenth iteration of each epoch.
    assert averages[0] == pytest.approx(1.12561, abs=5e-6)
    assert averages[-1] == pytest.approx(0.10855, abs=5e-6)


def test_chapter_inference():
    gn.default_dtype("float64")
    rng = np.random.RandomState(0)
    x = gn.Input("x", ("N", 2))
    h = gn.Sigmoid(gn.Affine(x, rng.randn(2, 4), rng.randn(4)))
    assert gn.compile(gn.Affine(h, rng.randn(4, 3), rng.randn(3)))(x=rng.randn(10, 2)).shape == (10, 3)
    assert gn.compile(gn.Dot([1, 2, 3], [4, 5, 6]))() == 32
