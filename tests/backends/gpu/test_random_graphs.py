"""Random programs on the CuPy backend, on the CPU as the device and on a GPU: NumPy's values, and its own bits."""

import numpy as np
import pytest
from random_graphs import random_program

pytestmark = pytest.mark.usefixtures("compiled_once_more")
CLOSE = {"float64": 1e-9, "float32": 1e-4}


def compare(seed):
    program = random_program(seed)
    found = {}
    for passes in ("none", "exact", "default"):
        expected, found[passes] = (program.run(2, backend=name, passes=passes)[1] for name in ("numpy", "cupy"))
        for name, value in expected.items():
            if value.dtype.kind == "f":  # which of two is the larger may hang on the last bit
                close = CLOSE[value.dtype.name]
                scale = close * max(1.0, float(np.abs(value[np.isfinite(value)]).max(initial=0)))
                where = f"{name} of {seed} with passes={passes!r}"
                np.testing.assert_allclose(found[passes][name], value, close, scale, err_msg=where)
    for name, value in found["none"].items():
        np.testing.assert_array_equal(found["exact"][name], value, err_msg=f"{name} of {seed}: not the bits of 'none'")


@pytest.mark.parametrize("seed", range(6))
def test_a_random_program_agrees(cupy, seed):
    compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6, 150))
def test_many_random_programs_agree(cupy, seed):
    compare(seed)
