"""Orders in kernels: the best few of lines, and all of them, of any layout and dtype, as NumPy sorts them stably."""

import numpy as np
import pytest
from same_bits import many_equal, same_bits, turned, without_numpy

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)
DTYPES = ["float16", "float32", "float64", "int8", "uint64", "bool"]


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
        same_bits(outputs, x=many_equal(RNG, shape, dtype))


def test_the_gradient_flows_to_the_places():
    x = gn.Input("x", ("N", 8), dtype="float64")
    values, _ = gn.TopK(x, 3)
    first = gn.grad(gn.Sum(gn.Exp(values)), x)
    value = RNG.normal(size=(5, 8))
    same_bits([values], x=value)
    gn.testing.agree([first, gn.grad(gn.Sum(first * first), x)], {"x": value}, backends=("numpy", "native"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_in_order(dtype):
    x = gn.Input("x", ("N", 700), dtype=dtype)
    ways = [(k, largest) for k in (257, 700) for largest in (True, False)]
    outputs = [part for k, largest in ways for part in gn.TopK(x, k, 1, largest)]
    ordered = np.sort(many_equal(RNG, (2, 700), dtype), axis=1)
    for value in (many_equal(RNG, (3, 700), dtype), ordered, ordered[:, ::-1]):
        same_bits(outputs, x=value)


@pytest.mark.parametrize("results", [(0,), (1,)])
def test_values_or_places_alone(results):
    x = gn.Input("x", ("N", 30))
    [best] = gn.TopK(x, 20, results=results)
    same_bits([best], x=many_equal(RNG, (4, 30), "float32"))


def test_every_pattern_of_bits_in_order():
    halves = np.arange(1 << 16, dtype="uint16").view("float16")
    x = gn.Input("x", (1 << 16,), dtype="float16")
    outputs = [part for largest in (True, False) for part in gn.TopK(x, 1 << 16, largest=largest)]
    same_bits(outputs, x=RNG.permutation(halves))


def test_the_memory_of_an_order_is_known_before_the_run():
    for dtype, words in (("float32", 1), ("float64", 2)):
        values, places = gn.TopK(gn.Input("x", (400,), dtype=dtype), 320)
        memory = gn.compile([values, places], backend="native").memory()
        itemsize = np.dtype(dtype).itemsize
        assert memory.arena == 400 * itemsize + 320 * (itemsize + 8 + 8 * words)


def test_a_line_whose_places_are_too_many_is_left_to_numpy():
    x = gn.Repeat(gn.Input("x", (1,)), 1 << 32, axis=0)
    f = gn.compile(list(gn.TopK(x, 2)), backend="native")
    assert "a line of 4294967296 elements or more" in f.explain()


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
