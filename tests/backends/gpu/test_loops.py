"""Captured loops, on the CPU as the device and on a GPU: the epochs of NumPy, and what a replay does and does not."""

import os
import signal

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.cupy import captured, loops

from .conftest import real_gpu
from .host_only import Shifted


def net(backend, opt=None):
    """A two-layer net on the spiral, with its first weights."""
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", 2), dtype="float64"), gn.Input("t", ("N",), dtype="int64")
    shapes = {"W1": (2, 10), "b1": (10,), "W2": (10, 3), "b2": (3,)}
    p = {name: gn.Parameter(name, 0.5 * rng.normal(size=shape), dtype="float64") for name, shape in shapes.items()}
    loss = gn.SoftmaxCE(gn.Affine(gn.Sigmoid(gn.Affine(x, p["W1"], p["b1"])), p["W2"], p["b2"]), t)
    return gn.compile(loss, (opt or gn.SGD(lr=0.5)).updates(loss, max_grad=2.0), backend=backend)


X, T = gn.data.spiral()
ORDERS = {
    "rng": lambda: np.random.default_rng(1),
    "legacy": lambda: np.random.RandomState(1),
    "orders": lambda: np.array([np.random.default_rng(e).permutation(300) for e in range(3)]),
}


@pytest.fixture(params=["tiny", "captured"], autouse=True)
def _how(request, monkeypatch):
    """Both ways to run many steps, for these nets are tiny."""
    if request.param == "captured":
        monkeypatch.setattr(loops, "make_tiny", lambda *arguments: None)


@pytest.mark.parametrize(
    ("shuffle", "drop_last"),
    [
        (None, False), (3, True), ("orders", False),
        *(pytest.param(*how, marks=pytest.mark.slow) for how in ((None, True), ("rng", False), ("legacy", True))),
    ],
)  # fmt: skip
def test_a_loop_is_that_of_numpy(cupy, shuffle, drop_last):
    losses, state = {}, {}
    for backend in ("numpy", "cupy"):
        order = ORDERS[shuffle]() if shuffle in ORDERS else shuffle
        f = net(backend)
        losses[backend] = f.loop({"x": X, "t": T}, 64, epochs=3, shuffle=order, drop_last=drop_last)
        state[backend] = f.state
    assert losses["cupy"].shape == (3, 4 if drop_last else 5)
    np.testing.assert_allclose(losses["cupy"], losses["numpy"], rtol=1e-9)
    for name, value in state["numpy"].items():
        np.testing.assert_allclose(state["cupy"][name], value, rtol=1e-8, err_msg=name)


@pytest.mark.parametrize("batch_size", [7, 100])
def test_a_loop_is_the_calls_it_stands_for_bit_by_bit(cupy, monkeypatch, batch_size):
    monkeypatch.setattr(captured, "LONGEST", 8)
    looped, called = net("cupy", gn.Adam(lr=0.1)), net("cupy", gn.Adam(lr=0.1))
    losses = looped.loop({"x": X[:190], "t": T[:190]}, batch_size, epochs=2)
    starts = range(0, 190, batch_size)
    parts = [slice(start, min(start + batch_size, 190)) for start in starts]
    by_hand = [[float(called(x=X[part], t=T[part])) for part in parts] for _ in range(2)]
    np.testing.assert_array_equal(losses, by_hand)
    for name, value in called.state.items():
        np.testing.assert_array_equal(looped.state[name], value, err_msg=name)


def test_steps_are_replayed_without_a_copy_or_an_allocation(world, monkeypatch):
    monkeypatch.setattr(loops, "next_budget", lambda budget, took: 10**9)  # never time to look for Ctrl-C
    f = net("cupy")
    f.loop({"x": X, "t": T}, 30, epochs=1)
    counts = []
    for epochs in (2, 22):
        launched, copied, allocated = world.launched, world.copied, world.allocated
        f.loop({"x": X, "t": T}, 30, epochs=epochs)
        counts.append((world.launched - launched, world.copied - copied, world.allocated - allocated))
    assert counts[1][2] == counts[0][2], "more steps allocate more"
    assert (counts[1][0] - counts[0][0]) % 200 == 0, "steps differ in their launches"
    assert counts[1][1] == counts[0][1], "more steps copy more"


def test_the_learning_rate_is_read_from_the_device(cupy):
    losses = {}
    for backend in ("numpy", "cupy"):
        f = net(backend)
        parts = []
        for lr in (0.5, 0.05, 2.0):
            f.set("lr", lr)
            parts.append(f.loop({"x": X, "t": T}, 100, epochs=1))
        losses[backend] = parts
    np.testing.assert_allclose(losses["cupy"], losses["numpy"], rtol=1e-9)


