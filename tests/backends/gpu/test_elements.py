"""Kernels that move single elements, where order matters: the best few of a line, and what is put by index."""

import numpy as np
import pytest

import graphnn as gn

BOTH = ("numpy", "cupy")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint64"])
def test_the_best_few_with_equals_and_nan(cupy, dtype):
    rng = np.random.default_rng(0)
    x = gn.Input("x", ("N", "M"), dtype=dtype)
    given = rng.integers(0, 4, (7, 40)).astype(dtype)
    if given.dtype.kind == "f":
        given[2, ::7], given[3], given[4, ::3] = np.nan, np.nan, -0.0
    outputs = {}
    for largest in (True, False):
        for axis, k in ((1, 5), (1, 40), (0, 3)):
            name = f"{largest}{axis}{k}"
            outputs[name], outputs[name + "places"] = gn.TopK(x, k, axis, largest)
    results = [gn.compile(outputs, backend=backend)(x=given) for backend in BOTH]
    for name, value in results[0].items():
        np.testing.assert_array_equal(results[1][name], value, err_msg=name)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "int32"])
def test_what_is_put_in_one_place_comes_in_order(cupy, dtype, reduction):
    rng = np.random.default_rng(0)
    x, index = gn.Input("x", (5, "M"), dtype=dtype), gn.Input("i", ("N", "M"), dtype="int32")
    updates = gn.Input("u", ("N", "M"), dtype=dtype)
    y = gn.ScatterElements(x, index, updates, reduction=reduction)
    feeds = {"x": np.ones((5, 3)), "i": rng.integers(0, 5, (30, 3)), "u": np.round(rng.normal(size=(30, 3)) * 2) / 2}
    if reduction == "none":  # of several for one place NumPy does not say which is put
        feeds |= {"i": feeds["i"][:3] * 0 + [[0], [2], [1]], "u": feeds["u"][:3]}
    feeds = {
        name: value.astype(node.dtype) for (name, value), node in zip(feeds.items(), (x, index, updates), strict=True)
    }
    results = [gn.compile(y, backend=backend)(**feeds) for backend in BOTH]
    np.testing.assert_array_equal(*results)
