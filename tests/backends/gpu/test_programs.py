"""Programs of the CuPy backend, on the CPU as the device and on a GPU: training, shared state, errors, dtypes."""

import os
import sys

import numpy as np
import pytest

import graphnn as gn
import graphnn.runtime.loop
from graphnn.backends.cupy import device, folds, program

from .host_only import Shifted

BOTH = ("numpy", "cupy")


def net():
    x, t = gn.Input("x", ("N", 3)), gn.Input("t", ("N",), dtype="int64")
    w = gn.Parameter("w", np.linspace(-1, 1, 12).reshape(3, 4))
    v = gn.Parameter("v", np.linspace(1, -1, 8).reshape(4, 2))
    return gn.SoftmaxCE(gn.Tanh(x @ w) @ v, t), w, v


def feeds(rows=5):
    rng = np.random.default_rng(rows)
    return {"x": rng.normal(size=(rows, 3)), "t": rng.integers(0, 2, rows)}


def test_training_steps_are_those_of_numpy(cupy):
    results = {}
    for backend in BOTH:
        loss, w, v = net()
        step = gn.compile(loss, gn.Adam(lr=0.1).updates(loss), backend=backend)
        losses = [step(**feeds(rows)) for rows in (5, 7, 5, 1)]
        results[backend] = [np.array(losses), w.value, v.value]
    for one, other in zip(*results.values(), strict=True):
        np.testing.assert_allclose(one, other, 1e-5, 1e-6)


def test_programs_of_device_and_host_share_parameters(cupy):
    loss, w, _ = net()
    on_device = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend="cupy")
    on_host = gn.compile(loss, gn.SGD(lr=0.5).updates(loss))
    plain = [gn.compile(loss, backend=backend) for backend in BOTH]
    for step in (on_device, on_host, on_device, on_device, on_host, on_host, on_device):
        before = w.value
        step(**feeds())
        assert not np.array_equal(before, w.value)
        np.testing.assert_allclose(plain[0](**feeds()), plain[1](**feeds()), 1e-6)
    w.value = np.zeros((3, 4))
    assert np.isclose(plain[1](**feeds()), np.log(2))


def test_parameters_stay_on_the_device(world):
    loss, w, _ = net()
    step = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend="cupy")
    step(**feeds())
    copied = world.copied
    step(**feeds())
    assert world.copied - copied == 6  # the status, two inputs; the loss, and the status before and after updates
    w.value
    assert world.copied - copied == 7


def test_the_same_bits_every_time(cupy):
    loss, w, v = net()
    f = gn.compile([loss, *gn.grad(loss, [w, v])], backend="cupy")
    first, again = f(**feeds(300)), f(**feeds(300))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_exact_passes_keep_the_bits(cupy):
    loss, w, v = net()
    gn.testing.agree({"loss": loss, "dw": gn.grad(loss, w), "dv": gn.grad(loss, v)}, feeds(), BOTH)


def test_a_label_out_of_range(cupy):
    x, t = gn.Input("x", ("N", 3)), gn.Input("t", ("N",), dtype="int64")
    w = gn.Parameter("w", np.ones((3, 3)))
    loss = gn.SoftmaxCE(x @ w, t - 1)
    step = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend="cupy")
    before = w.value
    with pytest.raises(gn.LabelError, match=r"row 1 of Sub is -1, but labels of 3 classes lie in 0..2"):
        step(x=np.ones((3, 3)), t=[1, 0, 3])
    assert np.array_equal(w.value, before)
    step(x=np.ones((3, 3)), t=[1, 1, 3])


def test_a_loss_that_is_not_finite(cupy):
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 2.0)
    loss = gn.Sum(gn.Log(x * w))
    step = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend="cupy")
    with pytest.raises(gn.NonFiniteError, match="Log"):
        step(x=[1.0, -1.0])
    assert w.value == 2.0
    every = gn.compile(gn.Exp(x), backend="cupy", check_finite="all")
    with pytest.raises(gn.NonFiniteError, match="Exp"):
        every(x=[1.0, 1000.0])


def test_steps_without_a_kernel_run_on_numpy_and_are_named(cupy):
    x = gn.Input("x", ("N", 5))
    y = Shifted(gn.Exp(x))
    f = gn.compile([y * 2, y], backend="cupy")
    expected = gn.compile([y * 2, y])
    data = np.random.default_rng(0).normal(size=(4, 5))
    for one, other in zip(f(x=data), expected(x=data), strict=True):
        np.testing.assert_allclose(one, other, 1e-6)
    assert "1 steps run on NumPy" in f.explain() and "Shifted" in f.explain().split("== cupy")[1]


DTYPES = ["bool", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]


WIDE = ("uint8", "int16", "uint32", "uint64")
FEWER = [pytest.param(dtype, marks=pytest.mark.slow) if dtype in WIDE else dtype for dtype in DTYPES]


