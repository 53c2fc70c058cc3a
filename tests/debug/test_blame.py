"""Blame: the node that made the first non-finite value is named, and the parameters stand before that step."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.runtime.rewind import Rewind

AVAILABLE = [name for name, state in gn.backends().items() if state == "ok"]


@pytest.mark.parametrize("backend", AVAILABLE)
def test_a_gradient_that_ruins_a_parameter_before_the_loss_shows_it(backend):
    a, w = gn.Input("a", ("N",)), gn.Parameter("w", 0.0)
    loss = gn.Sum(gn.Arcsin(1 - w * a))  # finite at w = 0, where the slope by w is infinite
    step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend=backend)
    with pytest.raises(gn.NonFiniteError) as raised:
        step.loop({"a": [0.0, 0.0, 1.0, 1.0]}, batch_size=1, epochs=3)
    error = raised.value
    assert (error.epoch, error.batch) == (1, 1)
    assert error.direction == "backward" and error.node.op == "Map"
    assert w.value == 0.0
    assert "test_blame.py" in str(error) and "Its operands: " in str(error)


@pytest.mark.parametrize("backend", AVAILABLE)
def test_parameters_stand_at_the_last_good_step(backend):
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    loss = gn.Sum(gn.Log(x) * w)
    step = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend=backend)
    good, bad = np.exp([0.1, 0.2, 0.3, 0.4]), np.array([1.0, 2.0, 0.0, 3.0])
    step.loop({"x": good}, 1)
    before = float(w.value)
    with pytest.raises(gn.NonFiniteError, match=r"epoch 1, batch 4: Log f32\[N\]"):
        step.loop({"x": bad}, 1, epochs=2, shuffle=np.array([[0, 1, 3, 2], [0, 1, 2, 3]]))
    assert w.value == pytest.approx(before - 0.5 * np.log([1.0, 2.0, 3.0]).sum(), rel=1e-5)


def test_infinities_on_purpose_are_innocent():
    s, mask, w = gn.Input("s", ("N", 3)), gn.Input("mask", ("N", 3), dtype="bool"), gn.Parameter("w", 1.0)
    attention = gn.Softmax(gn.Where(mask, s * w, -np.inf))
    loss = gn.Sum(gn.Log(gn.Sum(attention * s, axis=1)))
    f = gn.compile(loss, gn.SGD().updates(loss))
    with pytest.raises(gn.NonFiniteError) as raised:
        f(s=[[0.0, 0.0, 5.0]], mask=[[True, True, False]])
    assert raised.value.node.op == "Log"


def test_a_bad_input_is_said_to_be_one():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    loss = gn.Sum(x * w)
    with pytest.raises(gn.NonFiniteError, match=r"'x' f32\[N\] .* is nan at \(1,\) already when the step begins"):
        gn.compile(loss, gn.SGD().updates(loss))(x=[1.0, np.nan])


def test_callbacks_may_ask_the_program_itself():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    loss = gn.Mean((x - w) ** 2)
    step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss))
    rates = iter((0.1, 0.01, 0.0))
    step.loop_epochs({"x": [0.0, 2.0]}, 1, 3, None, False, lambda records: step.set("lr", next(rates)))
    assert step.state["lr"] == 0


@pytest.mark.parametrize("backend", AVAILABLE)
def test_a_parameter_ruined_by_the_last_step_is_seen_though_no_loss_comes_after_it(backend):
    a, w = gn.Input("a", ("N",)), gn.Parameter("w", 1.0)
    loss = gn.Sum(gn.Arcsin(w * a))  # finite at w * a = 1, where its slope is infinite
    step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend=backend)
    with pytest.raises(gn.NonFiniteError, match=r"epoch 1, batch 2: .* in the backward half") as raised:
        step.loop({"a": [0.0, 1.0]}, batch_size=1)
    assert (raised.value.epoch, raised.value.batch) == (1, 2) and w.value == 1.0
    unwatched = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend=backend, check_finite=None)
    unwatched.loop({"a": [0.0, 1.0]}, batch_size=1)
    assert not np.isfinite(w.value)


def test_parameters_are_looked_at_once_for_all_epochs_that_run_as_one():
    w = gn.Parameter("w", 1.0)
    rewind = Rewind((w,), iter([None, None, None]))
    pulled = iter(rewind)
    next(pulled), next(pulled)
    w.storage[...] = np.nan
    rewind.epoch_done(1)
    with pytest.raises(gn.NonFiniteError, match=r"epoch 2: .*'w'.* is not finite any more"):
        rewind.epoch_done(2)
