"""Draws in kernels: the numbers of NumPy's own program, in every bit, whatever their count; dropout in a loop."""

import numpy as np
import pytest
from same_bits import same_bits, without_numpy

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("seed", [0, 7, 2**33 + 5, 2**64 - 1])
def test_every_count_of_numbers(seed, dtype):
    for size in ((), (1,), (3, 21), (64,), (65,), (4, 1000)):
        with gn.scope("somewhere"):
            even = gn.Uniform(size, seed=seed, kind=dtype)
            between = gn.Uniform(size, low=-2.5, high=7.25, seed=seed, kind=dtype, step=even.step, stream=3)
        [one, other] = same_bits([even, between])
        assert ((one >= 0) & (one < 1)).all() and ((other >= -2.5) & (other <= 7.25)).all()


def test_both_draws_of_a_normal_and_every_step():
    step = gn.Input("step", (), dtype="int64")
    z = gn.Normal((1001,), seed=3, kind="float64", step=step)
    numpy, native = gn.compile(z), without_numpy(z)
    for n in (0, 1, 2**31, 2**32 + 1):
        np.testing.assert_allclose(native(step=n), numpy(step=n), rtol=1e-13, atol=1e-15)


def test_the_place_in_a_loop_counts():
    x, zero = gn.Input("x", ("T", 5), dtype="float64"), gn.Constant(np.zeros(5), dtype="float64")

    def turn(total, row):
        return total + row, row * gn.Uniform((5,), seed=1, kind="float64")

    _, ys = gn.Scan(turn, zero, x)
    value = np.ones((4, 5))
    found = gn.compile(ys, backend="native")(x=value)
    np.testing.assert_array_equal(found, gn.compile(ys)(x=value))
    assert len(np.unique(found)) == 20


def test_dropout_in_a_loop_without_numpy_drops_what_numpy_drops():
    x, t = gn.Input("x", ("N", 6)), gn.Input("t", ("N",), dtype="int64")
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(50, 6)), "t": rng.integers(0, 3, 50)}
    weights = rng.normal(size=(6, 3))
    losses = {}
    for backend in ("numpy", "native"):
        W = gn.Parameter("W", weights)
        loss = gn.SoftmaxCE(gn.Dropout(x, 0.5, seed=2) @ W, t)
        f = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend=backend)
        losses[backend] = f.loop(data, batch_size=16, epochs=3, shuffle=0)
    assert "every step has a kernel" in f.explain()
    np.testing.assert_allclose(losses["native"], losses["numpy"], rtol=1e-5)
