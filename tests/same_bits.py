"""What the tests of kernels share: outputs that must be NumPy's in every bit, without any step of NumPy's."""

import numpy as np

import graphnn as gn


def without_numpy(outputs, updates=None, **options):
    """The native program, every step of which has a kernel."""
    native = gn.compile(outputs, updates, backend="native", **options)
    assert "every step has a kernel" in native.explain()
    return native


def same_bits(outputs, **feeds):
    """Run in kernels alone and on NumPy: equal values, equal signs of zeros, equal dtypes."""
    expected, found = gn.compile(outputs)(**feeds), without_numpy(outputs)(**feeds)
    for a, b in zip(expected, found, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(b, a)
        zeros = a == 0
        np.testing.assert_array_equal(np.signbit(b[zeros]), np.signbit(a[zeros]))
    return found


def turned(x):
    """A view of the operand that is not dense, of its axes in reverse order."""
    return gn.Flip(gn.Transpose(x), 0)


def many_equal(rng, shape, dtype):
    """Values of which many are equal; among floats zeros of both signs, infinities and NaN."""
    if np.dtype(dtype).kind != "f":
        return rng.integers(0, 4, shape).astype(dtype)
    return rng.choice([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan], shape).astype(dtype)