@pytest.mark.parametrize("dtype", FEWER)
def test_every_dtype(cupy, dtype):
    rng = np.random.default_rng(0)
    x, y = gn.Input("x", ("N", 5), dtype=dtype), gn.Input("y", ("N", 5), dtype=dtype)
    given = {"x": rng.integers(0, 2 if dtype == "bool" else 50, (7, 5)).astype(dtype), "y": np.ones((7, 5), dtype)}
    outputs = {"sum": x + y, "product": x * y, "larger": gn.Maximum(x, y), "less": x < y, "rows": gn.Sum(x, axis=1)}
    outputs |= {"columns": gn.Sum(x, axis=0), "most": gn.Max(x), "chosen": gn.Where(x > y, x, y)}
    outputs |= {f"as_{to}": x.astype(to) for to in DTYPES}
    if dtype != "bool":
        outputs |= {"difference": x - y, "negative": -x, "matmul": x @ y.T, "size": gn.Abs(x), "rest": x % (y + y)}
        outputs["quotient"] = x / y
    tolerance = 2e-3 if dtype == "float16" else 1e-6
    gn.testing.agree(outputs, given, BOTH, rtol=tolerance, atol=0)


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 1), (0, 2), (1, 2)])
def test_folds_of_long_and_short_axes(cupy, axis):
    rng = np.random.default_rng(0)
    x = gn.Input("x", ("N", "M", 3), dtype="float32")
    f = gn.compile([gn.Sum(x, axis), gn.Max(x, axis), gn.Sum(x.transpose((2, 0, 1)))], backend="cupy")
    for shape in ((1, 1, 3), (4, 100, 3), (70, 2, 3), (1, 3000, 3), (600, 40, 3)):
        value = rng.normal(size=shape).astype(np.float32)
        total, most, _ = f(x=value)
        np.testing.assert_allclose(total, np.sum(value, axis, dtype=np.float64), rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(most, np.max(value, axis))


@pytest.mark.parametrize("axis", [None, 0, (0, 1), (1, 2)])
def test_large_sums_are_made_of_parts_in_one_order(cupy, monkeypatch, axis):
    rng = np.random.default_rng(0)
    x = gn.Input("x", ("N", "M", 3), dtype="float32")
    outputs = {"sum": gn.Sum(x, axis), "most": gn.Max(x, axis), "mean": gn.Mean(x.cast("float16"), axis)}
    value = rng.normal(size=(90, 41, 3)).astype(np.float32)
    whole = gn.compile(outputs, backend="cupy", passes="none")(x=value)
    monkeypatch.setattr(folds, "PART", 80)
    monkeypatch.setattr(folds, "BUSY", 64)
    f = gn.compile(outputs, backend="cupy", passes="none")
    parted, again = f(x=value), f(x=value)
    for name, close in (("sum", 1e-5), ("most", 0), ("mean", 2e-3)):
        np.testing.assert_array_equal(parted[name], again[name])
        np.testing.assert_allclose(parted[name], whole[name], close, close, err_msg=name)
    orders = [np.array_equal(parted["sum"], whole["sum"]), axis in (0, (1, 2))]
    assert orders[0] == orders[1]  # another order where few results have many elements


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(cupy, precision):
    losses = []
    for backend in BOTH:
        loss, _, _ = net()
        step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend=backend, precision=precision)
        losses.append([step(**feeds()) for _ in range(3)])
    np.testing.assert_allclose(losses[0], losses[1], 1e-4)


def test_dropout_draws_the_numbers_of_numpy(cupy):
    x = gn.Input("x", ("N", 50))
    y = gn.Dropout(x, 0.5, seed=3)
    drawn = [gn.compile(y, backend=backend)(x=np.ones((20, 50))) for backend in BOTH]
    np.testing.assert_array_equal(*drawn)


def test_results_may_stay_on_the_device(cupy):
    x, w = gn.Input("x", ("N", 3)), gn.Parameter("w", np.arange(3.0))
    outputs = {"y": x * w, "turned": gn.Transpose(x * w), "old": w, "total": gn.Sum(x), "fixed": gn.Constant([1.0])}
    f = gn.compile(outputs, {w: w + 1}, backend="cupy")
    given = {"x": np.arange(6.0).reshape(2, 3)}
    stayed = f.on_device(**given)
    w.value = np.arange(3.0)
    for name, value in f(**given).items():  # which writes the arena anew
        assert stayed[name].shape == value.shape
        np.testing.assert_array_equal(stayed[name].get(), value, err_msg=name)


def test_what_stays_is_taken_by_dlpack(world):
    x = gn.Input("x", ("N", 3))
    stayed = gn.compile(gn.Exp(x).T, backend="cupy").on_device(x=np.zeros((2, 3)))
    np.testing.assert_array_equal(np.from_dlpack(stayed), np.ones((3, 2)))


def test_memory_that_the_device_does_not_have(world):
    x, w = gn.Input("x", ("N", 1000)), gn.Parameter("w", np.ones(1000))
    f = gn.compile(gn.Exp(x * w), backend="cupy")
    f(x=np.ones((1, 1000)))
    world.capacity = 100_000
    with pytest.raises(gn.BackendError, match=r"cupy: there is not enough memory for N=100: the arena takes 7.* KiB.*"):
        f(x=np.ones((100, 1000)))
    world.capacity = None
    assert f(x=np.ones((1, 1000))).shape == (1, 1000)


