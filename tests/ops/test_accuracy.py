"""Accuracy over the whole range of a dtype: a few units in the last place, against the same mathematics in extended
precision; below the smallest normal number the error is less than that number. And nothing warns.
"""

import numpy as np
import pytest
import scipy.special

import graphnn as gn

ULPS = 4
wide = np.longdouble

needs_wide = pytest.mark.skipif(
    np.finfo(wide).eps >= np.finfo(float).eps, reason="no precision beyond float64 on this machine"
)


def points(dtype, low=-np.inf):
    """Numbers of every size and either sign, closest where exponentials pass through the dtype's range."""
    limits = np.finfo(dtype)
    sizes = np.exp(np.linspace(np.log(float(limits.tiny)), np.log(float(limits.max)) - 1e-3, 1500))
    edge = -1.05 * np.log(float(limits.tiny))
    all_of_them = np.concatenate([-sizes, [0.0], sizes, np.linspace(-edge, edge, 4001)]).astype(dtype)
    return all_of_them[all_of_them > low]


def sigmoid(x):
    e = np.exp(-abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def mish_slope(x):
    t, y = np.tanh(softplus(x)), x * sigmoid(x)
    return t, y, -y * t * t


VALUES = {
    "Sigmoid": (gn.Sigmoid, sigmoid),
    "LogSigmoid": (gn.LogSigmoid, lambda x: -softplus(-x)),
    "Softplus": (gn.Softplus, softplus),
    "Softsign": (gn.Softsign, lambda x: x / (1 + abs(x))),
    "SiLU": (gn.SiLU, lambda x: x * sigmoid(x)),
    "Mish": (gn.Mish, lambda x: x * np.tanh(softplus(x))),
    "Expm1": (gn.Expm1, np.expm1),
    "Log1p": (gn.Log1p, np.log1p),
    "Tanh": (gn.Tanh, np.tanh),
    "ELU": (gn.ELU, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "LogSumExp": (
        lambda x: gn.LogSumExp(gn.Stack((x, -x), 1), axis=1),
        lambda x: abs(x) + np.log1p(np.exp(-2 * abs(x))),
    ),
}

SLOPES = {
    "Softplus": (gn.Softplus, lambda x: (sigmoid(x),)),
    "LogSigmoid": (gn.LogSigmoid, lambda x: (sigmoid(-x),)),
    "Softsign": (gn.Softsign, lambda x: (1 / (1 + abs(x)) / (1 + abs(x)),)),
    # Where terms of both signs meet, the error is measured by their size; so is that of 1 - y for y near 1.
    "Sigmoid": (gn.Sigmoid, lambda x: (sigmoid(x), -sigmoid(x) * sigmoid(x))),
    "SiLU": (gn.SiLU, lambda x: (sigmoid(x), x * sigmoid(x) * sigmoid(-x))),
    "Mish": (gn.Mish, mish_slope),
    "Expm1": (gn.Expm1, lambda x: (np.exp(x),)),
    "Log1p": (gn.Log1p, lambda x: (1 / (1 + x),)),
    "ELU": (gn.ELU, lambda x: (np.where(x > 0, 1, np.exp(np.minimum(x, 0))),)),
}


def compare(value, terms, at, ulps=ULPS):
    limits = np.finfo(value.dtype)
    expected, size = sum(terms), sum(map(abs, terms))
    within = expected.astype(value.dtype)
    error = np.where(np.isinf(within), value != within, abs(value.astype(wide) - expected))
    allowed = ulps * wide(limits.eps) * size + wide(limits.tiny)
    worst = np.argmax(error - allowed)
    assert (error <= allowed).all(), f"{value[worst]} instead of {expected[worst]} at {at[worst]}"


@needs_wide
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", VALUES)
def test_values(name, dtype, recwarn):
    op, reference = VALUES[name]
    x, at = gn.Input("x", ("N",), dtype=dtype), points(dtype, low=-1 if name == "Log1p" else -np.inf)
    value = gn.compile(op(x))(x=at)
    assert not recwarn.list
    with np.errstate(all="ignore"):
        compare(value, (reference(at.astype(wide)),), at)


@needs_wide
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SLOPES)
def test_slopes(name, dtype, recwarn):
    op, reference = SLOPES[name]
    x, at = gn.Input("x", ("N",), dtype=dtype), points(dtype, low=-1 if name == "Log1p" else -np.inf)
    slope = gn.compile([gn.grad(gn.Sum(op(x)), x), x])(x=at)[0]
    assert not recwarn.list
    with np.errstate(all="ignore"):
        compare(slope, reference(at.astype(wide)), at)


SMOOTH = {
    "Sigmoid": gn.Sigmoid,
    "Softplus": gn.Softplus,
    "SiLU": gn.SiLU,
    "Mish": gn.Mish,
    "GELU": gn.GELU,
    "GELU by tanh": lambda x: gn.GELU(x, approximate="tanh"),
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", SMOOTH)
def test_second_derivatives_stay_finite(name, dtype):
    x, at = gn.Input("x", ("N",), dtype=dtype), points(dtype) / 4  # twice a number is to be one as well
    slope = gn.grad(gn.Sum(SMOOTH[name](x)), x)
    curve = gn.compile([gn.grad(gn.Sum(slope), x), x])(x=at)[0]
    assert np.isfinite(curve).all()


def test_gelu_in_its_tails():
    x, at = gn.Input("x", ("N",)), points("float32")
    exact, by_tanh = gn.compile([gn.GELU(x), gn.GELU(x, approximate="tanh")])(x=at)
    wider = at.astype(float)
    with np.errstate(all="ignore"):
        reference = 0.5 * wider * scipy.special.erfc(-wider / 2**0.5)
        inside = 2 * (2 / np.pi) ** 0.5 * (wider + 0.044715 * wider**3)
        approximation = wider / (1 + np.exp(-inside))
    # The exponent is a square, so its rounding grows with it: the tail has fewer digits than the middle.
    np.testing.assert_allclose(exact, reference, rtol=3e-5, atol=np.finfo("float32").tiny)
    np.testing.assert_allclose(by_tanh, approximation, rtol=3e-5, atol=50 * np.finfo("float32").tiny)
