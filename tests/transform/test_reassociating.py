"""The passes that change the order of arithmetic: sums of repeats, constants, transposes, chains."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.transform.chains import chains
from graphnn.transform.constants import constants
from graphnn.transform.repeats import repeats
from graphnn.transform.transposes import transposes


def test_a_sum_of_repeats_is_a_product(written):
    b = gn.Input("b", (1, 3))
    assert written(repeats, gn.Sum(gn.Repeat(b, 5), 0)) == ["%0 = Reshape(b, to=(3,))", "%1 = Mul(%0, 5.0)"]
    assert written(repeats, gn.Sum(gn.Repeat(b, "N"), 0)) == ["%0 = Reshape(b, to=(3,))", "%2 = Mul(%0, %1)"]
    lines = written(repeats, gn.Sum(gn.Repeat(b, 5), (0, 1)))
    assert lines == ["%0 = Sum(b, axis=(0, 1))", "%1 = Mul(%0, 5.0)"]
    kept = gn.Graph(gn.Sum(gn.Repeat(b, "N"), 1))
    assert repeats.run(kept)[0] is kept  # over another axis


def test_numbers_in_chains_come_together(written):
    x, y = gn.Input("x", ("N",)), gn.Input("y", ("N",))
    assert written(constants, x * 2 * 3) == "Mul(x, 6.0)"
    assert written(constants, 2 * (3 * x) / 4) == "Mul(x, 1.5)"
    assert written(constants, (x + 1) - 4) == "Add(x, -3.0)"
    assert written(constants, -x * 2) == "Mul(x, -2.0)"
    assert written(constants, -(x - y)) == "Sub(y, x)"
    assert written(constants, x**2) == "Mul(x, x)"
    assert written(constants, x**-1) == "Div(1.0, x)"


@pytest.mark.parametrize("kept", [lambda x: x * 1e30 * 1e30, lambda x: x * 1e-30 * 1e-30, lambda x: x * 0.5])
def test_numbers_that_would_overflow_or_vanish_stay_apart(kept):
    graph = gn.Graph(kept(gn.Input("x", ("N",), dtype="float32")))
    assert constants.run(graph)[0] is graph


def test_integers_are_left_alone():
    graph = gn.Graph(gn.Input("i", ("N",), dtype="int64") * 2 * 3)
    assert constants.run(graph)[0] is graph


def test_transposes_go_into_products(written):
    x, y = gn.Input("x", (2, 3)), gn.Input("y", (3, 4))
    made = written(transposes, (x @ y).T)
    assert made == ["%0 = Transpose(y, axes=(1, 0))", "%1 = Transpose(x, axes=(1, 0))", "%2 = MatMul(%0, %1)"]
    used_twice = x @ y
    graph = gn.Graph([used_twice.T, used_twice])
    assert transposes.run(graph)[0] is graph


def test_sums_are_taken_before_transposing(written):
    x = gn.Input("x", ("N", 3))
    assert written(transposes, gn.Sum(x.T, 0)) == "Sum(x, axis=(1,))"
    assert written(transposes, gn.Sum(x.T)) == "Sum(x, axis=(0, 1))"
    assert written(transposes, gn.Max(x.T, 1)) == "Max(x, axis=(0,))"


def test_chains_are_reordered_where_sizes_decide(written):
    a, b, v = gn.Input("a", (50, 60)), gn.Input("b", (60, 70)), gn.Input("v", (70,))
    assert written(chains, a @ b @ v) == ["%0 = MatMul(b, v)", "%1 = MatMul(a, %0)"]
    x, p, q = gn.Input("x", ("N", 8)), gn.Input("p", (8, 2)), gn.Input("q", (2, 9))
    assert written(chains, x @ (p @ q)) == ["%0 = MatMul(x, p)", "%1 = MatMul(%0, q)"]  # 34 N against 144 + 72 N


def test_chains_that_named_sizes_do_not_decide_stay():
    x, p, q = gn.Input("x", ("N", 8)), gn.Input("p", (8, 9)), gn.Input("q", (9, 2))
    graph = gn.Graph(x @ p @ q)  # 90 N against 144 + 16 N
    assert chains.run(graph)[0] is graph


def test_a_product_that_others_read_is_no_part_of_a_chain():
    a, b, v = gn.Input("a", (50, 60)), gn.Input("b", (60, 70)), gn.Input("v", (70,))
    ab = a @ b
    graph = gn.Graph([ab @ v, ab])
    assert chains.run(graph)[0] is graph


def test_the_cheapest_order_is_found(after):
    """The textbook's example: 30 x 35 x 15 x 5 x 10 x 20 x 25 takes 15,125 multiplications."""
    sizes = [30, 35, 15, 5, 10, 20, 25]
    factors = [gn.Input(f"a{i}", (sizes[i], sizes[i + 1])) for i in range(6)]
    product = factors[0]
    for factor in factors[1:]:
        product = product @ factor
    graph = after(chains, product)
    products = [node for node in graph.nodes if node.op == "MatMul"]
    assert sum(n.x.shape[0] * n.x.shape[1] * n.W.shape[1] for n in products) == 15_125


def test_a_long_chain_takes_linear_time(after):
    product = gn.Input("x", (2, 2))
    for i in range(400):
        product = product @ gn.Input(f"a{i}", (2, 2))
    assert sum(node.op == "MatMul" for node in after(chains, product).nodes) == 400


@pytest.mark.parametrize("p", [repeats, constants, transposes, chains], ids=lambda p: p.name)
def test_numbers_agree(numbers_agree, p):
    gn.default_dtype("float64")
    x, y, v = gn.Input("x", ("N", 4)), gn.Input("y", (4, 30)), gn.Input("v", (30,))
    b = gn.Input("b", (1, 4))
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(5, 4)), "y": rng.normal(size=(4, 30)), "v": rng.normal(size=30)}
    feeds["b"] = rng.normal(size=(1, 4))
    outputs = [(x @ y).T, x @ y @ v, gn.Sum(gn.Repeat(b, "N"), 0) * x, x * 2 * 3 - 1 + 4, gn.Sum(y.T, 0) + 0, -(x - b)]
    numbers_agree(p, outputs, feeds, rtol=1e-12)
