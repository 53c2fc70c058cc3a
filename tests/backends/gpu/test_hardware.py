"""What only hardware shows: captures of products, races, memory that runs out, a fork. Asked for by `pytest -m gpu`.

What can be, runs in the ordinary tests too, with the CPU as the device and the stand-in as the library, so that these
tests are known to run before they meet a GPU.
"""

import multiprocessing
import os

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.cupy import device, site

from .conftest import real_gpu
from .lt_stand_in import Lt

BOTH = ("numpy", "cupy")
gpu = pytest.mark.gpu


@pytest.fixture
def size(cupy, request, monkeypatch):
    """How large to be: so that the library multiplies, which on the CPU is its stand-in, and from the first element."""
    if cupy == "gpu":
        return 256
    made = Lt(request.getfixturevalue("world"))
    monkeypatch.setattr(device, "load", lambda: made)
    monkeypatch.setattr(site, "LARGE", 1)
    return 6


def wide(size, backend="cupy", precision=None):
    """A net whose products are the library's, and data for it."""
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", size)), gn.Input("t", ("N",), dtype="int64")
    w = gn.Parameter("w", rng.normal(size=(size, size)) / size**0.5)
    b, v = gn.Parameter("b", np.zeros(size)), gn.Parameter("v", rng.normal(size=(size, 10)) / size**0.5)
    loss = gn.SoftmaxCE(gn.ReLU(gn.Affine(x, w, b)) @ v, t)
    step = gn.compile(loss, gn.SGD(lr=0.05).updates(loss), backend=backend, precision=precision)
    rows = 4 * size
    return step, {"x": rng.normal(size=(rows, size)).astype("float32"), "t": rng.integers(0, 10, rows)}


@pytest.mark.parametrize("precision", [None, "tf32", "bf16"])
def test_captured_products_have_the_bits_of_single_ones(size, precision):
    (looped, data), (called, _) = wide(size, precision=precision), wide(size, precision=precision)
    losses = looped.loop(data, size, epochs=3)
    parts = [slice(start, start + size) for start in range(0, 4 * size, size)]
    by_hand = [[called(x=data["x"][part], t=data["t"][part]) for part in parts] for _ in range(3)]
    assert "0 products are by cuBLASLt" not in looped.explain()
    np.testing.assert_array_equal(losses, by_hand)
    for name, value in called.state.items():
        np.testing.assert_array_equal(looped.state[name], value, err_msg=name)


def test_stacks_and_halves_and_odd_addresses(size):
    rng = np.random.default_rng(0)
    for dtype, close in (("float32", 1e-4), ("float16", 2e-2)):
        x, w = gn.Input("x", ("B", "N", size), dtype=dtype), gn.Input("w", ("B", size, size), dtype=dtype)
        outputs = [x @ w, x[:, :, 1:] @ w[:, 1:], x.transpose((0, 2, 1)) @ x, x[1, 1:] @ w[0]]
        feeds = {"x": rng.normal(size=(3, size, size)), "w": rng.normal(size=(3, size, size)) / size**0.5}
        feeds = {name: value.astype(dtype) for name, value in feeds.items()}
        gn.testing.agree(outputs, feeds, BOTH, passes=["none"], rtol=close, atol=close)


def test_many_runs_have_the_same_bits(size):
    """A race between threads would show as bits that change."""
    x = gn.Input("x", ("N", "M"))
    y = gn.Softmax(x @ x.T)
    best, places = gn.TopK(y, 3)
    _, sums = gn.Scan(lambda c, row: (c + row, gn.Sum(gn.Tanh(c + row))), x[0] * 0, x)
    outputs = [y, gn.Sum(y), gn.Sum(x, axis=0), gn.Max(x, axis=1), best, places, sums, gn.grad(gn.Sum(y * y), x)]
    f = gn.compile(outputs, backend="cupy")
    given = np.random.default_rng(0).normal(size=(8 * size, 5 * size)).astype("float32") / size
    first = f(x=given)
    for _ in range(200 if size > 100 else 2):
        for one, other in zip(f(x=given), first, strict=True):
            np.testing.assert_array_equal(one, other)


