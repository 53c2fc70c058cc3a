"""Reductions: any axes, empty ones, rows of zeros and of infinities, ties."""

import numpy as np
import pytest

import graphnn as gn

METHODS = ("sum", "mean", "max", "min", "prod", "var", "all", "any")


@pytest.fixture(autouse=True)
def in_double():
    with gn.default_dtype("float64"):
        yield


def slopes(build, *values):
    """The gradient of the sum of `build(x)` at some values."""
    x = gn.Input("x", np.shape(values[0]))
    f = gn.compile(gn.grad(gn.Sum(build(x)), x))
    return [f(x=value) for value in values]


@pytest.mark.parametrize("method", METHODS)
def test_methods_reduce_the_axes_that_numpy_does(method):
    value = np.random.default_rng(0).normal(size=(2, 3, 4))
    x = gn.Input("x", ("N", 3, "M"))
    for axis in (None, 0, -1, (0, 2), (-3, 1), (2, 0, 1), ()):
        for keepdims in (False, True):
            made = gn.compile(getattr(x, method)(axis, keepdims))(x=value)
            expected = getattr(value, method)(axis=axis, keepdims=keepdims)
            np.testing.assert_allclose(made, expected, rtol=1e-12, err_msg=f"{method} {axis} {keepdims}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(7, 10), (500, 10), (3, 200, 16), (2, 3, 64), (500, 65), (4, 0, 6)])
@pytest.mark.parametrize("axis", [-1, -2])
def test_short_rows_and_stacks_of_rows_are_what_numpy_makes_of_them(shape, axis, dtype):
    """By products with ones, column by column, and by NumPy's own loops; what is not finite stays where it is."""
    value = np.random.default_rng(0).normal(size=shape).astype(dtype)
    if value.size:
        value[..., 0, 1], value[..., -1, 0], value[..., -1, 2] = np.nan, np.inf, -np.inf
    x = gn.Input("x", shape, dtype=dtype)
    for method in ("sum", "max", "min") if value.shape[axis] else ("sum",):
        for keepdims in (False, True):
            node = getattr(x, method)(axis, keepdims)
            made = gn.compile(node)(x=value)
            with np.errstate(invalid="ignore"):
                expected, forward = getattr(value, method)(axis=axis, keepdims=keepdims), node.forward(np, value)
            np.testing.assert_allclose(made, expected, rtol=0, atol=1e-4 if dtype == "float32" else 1e-12)
            if method == "sum":
                np.testing.assert_array_equal(made, forward)


def test_of_nothing():
    x = gn.Input("x", ("N", 2))
    f = gn.compile({m: getattr(x, m)(axis=0) for m in ("sum", "prod", "all", "any", "mean", "var", "cumsum")})
    out = f(x=np.zeros((0, 2)))
    for name, value in {"sum": 0, "prod": 1, "all": True, "any": False, "mean": np.nan, "var": np.nan}.items():
        np.testing.assert_array_equal(out[name], [value, value])
    assert out["cumsum"].shape == (0, 2)
    np.testing.assert_array_equal(gn.compile(gn.Norm(x))(x=np.zeros((0, 2))), 0)


@pytest.mark.parametrize("method", ["max", "min", "argmax", "argmin"])
def test_there_is_no_extreme_of_nothing(method):
    x = gn.Input("x", ("N", 2))
    f = gn.compile(getattr(x, method)(axis=0))
    assert f(x=np.ones((1, 2))).shape == (2,)
    with pytest.raises(gn.ShapeError, match=r"needs N-1 to be 0 or more, but it is -1 with N=0: feed N of 1 or more"):
        f(x=np.zeros((0, 2)))
    wanted = "minimum" if "min" in method else "maximum"
    with pytest.raises(gn.ShapeError, match=rf"'y' f64\[0, 2\] .* is empty along axis 0, so it has no {wanted}"):
        getattr(gn.Input("y", (0, 2)), method)(axis=0)
    assert gn.compile(getattr(x, method)(axis=1))(x=np.zeros((0, 2))).shape == (0,)


def test_a_loop_is_told_before_it_runs_that_its_last_batch_is_too_small():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    loss = gn.Sum(w * (x[2:] - x[:-2]))
    f = gn.compile(loss, {w: w - 0.1 * gn.grad(loss, w)})
    with pytest.raises(gn.ShapeError, match="needs N-2 to be 0 or more, but it is -1 with N=1"):
        f.loop({"x": np.arange(7.0)}, batch_size=3)
    assert w.value == 1
    assert f.loop({"x": np.arange(7.0)}, batch_size=3, drop_last=True).shape == (1, 2)


def test_equal_extremes_share_the_gradient():
    for op, value in ((gn.Max, [[3, 1, 3], [2, 0, 1]]), (gn.Min, [[0, 1, 0], [2, 0, 1]])):
        [slope] = slopes(lambda x, op=op: op(x, axis=1), np.array(value, float))
        expected = [[0.5, 0, 0.5], [1, 0, 0]] if op is gn.Max else [[0.5, 0, 0.5], [0, 1, 0]]
        np.testing.assert_array_equal(slope, expected)


ZEROS = np.array([[2.0, 3.0, 4.0], [2.0, 0.0, 4.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])


def test_the_gradient_of_a_product_is_right_with_one_zero_or_several():
    [slope] = slopes(lambda x: gn.Prod(x, axis=1), ZEROS)
    np.testing.assert_array_equal(slope, [[12, 8, 6], [0, 8, 0], [0, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("op", [gn.Prod, gn.CumProd])
def test_so_is_its_second_derivative(op):
    x = gn.Input("x", (4, 3))
    weights = np.arange(1.0, 4.0)
    first = gn.grad(gn.Sum(op(x, axis=1) * (weights if op is gn.CumProd else 1.0)), x)
    gn.testing.check_grad(gn.Sum(first * np.arange(1.0, 13.0).reshape(4, 3)), x, {"x": ZEROS})


def test_a_product_over_several_axes_of_named_sizes():
    x = gn.Input("x", ("N", 2, "M"))
    value = np.array([[[1.0, 2.0, 0.0], [1.5, 1.0, 2.0]], [[2.0, 1.0, 1.0], [3.0, 1.0, 0.5]]])
    gn.testing.check_grad(gn.Sum(gn.Prod(x, axis=(0, 2)) ** 2), x, {"x": value})


def test_log_sum_exp_holds_over_the_whole_range():
    inf = np.inf
    rows = np.array([[1e308, 1e308], [-1e308, -1e308], [-inf, -inf], [-inf, 3.0], [inf, 0.0], [800.0, -800.0]])
    x = gn.Input("x", ("N", 2))
    y = gn.LogSumExp(x, axis=1)
    gx = gn.grad(gn.Sum(y), x)
    for passes in ("default", "none"):
        value, slope, curve = gn.compile([y, gx, gn.grad(gn.Sum(gx * x[:, ::-1]), x)], passes=passes)(x=rows)
        np.testing.assert_allclose(value, [1e308, -1e308, -inf, 3, inf, 800])
        expected = [[0.5, 0.5], [0.5, 0.5], [0, 0], [0, 1]]
        np.testing.assert_allclose(slope[[0, 1, 2, 3, 5]], [*expected, [1, 0]])
        assert np.isfinite(curve[5]).all()


def test_the_gradient_of_log_sum_exp_keeps_its_digits_where_the_value_has_no_room_for_them():
    x = gn.Input("x", (3,), dtype="float32")
    slope = gn.compile(gn.grad(gn.LogSumExp(x), x))(x=[1e6, 1e6, 1e6 - 1])
    e = np.exp([0.0, 0.0, -1.0])
    np.testing.assert_allclose(slope, e / e.sum(), rtol=1e-6)


def test_the_norm_has_slope_zero_at_zero():
    for order, expected in ((2, [[0.6, 0.8], [0, 0]]), (1, [[1, 1], [0, 0]])):
        [slope] = slopes(lambda x, order=order: gn.Norm(x, axis=1, ord=order), np.array([[3.0, 4.0], [0.0, 0.0]]))
        np.testing.assert_allclose(slope, expected)


def test_variance_counts_less_the_degrees_of_freedom_and_never_below_none():
    x = gn.Input("x", ("N",))
    f = gn.compile({str(d): x.var(ddof=d) for d in (0, 1, 2)})
    with np.errstate(all="ignore"):
        for value in (np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0])):
            for d, made in f(x=value).items():
                expected = value.var(ddof=int(d)) if len(value) > int(d) else np.inf
                np.testing.assert_allclose(made, expected)


def test_running_sums_begin_at_either_end_and_may_leave_an_element_out():
    x = gn.Input("x", (3,))
    for exclusive, reverse, expected in (
        (False, False, [1, 3, 7]),
        (True, False, [0, 1, 3]),
        (False, True, [7, 6, 4]),
        (True, True, [6, 4, 0]),
    ):
        np.testing.assert_array_equal(gn.compile(gn.CumSum(x, 0, exclusive, reverse))(x=[1, 2, 4]), expected)
    table = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(gn.compile(gn.Input("y", (2, "N")).T.cumsum())(y=table), table.T.cumsum())
    with pytest.raises(gn.ShapeError, match="not of the form k·N"):
        gn.Input("z", ("N", "M")).cumsum()


def test_integers_are_added_and_multiplied_up_in_64_bits():
    x = gn.Input("x", ("N",), dtype="uint8")
    out = gn.compile([x.sum(), x.prod(), x.cumsum(), x.max()])(x=np.full(2, 200, np.uint8))
    assert [a.dtype.name for a in out] == ["uint64", "uint64", "uint64", "uint8"]
    np.testing.assert_array_equal(out[2], [200, 400])


def test_places_of_extremes():
    x = gn.Input("x", ("N", 3))
    rows = np.array([[2.0, 2.0, 1.0], [np.nan, 5.0, np.nan]])
    f = gn.compile([x.argmax(axis=1), gn.ArgMax(x, axis=1, last=True), x.argmin(axis=1), x.argmax()])
    for made, expected in zip(f(x=rows), ([0, 0], [1, 2], [2, 0], 3), strict=True):
        np.testing.assert_array_equal(made, expected)
    assert gn.compile(x.T.argmax(axis=0, keepdims=True))(x=rows).shape == (1, 2)


def test_the_best_few_and_their_gradient():
    x = gn.Input("x", ("N", 4))
    values, places = gn.TopK(x, 2)
    gx = gn.grad(gn.Sum(values * np.array([1.0, 10.0])), x)
    rows = np.array([[1.0, 3.0, 3.0, 2.0], [0.0, -1.0, 5.0, np.nan]])
    made = gn.compile([values, places, gx], check_finite="all")(x=rows[:1])
    for found, expected in zip(made, ([[3, 3]], [[1, 2]], [[0, 1, 10, 0]]), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(gn.compile(places)(x=rows)[1], [3, 2])  # NaN counts as the largest
    gn.testing.check_grad(gn.Sum(gn.TopK(x, 3, largest=False)[0] ** 3), x, {"x": np.array([[1.0, 4.0, 2.0, 3.0]])})
    with pytest.raises(gn.ShapeError, match=r"needs M-2 to be 0 or more, but it is -1 with M=1"):
        gn.compile(gn.TopK(gn.Input("y", ("M",)), 2)[0])(y=[1.0])


@pytest.mark.parametrize(
    ("declare", "error", "says"),
    [
        (lambda x: gn.Min(x, axis=2), gn.ShapeError, r"Min: there is no axis 2 in 'x' f64\[N, 3\] \(.*:\d+\), which"),
        (lambda x: gn.Prod(x, axis=(0, -2)), gn.ShapeError, r"Prod: axis \(0, -2\) names an axis of 'x' .* twice"),
        (lambda x: gn.Norm(x, ord=3), gn.GraphError, "ord 3 is neither 1 nor 2"),
        (lambda x: gn.Variance(x, ddof=-1), gn.GraphError, "ddof -1 is not a number, 0 or more"),
        (lambda x: gn.LogSumExp(x > 0), gn.DTypeError, r"Greater bool\[N, 3\] .* is of bools; cast it first"),
        (lambda x: gn.TopK(x, 4), gn.ShapeError, "there are no 4 elements along axis 1 of 'x'"),
        (lambda x: x.argmax(axis=(0, 1)), gn.ShapeError, r"ArgMax: axis \(0, 1\) is not a number"),
    ],
)
def test_refusals_name_the_culprit(declare, error, says):
    with pytest.raises(error, match=says):
        declare(gn.Input("x", ("N", 3)))
