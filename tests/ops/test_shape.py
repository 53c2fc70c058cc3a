"""Shapes: views that cost nothing, named sizes that stay exact, subscripts that mean what NumPy's do."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

import graphnn as gn


@pytest.fixture(autouse=True)
def in_double():
    with gn.default_dtype("float64"):
        yield


@given(hnp.basic_indices((3, 4, 5), allow_newaxis=True), st.booleans())
def test_a_subscript_takes_what_numpy_takes_and_sends_its_gradient_back_there(key, turned):
    value = np.arange(60.0).reshape(3, 4, 5)
    with gn.default_dtype("float64"):
        x = gn.Input("x", (3, 4, 5))
        part = (gn.Flip(x) if turned else x)[key]
        gx = gn.grad(gn.Sum(part * part), x)
        made, slope = gn.compile([part, gx])(x=value)
    source = value[::-1, ::-1, ::-1] if turned else value
    np.testing.assert_array_equal(made, source[key])
    expected = np.zeros_like(value)
    view = expected[::-1, ::-1, ::-1] if turned else expected
    view[key] = 2 * source[key]
    np.testing.assert_array_equal(slope, expected)


places = st.one_of(st.none(), st.integers(-4, 4))


def lies_within(n, start, stop, step):
    """Does a slice of n elements need no clamping, and does it not run backwards?"""
    first, end = (p + n if p is not None and p < 0 else p for p in (start, stop))
    length = (
        ((n if end is None else end) - (first or 0))
        if step > 0
        else (n - 1 if first is None else first) - (-1 if end is None else end)
    )
    return all(p is None or 0 <= p <= n for p in (first, end)) and length >= 0 and not (step < 0 and first == n)


@given(places, places, st.sampled_from([1, 2, 3, -1, -2]), st.sampled_from([("N", 1, 0), ("N", 2, 1), ("N", 6, 0)]))
def test_a_slice_of_a_named_size_is_numpys_or_refused(start, stop, step, size):
    with gn.default_dtype("float64"):
        x = gn.Input("x", (gn.Size(*size),))
        try:
            part = x[start:stop:step]
        except gn.ShapeError as error:
            assert step % size[1] or size[1] % step
            assert "is not of the form k·N + c" in str(error)
            return
        f = gn.compile({"y": part, "dx": gn.grad(gn.Sum(part**2) + gn.Sum(x), x)})
    for n in range(6):
        value = np.arange(1.0, 1 + size[1] * n + size[2])
        if lies_within(len(value), start, stop, step):
            expected = np.ones_like(value)
            expected[start:stop:step] += 2 * value[start:stop:step]
            made = f(x=value)
            np.testing.assert_array_equal(made["y"], value[start:stop:step])
            np.testing.assert_array_equal(made["dx"], expected)
        else:
            try:
                assert f(x=value)["y"].size == len(value[start:stop:step]) == 0
            except gn.ShapeError as error:
                assert "needs" in str(error)


def test_sizes_along_a_named_axis_stay_exact():
    x, y = gn.Input("x", ("N", 3)), gn.Input("y", ("N", 4))
    n = gn.Size("N")
    assert gn.Concat((x, y), axis=1).shape == (n, 7)
    assert gn.Concat((x, y[:, :3], x)).shape == (3 * n, 3)
    assert gn.Concat((x, np.zeros((2, 3)))).shape == (n + 2, 3)
    assert x[1:].shape == (n - 1, 3) and x[1:-1].shape == (n - 2, 3) and x[:3].shape == (3, 3)
    assert x[-2:].shape == (2, 3) and x[::-1].shape == (n, 3) and x[5:2].shape == (0, 3)
    assert gn.Concat((x, x))[::2].shape == (n, 3)
    assert gn.Tile(x, (2, 1)).shape == (2 * n, 3)
    assert gn.Flatten(x, axis=2).shape == (3 * n, 1)
    assert gn.Pad(x, ("N", 0)).shape == (3 * n, 3)
    assert gn.Stack((x, x), axis=1).shape == (n, 2, 3)
    assert [part.shape for part in gn.Split(gn.Concat((x, x)), 2)] == [(n, 3), (n, 3)]
    assert [part.shape for part in gn.Split(x, (n - 1, 1))] == [(n - 1, 3), (1, 3)]


def test_positions_up_to_a_named_size():
    table, x = gn.Parameter("table", np.arange(20.0).reshape(10, 2)), gn.Input("x", ("B", "T", 2))
    y = x + table[:"T"]
    f = gn.compile([y, gn.grad(gn.Sum(y * y), table)])
    made, slope = f(x=np.ones((3, 4, 2)))
    np.testing.assert_array_equal(made[1], 1 + table.value[:4])
    np.testing.assert_array_equal(slope[:4], 6 * (1 + table.value[:4]))
    np.testing.assert_array_equal(slope[4:], 0)
    with pytest.raises(gn.ShapeError, match=r"Slice f64\[T, 2\] .* needs -1T\+10 .* feed T of 10 or less"):
        f(x=np.ones((1, 11, 2)))


def test_views_cost_nothing():
    x = gn.Input("x", ("N", 6))
    a, b = gn.Split(x, 2, axis=1)
    parts = [x[1:, ::2], x[::-1], gn.Flip(x), a, b, x[0], x[..., None], gn.Squeeze(x[:1]), gn.Broadcast(x[0], ("N", 6))]
    f = gn.compile(parts)
    assert not f.plan.steps
    value = np.arange(18.0).reshape(3, 6)
    expected = [value[1:, ::2], value[::-1], value[::-1, ::-1], value[:, :3], value[:, 3:], value[0], value[..., None]]
    for made, right in zip(f(x=value), [*expected, value[0], np.broadcast_to(value[0], (3, 6))], strict=True):
        np.testing.assert_array_equal(made, right)


def test_a_run_of_rows_lies_densely_and_can_be_reshaped_without_a_copy():
    x = gn.Input("x", ("N", 4))
    assert not gn.compile(x[1:3].reshape((2, 2, 2))).plan.steps
    assert [s.node.op for s in gn.compile(x[::-1].reshape(-1)).plan.steps] == ["Reshape"]
    assert [s.node.op for s in gn.compile(x[:, 1:3].reshape(-1)).plan.steps] == ["Reshape"]
    np.testing.assert_array_equal(
        gn.compile(x[::-1].reshape(-1))(x=np.arange(8.0).reshape(2, 4)), [*range(4, 8), *range(4)]
    )


def test_a_view_keeps_its_base_alive_through_later_steps():
    x = gn.Input("x", ("N",))
    y = gn.Exp(x)
    front, back = gn.Split(y[::-1], (1, gn.Size("N") - 1))
    total = gn.Tanh(gn.Exp(gn.Sum(y))) * 0 + gn.Sum(gn.Concat((back, front)) * y)
    value = np.array([0.0, 1.0, 2.0])
    e = np.exp(value)
    np.testing.assert_allclose(gn.compile(total)(x=value), np.sum(np.roll(e[::-1], -1) * e))


def test_steps_read_negative_strides():
    x, W = gn.Input("x", ("N", 3)), gn.Parameter("W", np.arange(6.0).reshape(3, 2))
    turned = x[::-1, ::-1]
    value = np.random.default_rng(0).normal(size=(4, 3))
    seen = value[::-1, ::-1]
    made = gn.compile([turned @ W, turned.sum(0), turned.max(1), gn.Exp(turned), turned.cumsum(0), turned @ W[::-1]])
    expected = [seen @ W.value, seen.sum(0), seen.max(1), np.exp(seen), seen.cumsum(0), seen @ W.value[::-1]]
    for found, right in zip(made(x=value), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-12)


def test_views_of_inputs_are_made_anew_for_every_batch_of_a_loop():
    x, w = gn.Input("x", ("N", 4)), gn.Parameter("w", np.ones(2))
    left, right = gn.Split(x[::-1], 2, axis=1)
    loss = gn.Mean((left * w - right) ** 2)
    f = gn.compile(loss, gn.SGD(lr=0.1).updates(loss))
    data = np.random.default_rng(0).normal(size=(10, 4))
    losses = f.loop({"x": data}, batch_size=4, epochs=2)
    value, expected = np.ones(2), []
    for start in (0, 4, 8) * 2:
        batch = data[start : start + 4]
        error = batch[:, :2] * value - batch[:, 2:]
        expected.append(np.mean(error**2))
        value = value - 0.1 * 2 * np.sum(error * batch[:, :2], 0) / error.size
    np.testing.assert_allclose(losses.reshape(-1), expected)
    np.testing.assert_allclose(w.value, value)


def test_a_parameter_can_become_a_view_of_itself():
    w = gn.Parameter("w", [1.0, 2.0, 3.0])
    gn.compile(gn.Sum(w), {w: w[::-1]})()
    np.testing.assert_array_equal(w.value, [3, 2, 1])
    a, b = gn.Split(w, (1, 2))
    gn.compile(gn.Sum(w), {w: gn.Concat((b, a))})()
    np.testing.assert_array_equal(w.value, [2, 1, 3])


def test_the_same_value_joined_twice_gets_both_gradients():
    x = gn.Input("x", (2,))
    loss = gn.Sum(gn.Concat((x, x)) * np.array([1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_array_equal(gn.compile({"dx": gn.grad(loss, x), "x": x})(x=[0, 0])["dx"], [4, 6])


def test_a_part_that_nobody_uses_has_no_gradient():
    x = gn.Input("x", ("N", 3))
    first, _, _ = gn.Split(x, 3, axis=1)
    assert gn.Split(x, 3, axis=1)[0].shape == first.shape
    np.testing.assert_array_equal(gn.compile(gn.grad(gn.Sum(first**2), x))(x=[[2, 3, 4]]), [[4, 0, 0]])


@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
def test_padding_that_takes_from_the_value_is_numpys_and_sends_the_gradient_back(mode):
    value = np.random.default_rng(0).normal(size=(4, 5))
    x = gn.Input("x", ("N", 5))
    padded = gn.Pad(x, (3, 0), (1, 4), mode=mode)
    np.testing.assert_array_equal(gn.compile(padded)(x=value), np.pad(value, ((3, 1), (0, 4)), mode))
    gn.testing.check_grad(gn.Sum(padded * padded * padded), x, {"x": value})
    least = {"edge": 1, "reflect": 4, "wrap": 3}[mode]
    with pytest.raises(gn.ShapeError, match=f"needs N-{least} to be 0 or more"):
        gn.compile(padded)(x=value[: least - 1])


def test_padding_with_a_value_and_between_neighbours():
    x = gn.Input("x", (2, 2))
    f = gn.compile([gn.Pad(x, 1, value=-np.inf), gn.Pad(x, (0, 1), 0, value=7, between=(1, 0))])
    around, apart = f(x=[[1, 2], [3, 4]])
    np.testing.assert_array_equal(around, np.pad([[1.0, 2.0], [3.0, 4.0]], 1, constant_values=-np.inf))
    np.testing.assert_array_equal(apart, [[7, 1, 2], [7, 7, 7], [7, 3, 4]])


def test_joining_casts_in_sight_and_takes_arrays():
    x, n = gn.Input("x", (2,), dtype="float32"), gn.Input("n", (2,), dtype="int32")
    joined = gn.Concat((x, [1.0], n))
    assert joined.dtype == np.float64 and [v.op for v in joined.values] == ["Cast", "Constant", "Cast"]
    np.testing.assert_array_equal(gn.compile(joined)(x=[1, 2], n=[3, 4]), [1, 2, 1, 3, 4])
    assert gn.Concat((x, [1.0])).dtype == np.float32


def test_branch_stays_a_node_of_the_drawing():
    x = gn.Input("x", ("N",))
    a, b = gn.Branch(x, 2)
    assert "Branch" in gn.Graph(gn.Sum(a * b)).to_dot() and "Branch" in str(gn.Graph(gn.Sum(a * b)))


X = gn.Input("x", ("N", 3))
Y = gn.Input("y", ("M", 4))


@pytest.mark.parametrize(
    ("declare", "error", "says"),
    [
        (
            lambda: gn.Concat((X, Y)),
            gn.ShapeError,
            r"Concat: 'x' f\d+\[N, 3\] \(test_shape.py:\d+\) and 'y' f\d+\[M, 4\] \(test_shape.py:\d+\) "
            "differ beside axis 0",
        ),
        (
            lambda: gn.Concat((X, Y[:, 1:])),
            gn.ShapeError,
            r"Concat: 'x' .* and Slice .* along axis 0: .*not both\. If they are the same size, use one name",
        ),
        (
            lambda: gn.Concat((gn.Input("a", ()), gn.Input("b", ()))),
            gn.ShapeError,
            "no axis to be joined along; use gn.Stack",
        ),
        (lambda: gn.Concat(X), gn.GraphError, r"pass a tuple of one or more, as in gn.Concat\(\(x, y\)\)"),
        (lambda: gn.Stack((X, Y)), gn.ShapeError, "Stack: 'x' .* and 'y' .* are not of one shape"),
        (
            lambda: gn.Split(X, 2),
            gn.ShapeError,
            r"axis 0 of 'x' .* does not part into 2 equal parts: N is not a multiple",
        ),
        (lambda: gn.Split(X, 2, axis=1), gn.ShapeError, "3 is not a multiple of 2. Give their sizes instead"),
        (lambda: gn.Split(X, (1, 1), axis=1), gn.ShapeError, r"has size 3, which is not 1 \+ 1"),
        (
            lambda: X[::2],
            gn.ShapeError,
            r"Slice: \[::2\] along axis 0 of 'x' .*: every 2th of N elements is not of the form",
        ),
        (lambda: X[:"M"], gn.ShapeError, r"Slice: \[:M:1\] along axis 0 of 'x' .* use one name"),
        (lambda: X[:, ::0], gn.ShapeError, "step 0 along axis 1"),
        (lambda: X[:, 3], gn.ShapeError, "there is no element 3 along axis 1 of 'x' .*, which has size 3"),
        (lambda: X[0, 0, 0], gn.ShapeError, "has 3 keys, but there are 2 axes"),
        (lambda: X[..., ...], gn.ShapeError, "`...` more than once"),
        (lambda: X[X > 0], gn.GraphError, r"a mask Greater bool\[N, 3\] .* does not index 'x' .* Use gn.Where"),
        (lambda: X["first"], gn.GraphError, "'first' is no subscript of 'x'"),
        (lambda: X[: gn.Sum(X)], gn.ShapeError, "Sum .* is not a place: use a number or a named size"),
        (lambda: X[X], gn.DTypeError, "index 'x' .* of 'x' .* must be integers"),
        (lambda: gn.Split(X, 3, axis=1)[3], gn.GraphError, "has 3 results: pick one by its number, 0 to 2, not 3"),
        (lambda: gn.Squeeze(X, 0), gn.ShapeError, "axis 0 of 'x' .* has size N; only an axis of size 1 can go"),
        (lambda: gn.Unsqueeze(X, 4), gn.ShapeError, "axis 4 is not there: with 1 more, 'x' .* has 3 axes"),
        (
            lambda: gn.Broadcast(X, (2, 3)),
            gn.ShapeError,
            r"'x' .* cannot be repeated to \[2, 3\]: its size N is neither 1 nor 2",
        ),
        (
            lambda: gn.Tile(X, ("M", 1)),
            gn.ShapeError,
            "'x' .* has N elements along an axis, and M times that is no size",
        ),
        (
            lambda: gn.Flatten(gn.Broadcast(X, ("M", "N", 3)), 2),
            gn.ShapeError,
            "at axis 2: .* products are not supported",
        ),
        (lambda: gn.Pad(X, (1, 2, 3)), gn.ShapeError, "says how many for 3 axes, but 'x' .* has 2"),
        (
            lambda: gn.Pad(X, (0, 3), mode="reflect"),
            gn.ShapeError,
            "axis 1 of 'x' .* has 3 elements; mode 'reflect' needs 4",
        ),
        (lambda: gn.Pad(X, 1, mode="mirror"), gn.GraphError, "mode 'mirror' is none of 'constant', 'edge'"),
        (lambda: gn.Trilu(gn.Input("v", (3,))), gn.ShapeError, "'v' .* is not a matrix"),
    ],
)
def test_refusals_name_the_culprits_and_the_mend(declare, error, says):
    with pytest.raises(error, match=says):
        declare()
