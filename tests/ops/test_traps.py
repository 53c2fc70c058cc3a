"""Known traps of automatic differentiation: where textbook rules alone make 0 times infinity, or infinity for 0.

Each row is a function of `x`, where to take its gradient, and what mathematics says the gradient is. The gradient of
a value that was not chosen is 0; where no derivative exists, the ops' docstrings say which slope is taken.
"""

from functools import partial

import numpy as np
import pytest

import graphnn as gn

INF, NAN = np.inf, np.nan


def at_zero_by_exponent(x):
    return gn.Power(gn.Constant([0.0, 0.0, 2.0], dtype=x.dtype), x)


def of_rows(x):
    """A row's root counts only where its sum is positive: the condition reaches x through Sum, Reshape and Repeat."""
    total = gn.Sum(gn.Sqrt(x), axis=1)
    return gn.Where(gn.Sum(x, axis=1) > 0, total, 0.0)


def through_a_row(x):
    """One row against a matrix of conditions: it counts where any of its copies does."""
    return gn.Where(np.array([[True, False, False], [False, True, False]]), gn.Log(x) + np.zeros((2, 1)), 0.0)


def missing_values(x):
    return gn.Where(gn.IsNaN(x), 0.0, x * x)


def scaled_by_a_table(x):
    table = np.array([0.0, 2.0, 4.0])
    return gn.Where(table > 0, x / table, 0.0)


def nested(x):
    return gn.Where(x > 0, gn.Where(x < 4, gn.Sqrt(4 - x) * gn.Log(x), 0.0), 0.0)


def two_branches_of_one_value(x):
    root = gn.Sqrt(x)
    return gn.Where(x > 0, root, 0.0) + gn.Where(x > 1, 2 * root, 0.0)


def distance(x):
    return gn.Sqrt(gn.Sum(x * x, axis=-1))


def chosen(how):
    """`how(x)` where x is positive, else 0."""
    return lambda x: gn.Where(x > 0, how(x), 0.0)


def chosen_else(how):
    """1 where x is not positive, else `how(x)`: the branch is the second one."""
    return lambda x: gn.Where(x <= 0, 1.0, how(x))


def masked_softmax(x):
    return gn.Softmax(gn.Where(x > -1, x, -INF)) * [1, 0, 0]


class Cube(gn.Composite):
    x: gn.Node

    def expand(self):
        return gn.Exp(3 * gn.Log(self.x))


