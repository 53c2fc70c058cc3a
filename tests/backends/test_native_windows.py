"""Pooling in kernels: NumPy's results for windows written out and as loops, at edges, over any layout and dtype."""

import numpy as np
import pytest

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

WINDOWS = {
    "side by side": {"kernel": 2},
    "overlapping": {"kernel": 3, "stride": 1},
    "padded": {"kernel": (3, 2), "stride": 2, "padding": ((1, 1), (0, 1))},
    "dilated": {"kernel": 2, "stride": 1, "dilation": 3},
    "sticking out": {"kernel": 3, "stride": 2, "ceil_mode": True},
    "as loops": {"kernel": 5, "stride": 2, "padding": 2},
}
POOLS = (gn.MaxPool, gn.AveragePool)


def pooled(pool, how, x, turned=False):
    """The pooled images, their gradient, and the gradient of that."""
    images = gn.Transpose(x, (0, 1, 3, 2)) if turned else x
    y = pool(images, **how)
    weights = gn.Exp(y * 0.5)
    first = gn.grad(gn.Sum(weights), x)
    return {"y": y, "dx": first, "ddx": gn.grad(gn.Sum(first * first), x)}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("how", WINDOWS.values(), ids=WINDOWS)
def test_every_window_agrees_with_numpy(how, pool, turned):
    x = gn.Input("x", ("N", 3, 8, 7), dtype="float64")
    value = np.random.default_rng(0).integers(-3, 4, (4, 3, 8, 7)) / 2  # many maxima are equal
    numpy, native = (gn.compile(pooled(pool, how, x, turned), backend=b) for b in ("numpy", "native"))
    expected, found = numpy(x=value), native(x=value)
    assert "every step has a kernel" in native.explain()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-12)
    none = gn.compile(pooled(pool, how, x, turned), backend="native", passes="none")(x=value)
    exact = gn.compile(pooled(pool, how, x, turned), backend="native", passes="exact")(x=value)
    for name in none:
        np.testing.assert_array_equal(exact[name], none[name])


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint16", "int64"])
@pytest.mark.parametrize("how", WINDOWS.values(), ids=WINDOWS)
def test_the_largest_of_every_dtype(how, dtype):
    x = gn.Input("x", ("N", 3, 8, 7), dtype=dtype)
    value = np.random.default_rng(1).integers(0, 9, (2, 3, 8, 7)).astype(dtype)
    y = gn.MaxPool(x, **how)
    numpy, native = (gn.compile(y, backend=b)(x=value) for b in ("numpy", "native"))
    np.testing.assert_array_equal(native, numpy)


@pytest.mark.parametrize("how", WINDOWS.values(), ids=WINDOWS)
def test_nan_wins_and_has_no_gradient(how):
    x = gn.Input("x", ("N", 1, 8, 7), dtype="float32")
    value = np.random.default_rng(2).normal(size=(2, 1, 8, 7)).astype("float32")
    value[0, 0, 4, 3] = np.nan
    y = gn.MaxPool(x, **how)
    g = gn.Input("g", y.shape, dtype="float32")
    outputs = {"y": y, "dx": gn.MaxUnpool(g, x, y, **how)}
    numpy, native = (gn.compile(outputs, backend=b)(x=value, g=np.ones((2, *y.shape[1:]))) for b in ("numpy", "native"))
    assert np.isnan(numpy["y"]).any()
    for name in numpy:
        np.testing.assert_array_equal(native[name], numpy[name])


def test_equal_windows_share_a_kernel():
    x, z = gn.Input("x", ("N", 3, 8, 8)), gn.Input("z", ("N", 3, 8, 8))
    outputs = {"y": gn.MaxPool(x, 2), "again": gn.MaxPool(z, 2)}
    assert gn.compile(outputs, backend="native").source.count("MaxPool: 2 in a step") == 1
