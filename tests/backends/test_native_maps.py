"""Maps in kernels: lines of every length, in long vectors, in short ones, and what is left over."""

import numpy as np
import pytest
from same_bits import same_bits

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "float32"])
def test_lines_of_every_length(dtype):
    x, y = gn.Input("x", ("N", "M"), dtype=dtype), gn.Input("y", ("M",), dtype=dtype)
    outputs = [x + y, x * x, gn.Less(x, y), gn.Where(gn.Equal(x, y), x, y)]
    for count in (1, 7, 16, 17, 63, 64, 65, 79, 81, 200):
        values = [RNG.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype) for shape in ((3, count), count)]
        same_bits(outputs, x=values[0], y=values[1])
