"""Normalising: against NumPy, and batch statistics that are learnt in training and used in prediction."""

import numpy as np
import pytest

import graphnn as gn

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _double():
    gn.default_dtype("float64")


def normalised(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def test_norms_within_a_sample_are_their_definitions():
    x = RNG.normal(2, 3, (5, 4, 3, 2))
    scale, shift = RNG.normal(size=(3, 2)), RNG.normal(size=(3, 2))
    by_channel = RNG.normal(size=(2, 4, 1, 1))
    node = gn.Input("x", ("N", 4, 3, 2))
    made = {
        "layer": gn.LayerNorm(node, scale, shift, axis=(-2, -1)),
        "layer, plain": gn.LayerNorm(node, axis=1, epsilon=0.5),
        "rms": gn.RMSNorm(node, scale, axis=(2, 3), epsilon=0.5),
        "instance": gn.InstanceNorm(node, *by_channel.reshape(2, 4)),
        "group": gn.GroupNorm(node, *by_channel.reshape(2, 4), groups=2),
    }
    expected = {
        "layer": normalised(x, (2, 3), 1e-5) * scale + shift,
        "layer, plain": normalised(x, 1, 0.5),
        "rms": x / np.sqrt((x**2).mean((2, 3), keepdims=True) + 0.5) * scale,
        "instance": normalised(x, (2, 3), 1e-5) * by_channel[0] + by_channel[1],
        "group": normalised(x.reshape(5, 2, 2, 3, 2), (2, 3, 4), 1e-5).reshape(x.shape) * by_channel[0] + by_channel[1],
    }
    for name, value in gn.compile(made)(x=x).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-12, err_msg=name)


def batch_normalised(channels=3):
    x, t = gn.Input("x", ("N", channels, 2)), gn.Input("t", ("N",), dtype="int64")
    mean = gn.Parameter("mean", np.zeros(channels), trainable=False)
    variance = gn.Parameter("variance", np.ones(channels), trainable=False)
    scale, shift = gn.Parameter("scale", RNG.normal(size=channels)), gn.Parameter("shift", RNG.normal(size=channels))
    y = gn.BatchNorm(x, scale, shift, mean, variance, momentum=0.8)
    scores = gn.Sum(y, axis=2)
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t)), y


def test_batch_norm_trains_on_the_batch_and_predicts_by_what_it_has_seen():
    model, y = batch_normalised()
    x, t = RNG.normal(2, 3, (20, 3, 2)), RNG.integers(0, 3, 20)
    scale, shift = (model.parameters[name].value[:, None] for name in ("scale", "shift"))
    np.testing.assert_allclose(gn.compile(y)(x=x), normalised(x, (0, 2), 1e-5) * scale + shift, rtol=1e-10)

    step = gn.compile(model.loss, gn.SGD(lr=0.0).updates(model.loss))
    mean, variance = np.zeros(3), np.ones(3)
    for batch, labels in zip(np.split(x, 2), np.split(t, 2), strict=True):
        step(x=batch, t=labels)
        mean = 0.8 * mean + 0.2 * batch.mean((0, 2))
        variance = 0.8 * variance + 0.2 * batch.var((0, 2))
    np.testing.assert_allclose(model.parameters["mean"].value, mean, rtol=1e-12)
    np.testing.assert_allclose(model.parameters["variance"].value, variance, rtol=1e-12)

    running = (x - mean[:, None]) / np.sqrt(variance[:, None] + 1e-5) * scale + shift
    np.testing.assert_allclose(model.predict(x), running.sum(2), rtol=1e-10)
    np.testing.assert_allclose(model.predict(x[:1]), running[:1].sum(2), rtol=1e-10)  # no batch is needed


def test_running_statistics_cost_no_second_pass_over_the_batch():
    """The statistics that are carried forward are those that normalise: sharing leaves one mean and one variance."""
    model, _ = batch_normalised()
    steps = gn.compile(model.loss, gn.SGD().updates(model.loss)).plan.steps
    over_batch = [s for s in steps if isinstance(s.node, gn.Sum) and s.node.x.ndim == 3 and s.node.axes == (0, 2)]
    forward = [s for s in over_batch if s.node.adjoint_of is None]
    assert len(forward) == 2


def test_a_batch_norm_inside_a_composite_is_carried_forward_and_predicts_too():
    class Block(gn.Composite):
        x: gn.Node
        scale: gn.Node
        shift: gn.Node
        seen: gn.Node
        spread: gn.Node

        def expand(self):
            return gn.ReLU(gn.BatchNorm(self.x, self.scale, self.shift, self.seen, self.spread, momentum=0.5))

    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    seen = gn.Parameter("seen", [0.0, 0.0], trainable=False)
    spread = gn.Parameter("spread", [1.0, 1.0], trainable=False)
    scores = Block(x, gn.Parameter("scale", [1.0, 1.0]), gn.Parameter("shift", [0.0, 0.0]), seen, spread)
    model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))
    data = np.array([[2.0, 0.0], [6.0, 1.0]])
    gn.compile(model.loss, gn.SGD(lr=0.0).updates(model.loss))(x=data, t=[0, 1])
    np.testing.assert_allclose(seen.value, [2.0, 0.25])
    expected = np.maximum((data - seen.value) / np.sqrt(spread.value + 1e-5), 0)
    np.testing.assert_allclose(model.predict(data), expected)


def test_misfits_are_named():
    x = gn.Input("x", ("N", 3, 2))
    three = gn.Parameter("three", np.ones(3), trainable=False)
    with pytest.raises(gn.ShapeError, match=r"LayerNorm: the scale 'three' f64\[3\] .* 'x' f64\[N, 3, 2\]"):
        gn.LayerNorm(x, three, axis=-1)
    two = gn.Parameter("two", np.ones(2))
    with pytest.raises(gn.ShapeError, match=r"BatchNorm: the shift 'two' f64\[2\] .* one value for each channel"):
        gn.BatchNorm(x, three, two, three, three)
    with pytest.raises(gn.GraphError, match=r"the running_mean 'grows' .* declare it with trainable=False"):
        gn.BatchNorm(x, three, three, gn.Parameter("grows", np.ones(3)), three)
    with pytest.raises(gn.ShapeError, match=r"the 3 channels of 'x' .* do not fall into 2 equal groups"):
        gn.GroupNorm(x, three, three, groups=2)
