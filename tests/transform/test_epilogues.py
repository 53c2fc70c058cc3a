"""Epilogues: which steps become products with ReLU, or with its gradient, and that the numbers stay."""

from itertools import pairwise

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.numpy import PASSES
from graphnn.ops.elementwise import Map
from graphnn.transform.epilogues import epilogues
from graphnn.transform.group import group
from graphnn.transform.products import any_biases
from graphnn.transform.rectified import GatedProduct, RectifiedProduct

PASSED = [*PASSES, group, any_biases, epilogues]
WHOLE = 128
"""Columns that a mask can have."""


def layers(widths, dtype="float32"):
    """Scores of a net with ReLU between its layers, its parameters, and the arguments of a call."""
    rng = np.random.default_rng(0)
    x, h, parameters = gn.Input("x", ("N", widths[0]), dtype=dtype), None, []
    for i, (rows, columns) in enumerate(pairwise(widths)):
        w = gn.Parameter(f"W{i}", rng.normal(size=(rows, columns)), dtype=dtype)
        b = gn.Parameter(f"b{i}", rng.normal(size=columns), dtype=dtype)
        parameters += [w, b]
        h = gn.Affine(x if h is None else gn.ReLU(h), w, b)
    return h, parameters, {"x": rng.normal(size=(5, widths[0])).astype(dtype)}


def compiled(outputs):
    """By these passes, and by none, and what stands in the plan."""
    f = gn.compile(outputs, passes=PASSED)
    made = [step.node for step in f.plan.steps]
    return f, gn.compile(outputs, passes="none"), made


def ops(made):
    return [node.op for node in made if isinstance(node, (RectifiedProduct, GatedProduct))]


def test_a_net_reads_masks_on_the_way_back_and_sums_the_gradients_of_its_biases():
    scores, parameters, feeds = layers([6, WHOLE, 2 * WHOLE, 3])
    loss = gn.Mean(scores**2)
    f, plain, made = compiled([loss, *gn.grad(loss, parameters)])
    assert ops(made) == ["RectifiedProduct", "RectifiedProduct", "GatedProduct", "GatedProduct"]
    assert [str(node.spec[1]) for node in made if ops([node])] == [
        "u8[N, 16]",
        "u8[N, 32]",
        "f32[1, 256]",
        "f32[1, 128]",
    ]
    assert not {"ReLU", "Add"} & {node.op for node in made}
    for one, other in zip(f(**feeds), plain(**feeds), strict=True):
        np.testing.assert_allclose(one, other, 1e-4, 1e-5)
    ledger = f.explain().split("== ledger")[1]
    assert "epilogues: ReLU by its product" in ledger and "epilogues: ReLU's gradient by its product" in ledger


def test_what_relu_read_is_kept_as_bits():
    scores, parameters, _ = layers([6, WHOLE, WHOLE, 3])
    loss = gn.Mean(scores**2)
    outputs = [loss, *gn.grad(loss, parameters)]
    without = gn.compile(outputs, passes=[p for p in PASSED if p is not epilogues]).plan.arena_bytes(N=1000)
    assert gn.compile(outputs, passes=PASSED).plan.arena_bytes(N=1000) < without


def test_a_model_that_predicts_has_no_masks():
    scores, _, feeds = layers([6, WHOLE, 10, 3])
    f, plain, made = compiled(scores)
    assert [node.masked for node in made if isinstance(node, RectifiedProduct)] == [False, False]
    np.testing.assert_allclose(f(**feeds), plain(**feeds), 1e-5)


@pytest.mark.parametrize("columns", [10, 130])
def test_a_mask_has_whole_rows_or_the_gradient_asks_the_result(columns):
    scores, parameters, feeds = layers([6, columns, 3])
    outputs = gn.grad(gn.Mean(scores**2), parameters)
    f, plain, made = compiled(outputs)
    assert ops(made) == ["RectifiedProduct"] and not made[0].masked
    for one, other in zip(f(**feeds), plain(**feeds), strict=True):
        np.testing.assert_allclose(one, other, 1e-4, 1e-5)


def test_a_gradient_that_is_no_product_asks_the_result():
    x, w = gn.Input("x", ("N", 6)), gn.Parameter("w", np.ones((6, WHOLE)))
    loss = gn.Mean(gn.Softmax(gn.ReLU(x @ w)) ** 2)
    f, plain, made = compiled([loss, gn.grad(loss, w)])
    assert ops(made) == ["RectifiedProduct"] and not made[0].masked and made[0].b is None
    given = {"x": np.random.default_rng(0).normal(size=(4, 6))}
    for one, other in zip(f(**given), plain(**given), strict=True):
        np.testing.assert_allclose(one, other, 1e-5)


