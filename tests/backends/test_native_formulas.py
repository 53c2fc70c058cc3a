"""Formulas in kernels: what has no instruction of its own, to the bit as NumPy has it."""

import numpy as np
import pytest
from same_bits import same_bits, turned, without_numpy

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "uint64"])
def test_powers_of_integers_wrap_around(dtype):
    limits = np.iinfo(dtype)
    x, y = (gn.Input(name, ("N", 21), dtype=dtype) for name in "xy")
    base = RNG.integers(limits.min, limits.max, (3, 21), dtype, endpoint=True)
    power = RNG.integers(0, 12, (3, 21)).astype(dtype)
    power[0, :3] = limits.max, 0, 1
    base[1, :3] = 0, 1, limits.min
    same_bits([x**y, turned(x) ** turned(y), x ** y[:, :1], 3**y, x**5, x**0], x=base, y=power)


def negative_power():
    """A program whose powers are fed, and what it is given: the one in the last place is negative."""
    x, y = (gn.Input(name, ("N", 9), dtype="int32") for name in "xy")
    power = np.full((5, 9), 2, "int32")
    power[-1, -1] = -1
    return gn.Sum(x**y), {"x": np.full((5, 9), 3, "int32"), "y": power}


def test_a_negative_power_of_integers_is_an_error_that_names_the_node():
    total, feeds = negative_power()
    f = without_numpy(total)
    with pytest.raises(
        gn.BackendError, match=r"native: Power i32\[N, 9\] \(test_native_formulas.py:\d+\) failed with N=5"
    ):
        f(**feeds)
    assert f(x=feeds["x"], y=feeds["y"] * 0) == 45  # and the program goes on


@pytest.mark.parametrize("shuffle", [None, 0])
def test_a_negative_power_stops_a_loop(shuffle):
    total, feeds = negative_power()
    f = without_numpy(total)
    with pytest.raises(gn.BackendError, match="Integers to negative integer powers are not allowed"):
        f.loop(feeds, batch_size=2, epochs=1, shuffle=shuffle)


def test_a_negative_power_inside_a_loop_of_the_program():
    x = gn.Input("x", ("N", 4), dtype="int64")
    (last,) = gn.Scan(lambda total, row: (total**row, None), np.full(4, 2), x)
    f = without_numpy(last)
    np.testing.assert_array_equal(f(x=np.full((3, 4), 2)), np.full(4, 256))
    with pytest.raises(gn.BackendError, match="Power"):
        f(x=np.array([[1, 1, 1, 1], [1, 1, 1, -1]]))
