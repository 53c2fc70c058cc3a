"""Ranks in kernels: where extremes stand, of any layout and dtype, as NumPy has it."""

import numpy as np
import pytest
from same_bits import many_equal, same_bits, turned

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)
DTYPES = ["float16", "float32", "float64", "int8", "uint64", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", [gn.ArgMax, gn.ArgMin])
def test_extremes(op, dtype):
    x = gn.Input("x", ("N", 3, "M"), dtype=dtype)
    flags = [{"last": last, "keepdims": keepdims} for last in (False, True) for keepdims in (False, True)]
    ways = [{"axis": axis, **how} for axis in (None, 0, 1, 2) for how in flags]
    outputs = [op(seen, **how) for how in ways for seen in (x, turned(x))]
    for shape in ((5, 3, 17), (1, 3, 1)):
        same_bits(outputs, x=many_equal(RNG, shape, dtype))