def rectified(size, backend, precision=None):
    """A large product under ReLU with its gradients, and how many elements its factors have."""
    rows, inner, columns = (1024, 512, 4096) if size > 100 else (16, 6, 128)
    rng = np.random.default_rng(0)
    x, g = gn.Input("x", ("N", inner)), gn.Input("g", ("N", 64))
    w = gn.Parameter("w", 1.0 * rng.integers(-2, 3, (inner, columns)))
    b = gn.Parameter("b", np.arange(columns) % 3 - 1.0)
    v = gn.Constant(rng.integers(-2, 3, (columns, 64)).astype("float32"))
    y = gn.ReLU(gn.Affine(x, w, b))
    f = gn.compile([y, *gn.grad(gn.Sum(y @ v * g), [w, b])], backend=backend, precision=precision)
    return f, {"x": (rows, inner), "g": (rows, 64)}


@pytest.mark.parametrize("precision", [None, "tf32", "bf16"])
def test_relu_and_its_gradient_are_those_of_numpy_whoever_computes_them(size, precision):
    """Of whole numbers, which every precision has; with zeros, and a row of NaN, among what ReLU reads."""
    f, shapes = rectified(size, "cupy", precision)
    expected, _ = rectified(size, "numpy")
    rng = np.random.default_rng(1)
    given = {name: rng.integers(-2, 3, shape).astype("float32") for name, shape in shapes.items()}
    given["x"][::5] = 0  # the bias alone comes of it, which is 0 for every third column
    for one, other in zip(f(**given), expected(**given), strict=True):
        np.testing.assert_array_equal(one, other)
    given["x"][-1, -1] = np.nan
    for one, other in list(zip(f(**given), expected(**given), strict=True))[::2]:  # the result, and the bias's gradient
        np.testing.assert_array_equal(one, other)
    print(f.explain().split("== cupy")[1])  # who did it, and why nobody else: to be seen with pytest -s


def test_columns_that_a_product_adds_up_have_the_same_bits_every_time(size):
    f, shapes = rectified(size, "cupy")
    rng = np.random.default_rng(1)
    given = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    first = f(**given)
    for _ in range(100 if size > 100 else 2):
        for one, other in zip(f(**given), first, strict=True):
            np.testing.assert_array_equal(one, other)


@gpu
def test_a_gpu_that_is_full_says_so_and_goes_on():
    with real_gpu():
        x = gn.Input("x", ("N", 1 << 20))
        f = gn.compile(gn.Sum(gn.Exp(x)), backend="cupy")
        with pytest.raises(gn.BackendError, match="there is not enough memory for N=1000000: the arena takes"):
            f._program.bound({"N": 1_000_000})
        assert np.isfinite(f(x=np.zeros((1, 1 << 20))))


def _in_a_fork(pipe):
    try:
        gn.compile(gn.Constant(1.0) + gn.Input("x", ()), backend="cupy")(x=1.0)
        pipe.send("it ran")
    except gn.BackendError as error:
        pipe.send(str(error))


@gpu
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_by_fork_is_refused_and_the_parent_goes_on():
    with real_gpu():
        f = gn.compile(gn.Constant(1.0) + gn.Input("x", ()), backend="cupy")
        assert f(x=1.0) == 2.0
        mine, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_in_a_fork, args=(theirs,))
        child.start()
        assert mine.poll(60) and "a GPU cannot be used after a fork" in mine.recv()
        child.join()
        assert f(x=2.0) == 3.0


@gpu
def test_a_cache_that_cannot_be_written_is_one_sentence(run_python):
    with real_gpu():
        said = run_python(
            "import graphnn as gn; print(gn.backends()['cupy'])",
            CUPY_CACHE_DIR="/proc/nowhere",
            CUPY_CACHE_IN_MEMORY="0",
        )
        assert said.count("\n") == 1 and "CUPY_CACHE_DIR" in said


@gpu
def test_the_device_gives_what_memory_says():
    with real_gpu():
        cupy = pytest.importorskip("cupy")
        step, data = wide(256)
        said = step.memory(N=256, samples=1024)
        pool = cupy.get_default_memory_pool()
        before = pool.used_bytes()
        step(x=data["x"][:256], t=data["t"][:256])
        taken = pool.used_bytes() - before
        expected = said.total - said.loop - said.workspace
        assert expected - said.constants <= taken <= expected + 512 * 32  # the pool rounds up to 512 bytes


@gpu
def test_torch_takes_what_stays_on_the_device():
    torch = pytest.importorskip("torch")
    with real_gpu():
        x = gn.Input("x", ("N", 3))
        stayed = gn.compile(gn.Exp(x).T, backend="cupy").on_device(x=np.zeros((2, 3)))
        tensor = torch.from_dlpack(stayed)
        assert tensor.is_cuda and tensor.cpu().numpy().tolist() == [[1, 1]] * 3
