"""Loops: batches, orders, records, allocation, interruption."""

import os
import signal
import threading
import time
import tracemalloc

import numpy as np
import pytest

import graphnn as gn


def averaging(lr=0.1):
    """A program that learns the mean of x, with the sum of the batch on record."""
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 0.0)
    loss = gn.Mean((x - w) ** 2)
    return gn.compile({"loss": loss, "total": gn.Sum(x)}, gn.SGD(lr=lr).updates(loss)), w


def test_records_are_epochs_by_steps_and_the_odd_last_batch_counts():
    f, _ = averaging()
    records = f.loop({"x": np.arange(7.0)}, batch_size=3, epochs=2)
    np.testing.assert_array_equal(records["total"], [[3, 12, 6], [3, 12, 6]])
    assert f.loop({"x": np.arange(7.0)}, batch_size=3, drop_last=True)["total"].shape == (1, 2)


def test_a_loop_is_the_calls_it_stands_for():
    data, orders = (
        np.random.default_rng(0).normal(size=25),
        [np.random.default_rng(e).permutation(25) for e in range(3)],
    )
    looped, w = averaging()
    losses = looped.loop({"x": data}, batch_size=4, epochs=3, shuffle=np.array(orders))["loss"]
    called, v = averaging()
    by_hand = [[float(called(x=data[o[i : i + 4]])["loss"]) for i in range(0, 25, 4)] for o in orders]
    np.testing.assert_array_equal(losses, np.array(by_hand, np.float32))
    assert w.value == v.value


def test_seeded_orders_are_functions_of_seed_and_epoch():
    def totals(seed, *loops):
        f, _ = averaging()
        return np.concatenate([f.loop({"x": np.arange(9.0)}, 2, epochs, shuffle=seed)["total"] for epochs in loops])

    np.testing.assert_array_equal(totals(1, 4), totals(1, 1, 3))  # counted over the program's life
    assert not np.array_equal(totals(1, 4), totals(2, 4))
    assert len(np.unique(totals(1, 4), axis=0)) == 4


def test_a_legacy_generator_permutes_the_order_of_the_epoch_before():
    f, _ = averaging()
    data = np.arange(6.0)
    got = f.loop({"x": data}, 1, 3, shuffle=np.random.RandomState(7))["total"]
    rng = np.random.RandomState(7)
    for row in got:
        data = data[rng.permutation(6)]
        np.testing.assert_array_equal(row, data)


def test_a_generator_draws_an_order_an_epoch():
    f, _ = averaging()
    got = f.loop({"x": np.arange(6.0)}, 1, 2, shuffle=np.random.default_rng(3))["total"]
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(got, [rng.permutation(6), rng.permutation(6)])


def test_unshuffled_batches_are_slices(monkeypatch):
    from graphnn.backends.numpy import loop as backend

    monkeypatch.setattr(backend.Loop, "_gather", lambda *a: pytest.fail("gathered"))
    f, _ = averaging()
    f.loop({"x": np.arange(6.0)}, 2)


def test_samples_beyond_one_gather(monkeypatch):
    from graphnn.backends.numpy import loop as backend

    monkeypatch.setattr(backend, "GATHER_BYTES", 24)  # six float32 samples at a time
    f, _ = averaging()
    got = f.loop({"x": np.arange(17.0)}, 3, 2, shuffle=0)["total"]
    np.testing.assert_allclose(got.sum(axis=1), [136, 136])


def test_inputs_without_the_batch_size_stay_the_same():
    x, scale = gn.Input("x", ("N", 2)), gn.Input("scale", (2,))
    f = gn.compile(gn.Sum(x * scale))
    np.testing.assert_array_equal(f.loop({"x": np.ones((4, 2)), "scale": [1, 3]}, 2), [[8, 8]])


def test_values_fed_whole_stay_when_the_odd_batch_has_used_the_arena():
    x, scale = gn.Input("x", ("N", 20)), gn.Input("scale", (20,))
    f = gn.compile(gn.Sum(gn.Exp(gn.Exp(x) * scale) * gn.Exp(x)))
    data = {"x": np.zeros((70, 20)), "scale": np.zeros(20)}
    np.testing.assert_array_equal(f.loop(data, 30, 3), [[600, 600, 200]] * 3)


def nets():
    """Nets of several kinds, each with data that leaves an odd last batch."""
    rng = np.random.default_rng(0)
    x, w = gn.Input("x", ("N", 50)), gn.Parameter("w", rng.normal(0, 0.1, (50, 50)))
    data = {"x": rng.normal(size=(430, 50)).astype("float32")}
    t = gn.Input("t", ("N",), dtype="int64")
    labels = data | {"t": rng.integers(0, 50, 430)}
    b = gn.Parameter("b", np.zeros(50))
    yield "regression", gn.Mean(gn.Tanh(x @ w) ** 2), data
    yield "classes", gn.SoftmaxCE(gn.Affine(gn.Sigmoid(gn.Affine(x, w, b)), w, b), t), labels
    yield "views", gn.Mean(gn.Sigmoid(x.T).T.reshape(("N", 5, 10)) * w.reshape((1, 5, 500))[:, :, :10]), data
    yield "rows", gn.Mean(gn.Exp(x - gn.Max(x, axis=1, keepdims=True)) @ w), data


@pytest.mark.parametrize("which", range(4), ids=["regression", "classes", "views", "rows"])
@pytest.mark.parametrize("shuffle", [None, 0])
def test_a_step_allocates_no_array(which, shuffle):
    _, loss, data = list(nets())[which]
    f = gn.compile(loss, gn.SGD().updates(loss))
    f.loop(data, batch_size=100, epochs=1, shuffle=shuffle)  # its first run of each size is checked, in copies
    peaks = []
    for epochs in (1, 20):
        tracemalloc.start()
        f.loop(data, batch_size=100, epochs=epochs, shuffle=shuffle)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # One batch's intermediate is 20,000 bytes: nineteen more epochs add less than one of them.
    assert peaks[1] - peaks[0] < 15_000


