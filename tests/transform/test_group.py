"""Grouping and folding: the graph that comes out, that the bits or the numbers stay, and the order of landing."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.transform.expand import expand
from graphnn.transform.group import group
from graphnn.transform.products import Product, any_biases, batched_products, biases, products

needs_native = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])


def after(p, *outputs, updates=None, passes_before=()):
    graph = gn.Graph(list(outputs), updates)
    for before in passes_before:
        graph = before.apply(graph)
    return p.apply(graph)


def ops(graph):
    return [node.op for node in graph.nodes]


def test_a_chain_becomes_one_formula():
    x, y = gn.Input("x", ("N", 3)), gn.Input("y", ("N", 3))
    graph = after(group, gn.Tanh(x * y + x) * 2)
    assert ops(graph) == ["Input", "Input", "Constant", "Map"]
    assert str(graph.outputs["out0"].body) in ("tanh(a0 * a1 + a0) * a2", "tanh(a1 * a2 + a1) * a0")


def test_what_is_read_twice_or_seen_stays_a_step():
    x = gn.Input("x", ("N",))
    twice = gn.Exp(x)
    assert ops(after(group, gn.Sin(twice) + gn.Cos(twice))).count("Exp") == 1
    assert ops(after(group, twice, twice + 1)).count("Exp") == 1


def test_a_value_of_another_shape_or_dtype_stays_a_step():
    x, b = gn.Input("x", ("N", 3)), gn.Input("b", (3,))
    assert "Exp" in ops(after(group, x + gn.Exp(b)))
    assert "Exp" in ops(after(group, gn.Exp(x).astype("float64") * 2))


def test_a_formula_grows_no_larger_than_registers_hold():
    x = gn.Input("x", ("N",))
    y = x
    for _ in range(200):
        y = gn.Sin(y)
    maps = [node for node in after(group, y).nodes if node.op == "Map"]
    assert 3 < len(maps) < 20


@needs_native
def test_grouping_keeps_the_bits():
    rng = np.random.default_rng(0)
    for dtype in ("float16", "float32", "float64"):
        x, y = gn.Input("x", ("N", 3), dtype=dtype), gn.Input("y", ("N", 3), dtype=dtype)
        outputs = {
            "a": gn.Sigmoid(x * y + 1) * (1 - x),
            "b": gn.Where(x > y, gn.Exp(x), y / 3),
            "c": gn.Sum(gn.Tanh(x - y) * y, axis=0),
        }
        feeds = {"x": rng.normal(size=(37, 3)), "y": rng.normal(size=(37, 3))}
        gn.testing.agree(outputs, feeds, ("native",), rtol=1e-2, atol=1e-2)


def layer(dtype="float64", size=4):
    x, g = gn.Input("x", ("N", size), dtype=dtype), gn.Input("g", ("N", size), dtype=dtype)
    w = gn.Parameter("w", np.arange(float(size * size)).reshape(size, size) / 7, dtype=dtype)
    return x, g, w, gn.Parameter("lr", 0.25, dtype=dtype, trainable=False)


def test_an_update_folds_into_its_product():
    x, g, w, lr = layer()
    graph = after(products, gn.Sum(x), updates={w: w - lr * (x.T @ g)})
    assert isinstance(graph.updates[w], Product) and "MatMul" not in ops(graph)
    assert isinstance(after(products, updates={w: w + x.T @ g}).updates[w], Product)


def many_layers(dtype, rows, size):
    """As `layer`, three times beside each other, each with a rate of its own."""
    x, g = gn.Input("x", ("N", rows), dtype=dtype), gn.Input("g", (3, "N", size), dtype=dtype)
    rng = np.random.default_rng(1)
    w = gn.Parameter("w", rng.normal(size=(3, rows, size)), dtype=dtype)
    return x, g, w, gn.Parameter("lr", [0.25, 0.5, 0.75], dtype=dtype, trainable=False)


def test_updates_of_batches_fold_each_with_its_own_factor():
    x, g, w, lr = many_layers("float64", 4, 4)
    new = w - gn.Reshape(lr, (3, 1, 1)) * (gn.Transpose(x) @ g)
    folded = after(batched_products, updates={w: new}).updates[w]
    assert isinstance(folded, Product) and folded.alpha.shape == (3,)
    assert "Product" not in ops(after(products, updates={w: new}))  # for a backend that takes matrices only
    by_row = w - gn.Reshape(gn.Parameter("rates", np.ones(4), dtype="float64"), (4, 1)) * (gn.Transpose(x) @ g)
    assert "Product" not in ops(after(batched_products, updates={w: by_row}))


@needs_native
@pytest.mark.parametrize("shape", [(4, 4), (40, 20), (90, 70)], ids=["unrolled", "loops", "blas"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_updates_of_batches_are_what_numpy_makes_of_them(shape, dtype):
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(50, shape[0])), "g": rng.normal(size=(3, 50, shape[1]))}
    results = {}
    for backend in ("numpy", "native"):
        x, g, w, lr = many_layers(dtype, *shape)
        f = gn.compile([], {w: w - gn.Reshape(lr, (3, 1, 1)) * (gn.Transpose(x) @ g)}, backend=backend)
        f(**feeds)
        results[backend] = w.value
    assert "Product" in [step.node.op for step in f.plan.steps]
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(results["native"], results["numpy"], rtol=0, atol=tolerance * 50)


def test_a_product_read_elsewhere_is_not_folded():
    x, g, w, _ = layer()
    gradient = x.T @ g
    assert "MatMul" in ops(after(products, gradient, updates={w: w - gradient}))


def test_two_updates_share_the_scalar_with_its_sign():
    x, g, w, lr = layer()
    v = gn.Parameter("v", np.zeros((4, 4)), dtype="float64")
    graph = after(products, updates={w: w - lr * (x.T @ g), v: v - lr * (g.T @ x)})
    assert ops(graph).count("Neg") == 1


@needs_native
@pytest.mark.parametrize("size", [4, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_folded_update_comes_after_every_reader_of_the_old_weight(size, dtype):
    """By loops and by BLAS; with a reader of the old weight behind the update, and an output that shows it."""
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(50, size)), "g": rng.normal(size=(50, size))}
    results = {}
    for backend in ("numpy", "native"):
        x, g, w, lr = layer(dtype, size)
        new = w - lr * (x.T @ g)
        late = gn.Parameter("late", np.zeros((size, size)), dtype=dtype)
        f = gn.compile({"y": x @ w, "w": w}, {w: new, late: gn.Tanh(w) + late}, backend=backend)
        results[backend] = [*f(**feeds).values(), w.value, late.value, *f(**feeds).values(), w.value, late.value]
    for got, expected in zip(results["native"], results["numpy"], strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-4 if dtype == "float32" else 1e-10, atol=1e-4)


def test_a_truth_beside_numbers_stays_a_step():
    x, seen = gn.Input("x", ("N",)), gn.Input("seen", ("N",), dtype="bool")
    graph = after(group, ~(gn.Abs(x) < 2) | seen)  # in one formula, `seen` would be cast to the floats beside it
    assert ops(graph)[-1] == "Or" and graph.outputs["out0"].operands[1].label == "'seen'"


def test_a_bias_joins_a_small_product():
    x, w, b = gn.Input("x", ("N", 4)), gn.Parameter("w", np.ones((4, 3))), gn.Parameter("b", np.ones(3))
    graph = after(biases, gn.Affine(gn.Affine(x, w, b) @ np.ones((3, 4)), w, b), passes_before=[expand])
    assert ops(graph).count("Product") == 2 and "Add" not in ops(graph)
    assert all(node.alpha is None for node in graph.nodes if isinstance(node, Product))


@pytest.mark.parametrize("case", ["large", "half", "read twice", "no bias"])
def test_other_sums_with_products_stay_apart(case):
    dtype, k = ("float16", 4) if case == "half" else ("float32", 300 if case == "large" else 4)
    x, w = gn.Input("x", ("N", k), dtype=dtype), gn.Parameter("w", np.ones((k, 3)), dtype=dtype)
    b, m = gn.Parameter("b", np.ones(3), dtype=dtype), x @ w
    outputs = {"read twice": [m + b, m * 2], "no bias": [m + gn.Input("y", ("N", 3))]}.get(case, [m + b])
    assert "Product" not in ops(after(biases, *outputs))


def test_any_product_takes_a_bias_for_a_library_that_adds_it():
    x, w, b = gn.Input("x", ("N", 300)), gn.Parameter("w", np.ones((300, 3))), gn.Parameter("b", np.ones(3))
    assert "Product" in ops(after(any_biases, x @ w + b))
    half = gn.Input("half", ("N", 3), dtype="float16")
    assert "Product" not in ops(after(any_biases, half @ np.ones((3, 3)) + gn.Constant(np.ones(3), dtype="float16")))


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_biases_keep_the_bits_in_loops_and_beside_blas(dtype):
    x = gn.Input("x", ("N", 20), dtype=dtype)
    w, b = (
        gn.Parameter("w", np.linspace(-1, 1, 200).reshape(20, 10), dtype=dtype),
        gn.Parameter("b", np.arange(10.0), dtype=dtype),
    )
    y = gn.Affine(x, w, b)
    plain, f = (gn.compile(y, backend="native", passes=p) for p in ("none", "exact"))
    assert [step.node.op for step in f.plan.steps] == ["Product"]
    for n in (1, 7, 30, 300):  # the last by BLAS
        feed = np.random.default_rng(n).normal(size=(n, 20)).astype(dtype)
        np.testing.assert_array_equal(f(x=feed), plain(x=feed))
        np.testing.assert_allclose(f(x=feed), feed @ w.value + b.value, rtol=1e-4, atol=1e-4)


BIASES = {
    "turned round": ((6,), lambda b: gn.Flip(b)),
    "a column of a matrix": ((6, 3), lambda b: b[:, 1]),
    "every second": ((12,), lambda b: b[::2]),
    "one number": ((1,), lambda b: gn.Broadcast(b, (6,))),
}


@needs_native
@pytest.mark.parametrize(("shape", "read"), BIASES.values(), ids=BIASES)
def test_a_bias_need_not_lie_side_by_side(shape, read):
    x, w, b = gn.Input("x", ("N", 4)), gn.Input("w", (4, 6)), gn.Input("b", shape)
    y = gn.Affine(x, w, read(b))
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(5, 4)), "w": rng.normal(size=(4, 6)), "b": rng.normal(size=shape)}
    plain, f = (gn.compile(y, backend="native", passes=p) for p in ("none", "exact"))
    assert [step.node.op for step in f.plan.steps] == ["Product"]
    np.testing.assert_array_equal(f(**feeds), plain(**feeds))
