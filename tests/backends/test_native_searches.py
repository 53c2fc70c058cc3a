"""Searches in kernels: lines of every length and layout, and what stands at either end of a block."""

import numpy as np
import pytest
from same_bits import same_bits, turned

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)
LENGTHS = (1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65, 129, 300)
FIXED = (3, 4, 10, 33, 64)
"""Lines whose size a kernel knows."""


def truths(x):
    return [gn.All(x, axis=1), gn.Any(x, axis=1, keepdims=True), gn.All(x), gn.Any(turned(x), axis=0)]


def places(x):
    return [op(x, axis=1, last=last) for op in (gn.ArgMax, gn.ArgMin) for last in (False, True)]


def lines(dtype, count):
    """Lines of one value but for one place, among floats NaN at another; some of one value, and of few."""
    low, high = (0, 1) if dtype == "bool" else (-np.inf, np.inf) if dtype.startswith("f") else _limits(dtype)
    made = [np.full(count, high, dtype), np.full(count, low, dtype)]
    for at in {0, count // 2, count - 1}:
        for usual, other in ((low, high), (high, low), (0, 1), (1, 0)):
            line = np.full(count, usual, dtype)
            line[at] = other
            made.append(line)
            if dtype.startswith("f"):
                line = line.copy()
                line[-1 - at] = line[count // 3] = np.nan
                made.append(line)
    made.append(RNG.integers(0, 2 + (dtype != "bool"), count).astype(dtype))
    return np.array(made)


def _limits(dtype):
    return np.iinfo(dtype).min, np.iinfo(dtype).max


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint32", "bool"])
def test_lines_of_every_length(dtype):
    x = gn.Input("x", ("N", "M"), dtype=dtype)
    outputs = [*truths(x), *places(x), *places(turned(x))]
    f, g = (gn.compile(outputs, backend=backend) for backend in ("native", "numpy"))
    for count in LENGTHS:
        value = lines(dtype, count)
        for a, b in zip(f(x=value), g(x=value), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("count", FIXED)
def test_lines_of_a_size_that_the_kernel_knows(count):
    for dtype in ("float32", "int8", "bool"):
        x = gn.Input("x", ("N", count), dtype=dtype)
        same_bits([*truths(x), *places(x)], x=lines(dtype, count))


def test_what_is_not_a_number_is_true():
    x = gn.Input("x", ("N", "M"))
    every, some = same_bits([gn.All(x, axis=1), gn.Any(x, axis=1)], x=np.full((2, 70), np.nan, "float32"))
    assert every.all() and some.all()


def test_of_nothing_all_holds_and_nothing_does():
    x = gn.Input("x", ("N", "M"))
    every, some = same_bits([gn.All(x, axis=1), gn.Any(x, axis=1)], x=np.zeros((2, 0), "float32"))
    assert every.all() and not some.any()


def test_truths_over_axes_that_lie_in_no_one_run():
    x = gn.Input("x", (3, 20, 33), dtype="int8")
    outputs = [op(x[:, :19], axis=axes) for op in (gn.All, gn.Any) for axes in ((1, 2), (0, 1), (0, 2))]
    for value in (0, 1):
        given = np.full((3, 20, 33), value, "int8")
        same_bits(outputs, x=given)
        given[1, 18, 32] = 1 - value
        same_bits(outputs, x=given)
