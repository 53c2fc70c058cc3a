"""Running sums and products in kernels: NumPy's very bits, for any axis, layout and dtype."""

import numpy as np
import pytest
from same_bits import same_bits, turned

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)
WIDE = [pytest.param(dtype, marks=pytest.mark.slow) for dtype in ("float64", "uint16", "bool")]


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", *WIDE])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("op", [gn.CumSum, gn.CumProd])
def test_every_scan(op, axis, dtype):
    x = gn.Input("x", ("N", 3, "M"), dtype=dtype)
    ways = [{"exclusive": e, "reverse": r} for e in (False, True) for r in (False, True)]
    outputs = [op(seen, axis, **how) for how in ways for seen in (x, turned(x))]
    for shape in ((5, 3, 37), (1, 3, 1), (0, 3, 4)):
        same_bits(outputs, x=RNG.normal(size=shape).astype(dtype))


def test_zeros_infinities_and_nan():
    x = gn.Input("x", ("N",), dtype="float32")
    outputs = [op(x, exclusive=e) for op in (gn.CumSum, gn.CumProd) for e in (False, True)]
    same_bits(outputs, x=[-0.0, -0.0, 0.0, 1.0, np.inf, -np.inf, np.nan, 2.0])


def test_the_gradients():
    x = gn.Input("x", ("N", 3), dtype="float64")
    for y in (gn.CumSum(x, axis=0, exclusive=True), gn.CumProd(x, axis=1), gn.Prod(x, axis=1)):
        slope = gn.grad(gn.Sum(gn.Exp(y)), x)
        gn.testing.agree([y, slope], {"x": RNG.normal(size=(5, 3))}, backends=("numpy", "native"))
