"""Native loops: the epochs of NumPy, with orders, odd batches, records, failures, interruption and progress."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends import stepping
from graphnn.backends.native import loops

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])


def net(backend, dtype="float64"):
    """A two-layer net on the spiral, with its first weights."""
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", 2), dtype=dtype), gn.Input("t", ("N",), dtype="int64")
    shapes = {"W1": (2, 10), "b1": (10,), "W2": (10, 3), "b2": (3,)}
    p = {name: gn.Parameter(name, 0.5 * rng.normal(size=shape), dtype=dtype) for name, shape in shapes.items()}
    scores = gn.Affine(gn.Sigmoid(gn.Affine(x, p["W1"], p["b1"])), p["W2"], p["b2"])
    loss = gn.SoftmaxCE(scores, t)
    return gn.compile(loss, gn.SGD(lr=0.5).updates(loss, max_grad=2.0), backend=backend)


@pytest.mark.parametrize("shuffle", [None, 3, "rng", "legacy", "orders"])
@pytest.mark.parametrize("drop_last", [False, True])
def test_a_loop_is_that_of_numpy(shuffle, drop_last):
    X, T = gn.data.spiral()
    given = {
        "rng": lambda: np.random.default_rng(1),
        "legacy": lambda: np.random.RandomState(1),
        "orders": lambda: np.array([np.random.default_rng(e).permutation(300) for e in range(4)]),
    }
    losses = {}
    for backend in ("numpy", "native"):
        order = given[shuffle]() if shuffle in given else shuffle
        f = net(backend)
        losses[backend] = f.loop({"x": X, "t": T}, 32, epochs=4, shuffle=order, drop_last=drop_last)
    assert losses["native"].shape == (4, 9 if drop_last else 10)
    np.testing.assert_allclose(losses["native"], losses["numpy"], rtol=1e-9)


def test_how_long_the_driver_runs_follows_what_it_took():
    assert stepping.next_budget(8, 0.001) == 32
    assert stepping.next_budget(1000, 1.0) == 50
    assert stepping.next_budget(1, 10.0) == 1


@pytest.mark.parametrize("shuffle", [None, 0])
def test_a_loop_is_the_calls_it_stands_for_bit_by_bit(shuffle):
    X, T = gn.data.spiral()
    looped, called = net("native"), net("native")
    losses = looped.loop(
        {"x": X, "t": T}, 30, epochs=2, shuffle=None if shuffle is None else np.tile(np.arange(300), (2, 1))
    )
    by_hand = [[float(called(x=X[i : i + 30], t=T[i : i + 30])) for i in range(0, 300, 30)] for _ in range(2)]
    np.testing.assert_array_equal(losses, by_hand)
    for name, value in looped.state.items():
        np.testing.assert_array_equal(value, called.state[name])


def test_the_same_bits_however_a_loop_is_cut(monkeypatch):
    """Whether the driver runs one step at a time or all at once, and whatever is pulled ahead."""
    X, T = gn.data.spiral()
    whole = net("native").loop({"x": X, "t": T}, 30, epochs=6, shuffle=0)
    monkeypatch.setattr(loops, "next_budget", lambda budget, took: 1)
    stepwise = net("native").loop({"x": X, "t": T}, 30, epochs=6, shuffle=0)
    np.testing.assert_array_equal(whole, stepwise)
    monkeypatch.undo()
    f = net("native")
    watched = [f.loop({"x": X, "t": T}, 30, epochs=1, shuffle=0) for _ in range(6)]
    np.testing.assert_array_equal(np.concatenate(watched), whole)


def test_calls_and_loops_take_turns():
    """A loop moves the addresses of inputs through its data; a call finds them in the arena again."""
    x, scale = gn.Input("x", ("N", 2)), gn.Input("scale", (2,))
    f = gn.compile(gn.Sum(x * scale), backend="native")
    assert f(x=np.ones((4, 2)), scale=[1, 3]) == 16
    np.testing.assert_array_equal(f.loop({"x": np.ones((5, 2)), "scale": [1, 4]}, 2, 2), [[10, 10, 5]] * 2)
    assert f(x=np.ones((4, 2)), scale=[1, 3]) == 16
    np.testing.assert_array_equal(f.loop({"x": np.ones((5, 2)), "scale": [1, 4]}, 2, 1, shuffle=0), [[10, 10, 5]])


def test_scalar_outputs_of_any_kind_are_recorded():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    outputs = {"total": gn.Sum(x), "count": gn.Sum(x > 1.5), "w": w, "any": gn.Max(x) > 2.5, "rows": x}
    f = gn.compile(outputs, {w: w + 1}, backend="native")
    records = f.loop({"x": np.arange(4.0)}, 2, 2)
    np.testing.assert_array_equal(records["total"], [[1, 5]] * 2)
    np.testing.assert_array_equal(records["count"], [[0, 2]] * 2)
    np.testing.assert_array_equal(records["w"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(records["any"], [[False, True]] * 2)
    assert list(records) == ["total", "count", "w", "any"]


def test_a_loss_that_is_not_finite_leaves_the_last_good_step():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    loss = gn.Sum(gn.Log(x) + w)
    f = gn.compile(loss, gn.SGD(lr=0.25).updates(loss), backend="native")
    with pytest.raises(gn.NonFiniteError, match="epoch 1, batch 3"):
        f.loop({"x": [1.0, 1.0, 0.0, 1.0]}, 1)
    assert w.value == 0.5


def test_labels_that_are_computed_stop_a_loop():
    t, w = gn.Input("t", ("N",), dtype="int64"), gn.Parameter("w", 0.0)
    loss = gn.Sum(gn.OneHot(t - 1, 3)) * w
    f = gn.compile(loss, gn.SGD(lr=1.0).updates(loss), backend="native")
    with pytest.raises(gn.LabelError, match="is 3, but labels of 3 classes"):
        f.loop({"t": np.array([1, 2, 3, 4])}, 1)


def test_ctrl_c_leaves_parameters_at_a_completed_step_within_a_fifth_of_a_second():
    f = net("native")
    X, T = gn.data.spiral()
    f.loop({"x": X, "t": T}, 30)
    pressed = []

    def press():
        pressed.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.4, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        f.loop({"x": X, "t": T}, 30, epochs=10_000_000)
    assert time.process_time() - pressed[0] < 0.2  # of this process: the machine may be busy with others
    assert all(np.isfinite(value).all() for value in f.state.values())
    before = f.state["W1"]
    assert np.isfinite(f.loop({"x": X, "t": T}, 30)).all()
    assert not np.array_equal(before, f.state["W1"])


def test_another_thread_runs_while_a_loop_does():
    f = net("native")
    X, T = gn.data.spiral()
    ticks, done = [], threading.Event()

    def tick():
        while not done.wait(0.01):
            ticks.append(1)

    other = threading.Thread(target=tick)
    other.start()
    start = time.monotonic()
    f.loop({"x": X, "t": T}, 30, epochs=20_000)
    took = time.monotonic() - start
    done.set()
    other.join()
    assert took < 0.2 or len(ticks) > 2


def test_progress_is_told():
    f = net("native")
    X, T = gn.data.spiral()
    told = []
    f.loop({"x": X, "t": T}, 30, epochs=5, progress=told.append)
    assert told == [1, 2, 3, 4, 5]


def test_a_step_allocates_nothing_in_python():
    import tracemalloc

    f = net("native")
    X, T = gn.data.spiral()
    f.loop({"x": X, "t": T}, 30)
    peaks = []
    for epochs in (200, 400):
        tracemalloc.start()
        f.loop({"x": X, "t": T}, 30, epochs=epochs)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 200 * 10 * 8 + 5000  # the losses of 200 epochs more, and little else
