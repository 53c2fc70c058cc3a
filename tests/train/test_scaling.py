"""Loss scaling: overflows leave a step out and lower the scale, good steps raise it, and nothing else changes."""

import numpy as np
import pytest

import graphnn as gn

AVAILABLE = [name for name, state in gn.backends().items() if state == "ok"]


def model(scale=1.0):
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    W1 = gn.Parameter("W1", rng.normal(size=(4, 8)))
    h = gn.Tanh(gn.Affine(x, W1, gn.Parameter("b1", np.zeros(8))))
    scores = gn.Affine(h, gn.Parameter("W2", rng.normal(size=(8, 3))), gn.Parameter("b2", np.zeros(3)))
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t) * scale)


def data(n=60):
    x = np.random.default_rng(1).normal(size=(n, 4))
    return {"x": x, "t": np.argmax(x[:, :3], axis=1)}


def values(step):
    return {name: value for name, value in step.state.items() if name not in ("loss_scale", "good_steps")}


@pytest.mark.parametrize("backend", AVAILABLE)
@pytest.mark.parametrize("optimizer", [lambda: gn.SGD(lr=0.1), lambda: gn.Adam(lr=0.01), lambda: gn.SGD(accumulate=2)])
def test_a_step_that_overflows_changes_nothing_but_the_scale(backend, optimizer):
    net, scaling = model(), gn.LossScaling(initial=2.0**24)
    updates = optimizer().updates(net.loss, scaling=scaling)
    step = gn.compile(net.loss, updates, backend=backend, precision="mixed_float16")
    before = values(step)
    assert np.isfinite(step(**data()))
    assert step.state["loss_scale"] == 2.0**23 and step.state["good_steps"] == 0
    for name, value in values(step).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    while step.state["loss_scale"] > 2.0**10 and step.state["good_steps"] == 0:
        step(**data())
    assert step.state["good_steps"] == 1  # in range at last, and taken
    assert any(not np.array_equal(value, before[name]) for name, value in values(step).items())


@pytest.mark.parametrize("backend", AVAILABLE)
def test_the_scale_backs_off_on_overflow_and_grows_again_in_a_loop(backend):
    net, scaling = model(), gn.LossScaling(initial=2.0**30, every=7)
    updates = gn.SGD(lr=0.01).updates(net.loss, scaling=scaling)
    step = gn.compile({"loss": net.loss, "scale": scaling.scale}, updates, backend=backend, precision="mixed_float16")
    scales = step.loop(data(), 60, epochs=60)["scale"][:, 0]
    falls = np.flatnonzero(np.diff(scales) < 0)
    grows = np.flatnonzero(np.diff(scales) > 0)
    np.testing.assert_array_equal(falls[: grows[0] - 7], np.arange(grows[0] - 7))  # down at once, step by step
    assert scales[grows[0] - 6 : grows[0] + 1].tolist() == [scales[grows[0]]] * 7  # seven good steps, then up
    assert len(grows) > 2 and (np.diff(scales)[grows] == scales[grows]).all()


def test_powers_of_two_scale_without_rounding():
    plain, scaled = model(), model()
    one = gn.compile(plain.loss, gn.SGD(lr=0.1).updates(plain.loss), passes="exact")
    updates = gn.SGD(lr=0.1).updates(scaled.loss, scaling=gn.LossScaling(initial=2.0**10))
    other = gn.compile(scaled.loss, updates, passes="exact")
    np.testing.assert_array_equal(one.loop(data(), 20, epochs=5), other.loop(data(), 20, epochs=5))


def test_gradients_too_small_for_half_floats_are_saved_by_scaling():
    moved = {}
    for scaling in (None, gn.LossScaling(initial=2.0**15)):
        net = model(scale=1e-7)
        before = net.parameters["W1"].value
        updates = gn.SGD(lr=1e6).updates(net.loss, scaling=scaling)
        gn.compile(net.loss, updates, precision="mixed_float16")(**data())
        moved[scaling is not None] = np.abs(net.parameters["W1"].value - before).max()
    assert moved[False] == 0 < moved[True]


@pytest.mark.parametrize("backend", AVAILABLE)
def test_at_the_least_scale_a_fault_is_blamed_and_not_left_out(backend):
    a, w = gn.Input("a", ("N",)), gn.Parameter("w", 0.0)
    loss = gn.Sum(gn.Arcsin(1 - w * a))  # finite at w = 0, where the slope by w is infinite
    updates = gn.SGD(lr=0.1).updates(loss, scaling=gn.LossScaling(initial=4.0))
    step = gn.compile(loss, updates, backend=backend, precision="mixed_float16")
    with pytest.raises(gn.NonFiniteError) as raised:
        step.loop({"a": np.ones(5)}, batch_size=1)
    error = raised.value
    assert (error.epoch, error.batch, error.direction) == (1, 3, "backward")  # left out at 4 and 2, seen at 1
    assert w.value == 0.0 and step.state["loss_scale"] == 1.0


def test_a_trainer_has_it_in_its_checkpoints_and_goes_on_with_the_same_bits(tmp_path):
    def trainer():
        trained = gn.Trainer(model(), gn.Adam(lr=0.01), precision="mixed_float16")
        trained.scaling = gn.LossScaling(initial=2.0**22, every=5)
        return trained

    def fit(trained, epochs):
        trained.fit(*data().values(), epochs, 20, eval_interval=None)

    whole, first, second = trainer(), trainer(), trainer()
    fit(whole, 6)
    fit(first, 3)
    first.save(tmp_path / "saved")
    second.resume(tmp_path / "saved")
    assert second.state["loss_scale"].value == first.state["loss_scale"].value != 2.0**22
    fit(second, 3)
    for name, parameter in whole.state.items():
        np.testing.assert_array_equal(second.state[name].value, parameter.value, err_msg=name)
    assert whole.history["loss"][-1] < whole.history["loss"][0]
    assert gn.Trainer(model(), gn.SGD(), precision="mixed_bfloat16").scaling is None


@pytest.mark.parametrize("options", [{"initial": 0.5}, {"growth": 0.5}, {"backoff": 1.0}, {"every": 0}, {"least": 0.0}])
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(gn.GraphError, match=r"LossScaling: initial .* the scale begins at `least` or above"):
        gn.LossScaling(**options)