def test_a_gradient_without_a_bias_is_not_summed():
    x = gn.Input("x", ("N", 6))
    w, v = gn.Parameter("w", np.ones((6, WHOLE))), gn.Parameter("v", np.ones((WHOLE, 3)))
    loss = gn.Sum((gn.ReLU(x @ w) @ v) ** 2)
    _, _, made = compiled(gn.grad(loss, [w, v]))
    assert ops(made) == ["RectifiedProduct", "GatedProduct"] and not made[-2].summed


@pytest.mark.parametrize("case", ["seen", "read", "formula", "half", "stack"])
def test_others_stay_apart(case):
    dtype, stack = "float16" if case == "half" else "float32", ("B",) if case == "stack" else ()
    x, w = gn.Input("x", (*stack, "N", 6), dtype=dtype), gn.Parameter("w", np.ones((6, WHOLE)), dtype=dtype)
    z = x @ w
    y = gn.ReLU(z)
    outputs = {"seen": [y, z], "read": [y, gn.Sum(z)], "formula": gn.Tanh(y)}.get(case, y)
    f, _, made = compiled(outputs)
    assert not ops(made)
    if case in ("seen", "read"):
        assert "what ReLU reads is read elsewhere too" in f.explain()


def test_a_gradient_of_a_gradient_keeps_its_numbers():
    scores, parameters, feeds = layers([6, WHOLE, WHOLE, 3], "float64")
    first = gn.grad(gn.Sum(scores**3), parameters[0])
    f, plain, _ = compiled(gn.grad(gn.Sum(first**2), parameters))
    for one, other in zip(f(**feeds), plain(**feeds), strict=True):
        np.testing.assert_allclose(one, other, 1e-9)


def test_a_mask_has_its_first_bit_lowest_and_counts_neither_zero_nor_nan():
    x, w = gn.Input("x", ("N", 1)), np.zeros((1, WHOLE), np.float32)
    w[0, [0, 9]] = 1
    y, mask = RectifiedProduct(x, gn.Constant(w), None, True)
    _, bits = gn.compile([y, mask])(x=[[2.0], [np.nan], [-1.0]])
    assert bits[0].tolist() == [1, 2, *[0] * 14] and not bits[1:].any()
    kept = GatedProduct(x, gn.Constant(w + 1), gn.Constant(bits))
    assert gn.compile(kept)(x=[[1.0]] * 3).sum(axis=1).tolist() == [4, 0, 0]


def test_a_mask_of_other_columns_is_refused():
    with pytest.raises(gn.ShapeError, match="a mask has rows of 128 bits, and the product 10 columns"):
        RectifiedProduct(gn.Input("x", ("N", 3)), np.ones((3, 10)), None, True)


def test_the_sign_before_a_bias_is_another_than_behind_it():
    x, w = gn.Input("x", ("N", 6)), gn.Parameter("w", np.ones((6, 10)))
    z = x @ w
    y, sign = gn.ReLU(z + np.full(10, 2.0, "float32")), Map("where(z > 0, 1, 0.5)", ("z",), (z,))
    f, plain, _ = compiled([y, sign])
    given = {"x": np.full((2, 6), -0.1)}  # below 0 before the bias, above it behind
    for one, other in zip(f(**given), plain(**given), strict=True):
        np.testing.assert_allclose(one, other, 1e-6)


def test_who_asks_the_sign_may_stand_before_relu():
    x, g = gn.Input("x", ("N", 6)), gn.Input("g", ("N", 3))
    w, v = gn.Parameter("w", np.ones((6, WHOLE))), gn.Parameter("v", np.ones((3, WHOLE)))
    z = gn.Affine(x, w, np.zeros(WHOLE, "float32"))
    dz = Map("g * where(x > 0, 1, 0)", ("g", "x"), (g @ v, z))
    f, plain, made = compiled([dz, gn.ReLU(z)])
    assert ops(made) == ["RectifiedProduct", "GatedProduct"]
    given = {"x": np.random.default_rng(0).normal(size=(4, 6)), "g": np.ones((4, 3))}
    for one, other in zip(f(**given), plain(**given), strict=True):
        np.testing.assert_allclose(one, other, 1e-6)