def test_the_odd_last_batch_uses_the_same_arena():
    _, loss, data = next(iter(nets()))
    f = gn.compile(loss, gn.SGD().updates(loss))
    f.loop(data, batch_size=100, epochs=2)
    arena = f._program._bindings.block.memory
    assert {bound.sizes["N"] for bound in f._program._bindings} == {100, 30}
    assert all(bound.arena is arena for bound in f._program._bindings)
    assert arena.nbytes == f.memory(N=100).arena


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"data": {"x": []}, "batch_size": 2}, gn.FeedError, "nothing to train on"),
        ({"data": {"x": [1.0]}, "batch_size": 2, "drop_last": True}, gn.FeedError, "fewer than one batch of 2"),
        ({"data": {"x": [1.0]}, "batch_size": 0}, gn.FeedError, "batch_size is 0"),
        ({"data": {"x": [1.0]}, "batch_size": 1, "epochs": -1}, gn.FeedError, "epochs is -1"),
        ({"data": {"x": [1.0]}, "batch_size": 1, "shuffle": "yes"}, gn.FeedError, "shuffle is str"),
        ({"data": {"x": [1.0]}, "batch_size": 1, "shuffle": np.array([[1]])}, gn.FeedError, "outside 0..0"),
        ({"data": {"x": [1.0]}, "batch_size": 1, "shuffle": np.array([0])}, gn.FeedError, r"of shape \(1, 1\)"),
        ({"data": {}, "batch_size": 1}, gn.FeedError, "not fed: 'x'"),
        ({"data": [[1.0]], "batch_size": 1}, gn.FeedError, "as in {'x': ...}, not list"),
        ({"data": {"x": [[1.0]]}, "batch_size": 1}, gn.ShapeError, "the number of axes differs"),
    ],
)
def test_refusals(arguments, error, says):
    f, w = averaging()
    with pytest.raises(error, match=says):
        f.loop(**arguments)
    assert w.value == 0


def test_different_lengths_are_named():
    x, y = gn.Input("x", ("N",)), gn.Input("y", ("N",))
    with pytest.raises(gn.FeedError, match="'x' has 3, 'y' has 2"):
        gn.compile(gn.Sum(x * y)).loop({"x": [1, 2, 3], "y": [1, 2]}, 1)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_batch_size_along_another_axis_has_to_fit_every_batch(backend):
    """Kernels would read beyond an array whose shape is not that of the batch."""
    if gn.backends()[backend] != "ok":
        pytest.skip(gn.backends()[backend])
    x, mask, pairs = gn.Input("x", ("N",)), gn.Input("mask", ("N", "N")), gn.Input("pairs", (2 * gn.Size("N"),))
    attended = gn.compile(gn.Sum(mask @ x), backend=backend)
    for samples, width, batch in ((6, 6, 3), (7, 3, 3)):  # no batch fits, and the last does not
        with pytest.raises(gn.ShapeError, match=r"'mask' f32\[N, N\] .* Axis 1 is N, which is \d in a batch of \d"):
            attended.loop({"x": np.ones(samples), "mask": np.ones((samples, width))}, batch)
    assert attended.loop({"x": np.ones(6), "mask": np.ones((6, 3))}, 3).tolist() == [[9, 9]]
    with pytest.raises(gn.ShapeError, match="Axis 0 is 2N, which is 6 in a batch of 3"):
        gn.compile(gn.Sum(pairs) * gn.Sum(x), backend=backend).loop({"x": np.ones(6), "pairs": np.ones(12)}, 3)


def test_an_iterator_has_an_order_for_each_epoch():
    f, _ = averaging()
    with pytest.raises(gn.FeedError, match="shuffle ends after 1 orders, but 3 epochs need one each"):
        f.loop({"x": np.ones(4)}, 2, epochs=3, shuffle=iter([np.arange(4)]))


def test_a_program_runs_one_loop_at_a_time():
    f, _ = averaging()
    refused = []

    def beside():
        with pytest.raises(gn.BackendError, match="this program is running a loop already"):
            f.loop({"x": np.ones(4)}, 2)
        refused.append(True)

    def inside(epoch):
        thread = threading.Thread(target=beside)
        thread.start()
        thread.join()
        beside()

    f.loop({"x": np.ones(4)}, 2, progress=inside)
    assert refused == [True, True]
    f.loop({"x": np.ones(4)}, 2)  # and another one afterwards


def test_a_loss_that_is_not_finite_names_epoch_and_step():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    loss = gn.Sum(gn.Log(x) * w)
    f = gn.compile(loss, gn.SGD(lr=0.0).updates(loss))
    with pytest.raises(gn.NonFiniteError, match=r"epoch 1, batch 3: Log f32\[N\] .* 'x' f32\[N\] \(.*\) is in 0..0"):
        f.loop({"x": [1.0, 1.0, 0.0, 1.0]}, 1)
    assert w.value == 1.0


def test_ctrl_c_leaves_parameters_at_a_completed_step():
    f, w = averaging(lr=1e-6)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        f.loop({"x": np.ones(100)}, batch_size=1, epochs=100_000)
    assert time.monotonic() - start < 3
    before = float(w.value)
    assert 0 < before < 1 and np.isfinite(before)
    f.loop({"x": np.ones(100)}, batch_size=1, epochs=1)  # and it goes on
    assert w.value > before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_progress_is_told():
    f, _ = averaging()
    told = []
    f.loop({"x": np.ones(4)}, 2, epochs=3, progress=told.append)
    assert told == [1, 2, 3]