TRAPS = {
    "Where Sqrt": (chosen(gn.Sqrt), [-1, 0, 4], [0, 0, 0.25]),
    "Where Log": (chosen(gn.Log), [-1, 0, 4], [0, 0, 0.25]),
    "Where Log else": (chosen_else(gn.Log), [-1, 0, 4], [0, 0, 0.25]),
    "Where Reciprocal": (chosen(gn.Reciprocal), [-1, 0, 2], [-0.0, 0, -0.25]),
    "Where Div": (chosen(lambda x: 1 / x), [0, 2], [0, -0.25]),
    "Where Div by itself": (chosen(lambda x: gn.Sin(x) / x), [0, np.pi], [0, -1 / np.pi]),
    "Where Power": (chosen(lambda x: x**-0.5), [-1, 0, 4], [0, 0, -1 / 16]),
    "Where Power of a node": (chosen(lambda x: x**x), [-1, 0, 1], [0, 0, 1]),
    "Where Exp overflows": (lambda x: gn.Where(x < 9, gn.Exp(x), 1.0), [0, 2000], [1, 0]),
    "Where Expm1 overflows": (lambda x: gn.Where(x < 0, gn.Expm1(x), x), [-1, 2000], [np.exp(-1), 1]),
    "Where Log1p": (lambda x: gn.Where(x > -1, gn.Log1p(x), 0.0), [-1, -2, 1], [0, 0, 0.5]),
    "Where Arcsin": (lambda x: gn.Where(abs(x) < 1, gn.Arcsin(x), 0.0), [0, 1, 2, -1], [1, 0, 0, 0]),
    "Where Arccosh": (lambda x: gn.Where(x > 1, gn.Arccosh(x), 0.0), [0, 1, 2], [0, 0, 3**-0.5]),
    "Where Arctanh": (lambda x: gn.Where(abs(x) < 1, gn.Arctanh(x), 0.0), [0, 1, -3], [1, 0, 0]),
    "Where Tan": (lambda x: gn.Where(x < 1, gn.Exp(gn.Tan(x)), 0.0), [0, np.pi / 2], [1, 0]),
    "Where x log x": (chosen(lambda x: x * gn.Log(x)), [0, 1, np.e], [0, 1, 2]),
    "Where a chain": (chosen(lambda x: gn.Log(gn.Sqrt(gn.Log(1 + x) / x))), [0, 1], [0, (0.5 / np.log(2) - 1) / 2]),
    "Where nested": (nested, [-1, 0, 1, 4, 9], [0, 0, 3**0.5, 0, 0]),
    "Where a composite": (chosen(Cube), [-1, 0, 2], [0, 0, 12]),
    "Where on both sides": (lambda x: gn.Where(x > 0, gn.Log(x), gn.Log(-x)), [-2, 2], [-0.5, 0.5]),
    "Where a row": (through_a_row, [1, 2, 0], [1, 0.5, 0]),
    "Where rows of a sum": (of_rows, [[1, 4], [0, 0]], [[0.5, 0.25], [0, 0]]),
    "Where a transpose": (lambda x: gn.Where(x.T > 0, gn.Sqrt(x).T, 0.0), [[4, 0], [-1, 1]], [[0.25, 0], [0, 0.5]]),
    "Where a slice": (lambda x: gn.Where(x[1:] > 0, gn.Log(x)[1:], 0.0), [0, 0, 4], [0, 0, 0.25]),
    "Where a concatenation": (
        lambda x: gn.Where(np.array([False, True, True, False]), gn.Concat((gn.Log(x), gn.Sqrt(x)), 0), 0.0),
        [0, 4], [0, 0.25],
    ),
    "Where a gathering": (
        lambda x: gn.Where([True, False, True], gn.Gather(gn.Log(x), [1, 0, 1]), 0.0), [0, 4], [0, 0.5],
    ),
    "Where a mean": (
        lambda x: gn.Where(gn.Sum(x, 1) > 0, gn.Mean(gn.Sqrt(x - 1), 1), 0.0),
        [[2, 5], [0, 0]], [[0.25, 0.125], [0, 0]],
    ),
    "Where a norm": (
        lambda x: gn.Where(gn.Sum(x, 1) > 0, gn.Log(gn.Norm(x, axis=1)), 0.0),
        [[3, 4], [0, 0]], [[0.12, 0.16], [0, 0]],
    ),
    "Where a table divides": (scaled_by_a_table, [1, 1, 1], [0, 0.5, 0.25]),
    "Where values are missing": (missing_values, [NAN, 3], [0, 6]),
    "Where a value has two branches": (two_branches_of_one_value, [0, 0.25, 4], [0, 1, 0.75]),
    "Where in a formula": (lambda x: Guarded(x), [-1, 0, 4], [0, 0, 0.25]),
    "Maximum of Log": (lambda x: gn.Maximum(gn.Log(x), 0.0), [0, 2], [0, 0.5]),
    "Minimum of Exp": (lambda x: gn.Minimum(gn.Exp(x), 10.0), [0, 2000], [1, 0]),
    "Clip of Exp": (lambda x: gn.Clip(gn.Exp(x), 0.0, 10.0), [0, 2000], [1, 0]),
    "Clip at its bounds": (lambda x: gn.Clip(x, -1.0, 1.0), [-2, -1, 0, 1, 2], [0, 1, 1, 1, 0]),
    "Maximum of equals": (lambda x: gn.Maximum(x, 0.0), [0], [0]),
    "Maximum of itself": (lambda x: gn.Maximum(x, x), [0, 1], [1, 1]),
    "Max of equals": (lambda x: gn.Max(x, axis=1), [[1, 1, 0], [2, 2, 2]], [[0.5, 0.5, 0], [1 / 3] * 3]),
    "Abs at 0": (gn.Abs, [-1, 0, 1], [-1, 0, 1]),
    "Sign": (gn.Sign, [-1, 0, 1], [0, 0, 0]),
    "ReLU at 0": (gn.ReLU, [-1, 0, 1], [0, 0, 1]),
    "norm at 0": (distance, [[0, 0], [3, 4]], [[0, 0], [0.6, 0.8]]),
    "Norm at 0": (lambda x: gn.Norm(x, axis=-1), [[0, 0], [3, 4]], [[0, 0], [0.6, 0.8]]),
    "LogSumExp of nothing": (
        lambda x: gn.Where(gn.IsInf(y := gn.LogSumExp(x, axis=1)), 0.0, y), [[-INF, -INF], [0, -INF]], [[0, 0], [1, 0]],
    ),
    "LogSumExp of -inf": (lambda x: gn.LogSumExp(x, axis=1), [[0, -INF], [1e4, 1e4]], [[1, 0], [0.5, 0.5]]),
    "LogSumExp of -inf alone": (lambda x: gn.LogSumExp(x, axis=1), [[-INF, -INF]], [[0, 0]]),
    "norm of a formula at 0": (lambda x: Hypot(x, x), [0, 1], [0, 2**0.5]),
    "x ** 2 at 0": (lambda x: x**2, [0, 1], [0, 2]),
    "x ** 1 at 0": (lambda x: x**1, [0, 1], [1, 1]),
    "x ** 0 at 0": (lambda x: x**0 + 0 * x, [0, 1], [0, 0]),
    "x ** 0.5 at 0": (lambda x: x**0.5, [0, 4], [0, 0.25]),
    "x ** 3 below 0": (lambda x: x**3, [-2, 0], [12, 0]),
    "x ** y at 0": (
        lambda x: x ** gn.Constant([0.0, 0.5, 1.0, 2.0, 3.0], dtype=x.dtype), [0] * 5, [0, 0, 1, 0, 0],
    ),
    "0 ** x": (at_zero_by_exponent, [0, 2, 3], [0, 0, 8 * np.log(2)]),
    "Arctan2 at the origin": (lambda x: gn.Arctan2(x, 2 * x), [0], [0]),
    "Arctan2 near the origin": (lambda x: gn.Arctan2(x, gn.Constant(1e-30, dtype=x.dtype)), [0], [1e30]),
    "Arctan2 far away": (lambda x: gn.Arctan2(x, gn.Constant(1e30, dtype=x.dtype)) * 1e30, [0, 1e30], [1, 0.5]),
    "Sigmoid far out": (gn.Sigmoid, [-1e4, 0, 1e4], [0, 0.25, 0]),
    "Softplus far out": (gn.Softplus, [-1e4, 0, 1e4], [0, 0.5, 1]),
    "SiLU far out": (gn.SiLU, [-1e4, 0, 1e4], [0, 0.5, 1]),
    "Mish far out": (gn.Mish, [-1e4, 0, 1e4], [0, 0.6, 1]),
    "GELU far out": (gn.GELU, [-1e4, 0, 1e4], [0, 0.5, 1]),
    "GELU by tanh far out": (partial(gn.GELU, approximate="tanh"), [-1e4, 0, 1e4], [0, 0.5, 1]),
    "ELU far out": (gn.ELU, [-1e4, 0, 1e4], [0, 1, 1]),
    "Tanh far out": (gn.Tanh, [-1e4, 0, 1e4], [0, 1, 0]),
    "Softmax with a mask": (masked_softmax, [[0, 0, -2]], [[0.25, -0.25, 0]]),
    "LogSoftmax far out": (lambda x: gn.LogSoftmax(x) * [1, 0], [[-1e4, 0]], [[1, -1]]),
}  # fmt: skip