def test_data_of_a_loop_and_results_that_the_device_does_not_hold(world):
    x, w = gn.Input("x", ("N", 100)), gn.Parameter("w", np.ones(100))
    f = gn.compile({"y": gn.Exp(x * w), "total": gn.Sum(x)}, {w: w + 1}, backend="cupy")
    f(x=np.ones((10, 100)))
    world.capacity = 3_000
    with pytest.raises(gn.BackendError, match=r"the arena takes 7.* KiB, and all samples with .* 374.* KiB\. The"):
        f.loop({"x": np.ones((100, 100))}, 10)
    with pytest.raises(gn.BackendError, match=r"and copies of the results 3\.9 KiB.* parameters are as they were"):
        f.on_device(x=np.ones((10, 100)))
    np.testing.assert_array_equal(w.value, np.full(100, 2.0))


def test_a_device_without_room_for_the_workspace(world):
    world.capacity = 1 << 20
    with pytest.raises(gn.BackendError, match=r"cupy: the GPU has not enough free memory for the 32 MiB of the works"):
        gn.compile(gn.Constant(1.0), backend="cupy")


def test_memory_is_what_the_device_gives_to_the_byte(world, monkeypatch):
    for where in (program, graphnn.runtime.loop):
        monkeypatch.setattr(where, "AHEAD_STEPS", 16)
    batch = 8
    x, t = gn.Input("x", ("N", 30)), gn.Input("t", ("N",), dtype="int64")
    w, v = gn.Parameter("w", np.ones((30, 300))), gn.Parameter("v", np.ones((300, 3)))
    loss = gn.SoftmaxCE(gn.ReLU(x @ w) @ v, t)
    f = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend="cupy")
    said = f.memory(N=batch, samples=64)
    assert f"workspace{said.workspace:>15}" in str(said) and said.workspace == (32 << 20) + 16
    data = {"x": np.ones((64, 30)), "t": np.zeros(64, int)}
    f(x=data["x"][:batch], t=data["t"][:batch])
    held = sum(memory.size for memory in world.live.values())
    written = said.total - said.loop - held  # constants that stand in the text of kernels, and take no memory there
    assert 0 <= written < said.constants
    world.most = 0
    f.loop(data, batch, epochs=3, shuffle=0)
    copies = sum(p.storage.nbytes for p in f.graph.updates)  # on the host
    assert world.most == said.total - written - copies


def test_a_gpu_that_fails_is_an_error_in_a_sentence(world, monkeypatch):
    f = gn.compile(gn.Exp(gn.Input("x", ("N",))), backend="cupy")
    f(x=[1.0])

    def fail(*arguments):
        raise sys.modules["cupy"].cuda.runtime.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access")

    monkeypatch.setattr(sys.modules["cupy"].cuda.runtime, "memcpyAsync", fail)
    with pytest.raises(gn.BackendError, match="cupy: the GPU failed: cudaErrorIllegalAddress: an illegal memory"):
        f(x=[1.0])


def test_a_replay_that_fails_is_an_error_in_a_sentence(world):
    def fail():
        raise sys.modules["cupy"].cuda.runtime.CUDARuntimeError("cudaErrorLaunchFailure: unspecified")

    replay = device.open_device().capture(lambda: world.launch(fail))
    with pytest.raises(gn.BackendError, match="cupy: the GPU failed: cudaErrorLaunchFailure: unspecified"):
        replay()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_is_refused_with_what_to_do(world, monkeypatch):
    f = gn.compile(gn.Constant(1.0) + gn.Input("x", ()), backend="cupy")
    f(x=1.0)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(gn.BackendError, match="after a fork of the process that opened it: start processes with"):
        f(x=1.0)


def test_source_and_profile(cupy):
    loss, w, _ = net()
    step = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend="cupy")
    before = w.value
    profile = step.profile(**feeds())
    assert len(profile.seconds) == len(step.plan.steps) and np.array_equal(before, w.value)
    assert "__global__" in step.source and "// " in step.source
    with pytest.raises(gn.BackendError, match=r"see f\.source"):
        step.assembly


def test_another_batch_size_needs_no_other_kernel(world):
    x, t = gn.Input("x", ("N", 5, 3)), gn.Input("t", ("N",), dtype="int64")
    w, v = gn.Parameter("w", np.ones((3, 4))), gn.Parameter("v", np.ones((4, 3)))
    (h,) = gn.Scan(lambda h, xt: (gn.Tanh(xt @ w + h), None), x[:, 0] @ w, gn.Transpose(x, (1, 0, 2)))
    loss = gn.SoftmaxCE(h @ v, t - 1)
    f = gn.compile(loss, gn.Adam().updates(loss), backend="cupy", check_finite="all")
    counts = []
    for rows in (4, 7, 20):
        f(x=np.ones((rows, 5, 3)), t=np.ones(rows, int))
        counts.append(len(world.library.texts))
    assert len(set(counts)) == 1
