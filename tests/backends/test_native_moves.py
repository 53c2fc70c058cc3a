"""Moves in kernels: padding of every mode, joining, triangles and casts of any layout and dtype, as NumPy has them."""

import numpy as np
import pytest
from same_bits import same_bits, turned

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)
DTYPES = ["float16", "float32", "float64", "int8", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_padding(mode, dtype):
    x = gn.Input("x", ("N", 4, "M"), dtype=dtype)
    before, after = (1, 0, 3), (2, 3, 0)
    outputs = [gn.Pad(seen, before, after, mode=mode) for seen in (x, turned(turned(x)))]
    if mode == "constant":
        outputs += [gn.Pad(x, before, after, value, between=(0, 2, 1)) for value in (0, 1, -0.0)]
        outputs += [gn.Pad(x, ("N", 0, 1), 0)]
    for shape in ((3, 4, 4), (5, 4, 40)):
        same_bits(outputs, x=RNG.normal(size=shape).astype(dtype))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_the_gradient_of_padding(mode):
    x = gn.Input("x", ("N", 5), dtype="float64")
    slope = gn.grad(gn.Sum(gn.Exp(gn.Pad(x, (2, 3), (1, 2), mode=mode))), x)
    gn.testing.agree(slope, {"x": RNG.normal(size=(4, 5))}, backends=("numpy", "native"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("upper", [True, False])
def test_triangles(upper, dtype):
    x = gn.Input("x", ("B", "N", "M"), dtype=dtype)
    outputs = [gn.Trilu(seen, upper, k) for k in (-50, -2, 0, 3, 50) for seen in (x, gn.Flip(x))]
    for shape in ((2, 5, 5), (1, 3, 40), (3, 40, 2)):
        value = RNG.choice([0.0, -0.0, 1.0, np.nan, -np.inf] if np.dtype(dtype).kind == "f" else [0, 1], shape)
        same_bits(outputs, x=value.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_joining(dtype):
    x, y = gn.Input("x", ("N", 3, "M"), dtype=dtype), gn.Input("y", ("N", 2, "M"), dtype=dtype)
    outputs = [gn.Concat((x, y), axis=1), gn.Concat((x, turned(turned(x)), x), axis=2), gn.Stack((x, x), axis=0)]
    values = [RNG.normal(size=shape).astype(dtype) for shape in ((4, 3, 17), (4, 2, 17))]
    same_bits(outputs, x=values[0], y=values[1])


def test_doubles_become_half_floats_as_if_rounded_once():
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    exact = halves[np.isfinite(halves)].astype(float)
    middle = (exact[:-1] + exact[1:]) / 2
    beside = np.nextafter(np.repeat(middle, 2), np.tile([-np.inf, np.inf], len(middle)))
    bounds = [65504.0, 65519.999999999, 65520.0, 1e300, np.inf, np.nan, 5e-324, 2.98e-8, 2.99e-8]
    value = np.concatenate([exact, middle, beside, bounds])
    x = gn.Input("x", ("N",), dtype="float64")
    same_bits([gn.Cast(x, "float16"), gn.Cast(gn.Flip(x), "float16")], x=np.concatenate([value, -value]))