class Guarded(gn.Elementwise):
    x: gn.Node
    formula = "where(x > 0, sqrt(x), 0)"


class Hypot(gn.Elementwise):
    x: gn.Node
    y: gn.Node
    formula = "sqrt(x * x + y * y)"


@pytest.mark.parametrize("passes", ["none", "default"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("trap", TRAPS)
def test_the_gradient_is_right(trap, dtype, passes):
    function, at, expected = TRAPS[trap]
    x = gn.Input("x", np.shape(at), dtype=dtype)
    loss = gn.Sum(function(x))
    slope = gn.compile([gn.grad(loss, x), x], passes=passes)(x=np.array(at, dtype))[0]
    np.testing.assert_allclose(
        slope, expected, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-7 * (dtype[-1] == "2")
    )


@pytest.mark.parametrize(
    "trap", [name for name in TRAPS if name.startswith(("Where", "Maximum of", "Minimum", "Clip of"))]
)
def test_the_second_derivative_is_right_too(trap):
    function, at, first = TRAPS[trap]
    x, v = (gn.Input(name, np.shape(at), dtype="float64") for name in "xv")
    slope = gn.grad(gn.Sum(function(x)), x)
    curve = gn.grad(gn.Sum(slope * v) + gn.Sum(0 * x), x)
    f = gn.compile({"slope": slope, "curve": curve, "x": x, "v": v})
    point, chosen = np.array(at, float), (np.array(first) != 0).astype(float)
    assert np.isfinite(f(x=point, v=np.ones_like(point))["curve"]).all()
    above, below = (f(x=point + step * chosen, v=chosen)["slope"] for step in (1e-6, -1e-6))
    np.testing.assert_allclose(f(x=point, v=chosen)["curve"] * chosen, (above - below) / 2e-6 * chosen, 1e-5, 1e-5)


def test_a_gradient_that_is_zero_by_chance_is_not_one_that_is_zero_for_certain():
    x = gn.Input("x", (), dtype="float64")
    u = gn.Where(x > -1, gn.Expm1(x), 0.0)
    slope = gn.grad(0.5 * u * u, x)  # u * exp(x): 0 at 0, with slope 1
    assert gn.compile([slope, gn.grad(slope, x)])(x=0.0) == [0.0, 1.0]


def test_a_value_that_is_needed_elsewhere_gets_its_whole_gradient():
    x = gn.Input("x", ("N",), dtype="float64")
    root = gn.Sqrt(x)
    loss = gn.Sum(gn.Where(x > 2, root, 0.0) + root)
    np.testing.assert_allclose(gn.compile(gn.grad(loss, x))(x=[1.0, 4.0]), [0.5, 0.5])


def test_matrix_products_end_what_is_known_and_stay_right():
    x = gn.Input("x", (2, 2), dtype="float64")
    loss = gn.Sum(gn.Where([[True, False], [False, False]], gn.Square(x) @ np.eye(2), 0.0))
    np.testing.assert_array_equal(gn.compile(gn.grad(loss, x))(x=[[1.0, 2.0], [3.0, 4.0]]), [[2, 0], [0, 0]])


def nodes_of(loss, x):
    return [node.op for node in gn.Graph(gn.grad(loss, x)).nodes]


def test_a_graph_without_choices_gets_none():
    x = gn.Input("x", ("N",))
    assert "Where" not in nodes_of(gn.Sum(gn.Log(gn.Sqrt(gn.Exp(x) / x))), x)


def test_factors_that_are_numbers_need_no_choice():
    x = gn.Input("x", ("N",))
    assert nodes_of(gn.Sum(gn.Where(x > 0, 1 - (3 * x + 1) / 2, 0.0)), x).count("Where") == 1


def test_the_price_is_linear():
    def price(depth):
        x = y = gn.Input("x", ("N",))
        for _ in range(depth):
            y = gn.Where(x > 0, gn.Log(gn.Sqrt(y)) + gn.Repeat(gn.Sum(y, keepdims=True), "N"), 0.0)
        return len(nodes_of(gn.Sum(y), x))

    assert price(40) - price(30) == price(20) - price(10)
