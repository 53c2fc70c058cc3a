"""Named sizes."""

import pytest

import graphnn as gn
from graphnn.ir.spec import as_shape


def test_sizes_are_affine_in_one_name():
    n = gn.Size("N")
    assert str(2 * n + 1) == "2N+1"
    assert (2 * n + 1) - n == n + 1 and n - n == 0 and (4 * n + 2) // 2 == 2 * n + 1
    assert (2 * n + 1)({"N": 3}) == 7 and (2 * n + 1).solve(7) == 3 and (2 * n + 1).solve(6) is None


def test_flatten_keeps_a_named_axis():
    x = gn.Input("x", ("N", 3, 4))
    assert x.reshape(("N", -1)).shape == as_shape(("N", 12))
    assert x.reshape(-1).shape == (12 * gn.Size("N"),)


@pytest.mark.parametrize("shape", [("N", 2.5), ("not a word",), (None,), 3.5])
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(gn.ShapeError):
        gn.Input("x", shape)