def test_an_input_that_stays_the_same(cupy):
    x, scale = gn.Input("x", ("N", 2)), gn.Input("scale", (2,))
    w = gn.Parameter("w", [1.0, 2.0])
    loss = gn.Mean((x * scale - w) ** 2)
    losses = []
    for backend in ("numpy", "cupy"):
        w.value = [1.0, 2.0]
        step = gn.compile(loss, {w: w - 0.1 * gn.grad(loss, w)}, backend=backend)
        losses.append(step.loop({"x": X, "scale": [1.0, 3.0]}, 70, epochs=2, shuffle=1))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_several_scalar_outputs_are_kept_by_name(cupy):
    x = gn.Input("x", ("N",))
    f = gn.compile({"total": gn.Sum(x), "rows": x * 2, "most": gn.Max(x)}, backend="cupy")
    kept = f.loop({"x": np.arange(5.0)}, 2)
    assert {name: list(value[0]) for name, value in kept.items()} == {"total": [1, 5, 4], "most": [1, 3, 4]}


def test_a_label_that_is_wrong_stops_the_loop_where_it_is(cupy):
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    w = gn.Parameter("w", np.ones((2, 3)))
    loss = gn.SoftmaxCE(x @ w, t - 1)
    step = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend="cupy")
    good = gn.compile(loss, gn.SGD(lr=0.5).updates(loss))
    labels = np.array([1, 2, 3, 1, 4, 2])
    with pytest.raises(gn.LabelError, match="row 0 of Sub is 3, but labels of 3 classes"):
        step.loop({"x": X[:6], "t": labels}, 2, epochs=2)
    stopped = w.value
    w.value = np.ones((2, 3))
    good.loop({"x": X[:4], "t": labels[:4]}, 2)
    np.testing.assert_allclose(stopped, w.value, rtol=1e-5)


def test_a_loss_that_is_not_finite_is_blamed_and_the_state_is_that_of_the_last_good_step(cupy):
    said = {}
    for backend in ("numpy", "cupy"):
        x, w = gn.Input("x", ("N",), dtype="float64"), gn.Parameter("w", 1.0, dtype="float64")
        loss = gn.Mean(gn.Log(x * w))
        step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend=backend)
        with pytest.raises(gn.NonFiniteError) as error:
            step.loop({"x": [1.0, 2.0, 3.0, -4.0, 5.0]}, 1, epochs=2)
        said[backend] = str(error.value), float(w.value)
    assert "batch 4" in said["cupy"][0] and "Log" in said["cupy"][0]
    assert said["cupy"][1] == pytest.approx(said["numpy"][1], rel=1e-12)


def test_ctrl_c_ends_after_whole_steps(cupy):
    f = net("cupy")
    seen = []

    def press(epochs):
        seen.append(epochs)
        if epochs == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        f.loop({"x": X, "t": T}, 100, epochs=50, progress=press)
    after = f.state
    again = net("cupy")
    again.loop({"x": X, "t": T}, 100, epochs=seen[-1])
    assert seen == list(range(1, seen[-1] + 1)) and seen[-1] < 50

    def reached():
        return all(np.array_equal(after[name], value) for name, value in again.state.items())

    for start in (0, 100):  # it may have gone on into an epoch
        if not reached():
            again(x=X[start : start + 100], t=T[start : start + 100])
    assert reached()


def test_a_trainer_trains_and_what_it_calls_meanwhile_sees_the_weights(cupy):
    results = {}
    for backend in ("numpy", "cupy"):
        x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
        rng = np.random.default_rng(0)
        w, v = gn.Parameter("w", rng.normal(size=(2, 8))), gn.Parameter("v", rng.normal(size=(8, 3)))
        scores = gn.Tanh(x @ w) @ v
        model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))
        trainer = gn.Trainer(model, gn.SGD(lr=1.0), backend=backend)
        trainer.fit(X, T, max_epoch=3, batch_size=60, eval_interval=5)
        results[backend] = (trainer.loss_list, model.accuracy(X, T))
    np.testing.assert_allclose(results["cupy"][0], results["numpy"][0], rtol=1e-5)
    assert results["cupy"][1] == results["numpy"][1]


def test_a_program_with_a_step_on_numpy_loops_from_python(cupy):
    x, w = gn.Input("x", ("N", 4)), gn.Parameter("w", [1.0, 2.0, 3.0, 4.0])
    y = Shifted(x * w)
    losses = []
    for backend in ("numpy", "cupy"):
        w.value = [1.0, 2.0, 3.0, 4.0]
        loss = gn.Mean(y * y)
        f = gn.compile(loss, gn.SGD(lr=0.01).updates(loss), backend=backend)
        losses.append(f.loop({"x": np.random.default_rng(0).normal(size=(10, 4))}, 3, epochs=2, shuffle=0))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.gpu
def test_a_soak_of_captured_steps_has_the_bits_of_steps_one_by_one():
    """Many steps, of several sizes, with what the host does in between: no replay reads what is not there any more."""
    with real_gpu():
        captured, single = net("cupy", gn.Adam(lr=0.01)), net("cupy", gn.Adam(lr=0.01))
        rng = np.random.default_rng(0)
        for rows in (300, 7, 64, 300, 129):
            order = np.array([rng.permutation(300) for _ in range(20)])
            captured.loop({"x": X, "t": T}, rows, epochs=20, shuffle=order)
            for epoch in order:
                for start in range(0, 300, rows):
                    part = epoch[start : start + rows]
                    single(x=X[part], t=T[part])
            for name, value in single.state.items():
                np.testing.assert_array_equal(captured.state[name], value, err_msg=f"{name} after batches of {rows}")
