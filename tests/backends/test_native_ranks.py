"""Ranks in kernels: where extremes stand, and the best few in order, of any layout and dtype, as NumPy has them."""

import numpy as np
import pytest
from same_bits import same_bits, turned, without_numpy

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)
DTYPES = ["float16", "float32", "float64", "int8", "uint64", "bool"]


def many_equal(shape, dtype):
    """Values of which many are equal; among floats zeros of both signs, infinities and NaN."""
    if np.dtype(dtype).kind != "f":
        return RNG.integers(0, 4, shape).astype(dtype)
    return RNG.choice([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan], shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", [gn.ArgMax, gn.ArgMin])
def test_extremes(op, dtype):
    x = gn.Input("x", ("N", 3, "M"), dtype=dtype)
    flags = [{"last": last, "keepdims": keepdims} for last in (False, True) for keepdims in (False, True)]
    ways = [{"axis": axis, **how} for axis in (None, 0, 1, 2) for how in flags]
    outputs = [op(seen, **how) for how in ways for seen in (x, turned(x))]
    for shape in ((5, 3, 17), (1, 3, 1)):
        same_bits(outputs, x=many_equal(shape, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("largest", [True, False])
def test_the_best_few(largest, dtype):
    x = gn.Input("x", ("N", 6, "M"), dtype=dtype)
    outputs = [
        part
        for axis, k in ((0, 4), (1, 6), (2, 1), (2, 9), (1, 0))
        for seen in (x, turned(x))
        for part in gn.TopK(seen, k, 2 - axis if seen is not x else axis, largest)
    ]
    for shape in ((4, 6, 19), (4, 6, 9)):
        same_bits(outputs, x=many_equal(shape, dtype))


def test_the_gradient_flows_to_the_places():
    x = gn.Input("x", ("N", 8), dtype="float64")
    values, _ = gn.TopK(x, 3)
    first = gn.grad(gn.Sum(gn.Exp(values)), x)
    value = RNG.normal(size=(5, 8))
    same_bits([values], x=value)
    gn.testing.agree([first, gn.grad(gn.Sum(first * first), x)], {"x": value}, backends=("numpy", "native"))


def test_a_long_order_is_left_to_numpys_sort():
    x = gn.Input("x", ("N", 300))
    values, places = gn.TopK(x, 257)
    f = gn.compile([values, places], backend="native")
    assert "TopK" in f.explain() and "more than 256 elements of a line in order" in f.explain()
    value = RNG.normal(size=(2, 300)).astype("float32")
    np.testing.assert_array_equal(f(x=value)[0], np.sort(value, axis=1)[:, ::-1][:, :257])


def test_the_accuracy_of_the_best_few_in_a_loop_without_numpy():
    x, t = gn.Input("x", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    W = gn.Parameter("W", RNG.normal(size=(4, 10)))
    scores = x @ W
    _, places = gn.TopK(scores, 3)
    hits = gn.Mean(gn.Any(gn.Equal(places, gn.Reshape(t, (-1, 1))), axis=1).cast(np.dtype("float32")))
    loss = gn.SoftmaxCE(scores, t)
    f = without_numpy({"loss": loss, "hits": hits}, gn.SGD(lr=0.1).updates(loss))
    losses = f.loop({"x": RNG.normal(size=(40, 4)), "t": RNG.integers(0, 10, 40)}, batch_size=16, epochs=2)
    assert losses["hits"].shape == (2, 3) and ((losses["hits"] >= 0) & (losses["hits"] <= 1)).all()
