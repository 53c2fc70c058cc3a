"""Indices: checked at every call, never wrapping; and what is gathered, scattered and combined by them."""

import tracemalloc

import numpy as np
import pytest

import graphnn as gn


@pytest.fixture(autouse=True)
def in_double():
    with gn.default_dtype("float64"):
        yield


TABLE = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize("bad", [-1, 4])
@pytest.mark.parametrize("passes", ["default", "none"])
def test_an_index_out_of_range_is_refused_at_the_call_and_nothing_changes(bad, passes):
    W, i = gn.Parameter("W", TABLE), gn.Input("i", ("N",), dtype="int64")
    loss = gn.Sum(gn.Embedding(i, W) ** 2)
    f = gn.compile(loss, {W: W - 0.1 * gn.grad(loss, W)}, passes=passes)
    says = rf"row 1 of input 'i' is {bad}, but an axis of 4 elements has places 0..3 \(\w+ at test_indexing.py:\d+\)"
    with pytest.raises(gn.LabelError, match=says + r"\. Indices never wrap; count from 0"):
        f(i=[0, bad])
    with pytest.raises(gn.LabelError, match=says):
        f.loop({"i": np.array([0, bad, 1])}, batch_size=2)
    np.testing.assert_array_equal(W.value, TABLE)


def test_a_computed_index_is_checked_too():
    x, i = gn.Input("x", ("N", 3)), gn.Input("i", (2, 2), dtype="int32")
    f = gn.compile(gn.GatherElements(x[:, :2], i + 1))
    np.testing.assert_array_equal(f(x=TABLE, i=[[0, 1], [2, -1]]), [[3, 7], [9, 1]])
    with pytest.raises(gn.LabelError, match=r"row \(1, 0\) of Add is 2, but an axis of 2 elements has places 0..1"):
        f(x=np.zeros((2, 3)), i=[[0, 0], [1, 0]])


def test_a_known_index_is_checked_where_it_is_declared():
    x = gn.Input("x", (4, 3))
    with pytest.raises(gn.LabelError, match=r"row 1 of index Constant i64\[2\] \(test_indexing.py:\d+\) is -1, but an"):
        x[[0, -1]]
    with pytest.raises(gn.LabelError, match=r"is 3, but an axis of 3 elements has places 0\.\.2"):
        gn.Gather(x, [3], axis=1)
    rows = gn.Input("y", ("N", 3))[[0, 2]]  # how many rows there are is known at the call
    with pytest.raises(gn.LabelError, match="is 2, but an axis of 2 elements"):
        gn.compile(rows)(y=np.zeros((2, 3)))
    with pytest.raises(gn.LabelError, match="an axis of 0 elements has none to point at"):
        gn.compile(rows)(y=np.zeros((0, 3)))


def test_an_index_may_have_any_rank_and_any_integer_dtype():
    x = gn.Input("x", (4, 3))
    for dtype in ("uint8", "int16", "int32", "int64"):
        for shape in ((), (2,), (0,), (2, 1, 3)):
            at = np.random.default_rng(0).integers(0, 3, shape).astype(dtype)
            i = gn.Input("i", shape, dtype=dtype)
            rows, columns, sums = gn.compile([x[i], x[:, i], gn.ScatterAdd(x[i], i, 4)])(x=TABLE, i=at)
            np.testing.assert_array_equal(rows, TABLE[at])
            np.testing.assert_array_equal(columns, TABLE[:, at])
            expected = np.zeros((4, 3))
            np.add.at(expected, at, TABLE[at])
            np.testing.assert_array_equal(sums, expected)


def test_a_subscript_with_an_index_keeps_its_place_among_the_axes():
    x, i = gn.Input("x", (4, 3, 2)), gn.Input("i", (5,), dtype="int64")
    value, at = np.random.default_rng(0).normal(size=(4, 3, 2)), np.array([1, 0, 2, 2, 1])
    made = gn.compile([x[1:, i], x[..., gn.Minimum(i, 1)], x[0, i], x[i, 0], x[:, i, None, 1:], x[[3, 0]]])
    expected = [
        value[1:, at],
        value[..., np.minimum(at, 1)],
        value[0, at],
        value[at, 0],
        value[:, at, None, 1:],
        value[[3, 0]],
    ]
    for found, right in zip(made(x=value, i=at), expected, strict=True):
        np.testing.assert_array_equal(found, right)
    with pytest.raises(gn.GraphError, match="a number and an index that stand apart"):
        x[0, :, i]
    with pytest.raises(gn.GraphError, match="several indices"):
        x[i, i]


def test_rows_that_were_not_asked_for_have_no_gradient_and_those_asked_for_twice_have_both():
    W, i = gn.Parameter("W", TABLE), gn.Input("i", ("N",), dtype="int64")
    g = gn.grad(gn.Sum(gn.Embedding(i, W) * np.array([1.0, 10.0, 100.0])), W)
    np.testing.assert_array_equal(gn.compile(g)(i=[2, 0, 2]), [[1, 10, 100], [0, 0, 0], [2, 20, 200], [0, 0, 0]])
    assert "ScatterAdd" in [node.op for node in gn.Graph(g).nodes]


def test_a_table_can_have_as_many_rows_as_the_batch():
    x, i = gn.Input("x", ("N", 3)), gn.Input("i", ("K",), dtype="int64")
    y = x[i]
    gn.testing.check_grad(gn.Sum(y * y * y), x, {"x": TABLE, "i": np.array([3, 0, 3])})


def test_an_update_by_index_lands_in_place():
    W, i, rows = gn.Parameter("W", np.zeros((4, 2))), gn.Input("i", (3, 2), dtype="int64"), gn.Input("rows", (3, 2))
    f = gn.compile({}, {W: gn.ScatterElements(W, i, rows, reduction="add")})
    assert [(s.node.op, s.into) for s in f.plan.steps] == [("ScatterElements", W)]
    f(i=[[0, 3], [1, 3], [0, 0]], rows=np.ones((3, 2)))
    np.testing.assert_array_equal(W.value, [[2, 1], [1, 0], [0, 0], [0, 2]])


def test_scattering_replaces_or_combines():
    x, i, u = gn.Input("x", (4,)), gn.Input("i", (3,), dtype="int64"), gn.Input("u", (3,))
    expected = {"none": [9, 8, 2, 7], "add": [9, 9, 2, 10], "mul": [0, 8, 2, 21], "max": [9, 8, 2, 7]}
    for reduction, right in {**expected, "min": [0, 1, 2, 3]}.items():
        made = gn.compile(gn.ScatterElements(x, i, u, reduction=reduction))(x=[0, 1, 2, 3], i=[0, 1, 3], u=[9, 8, 7])
        np.testing.assert_array_equal(made, right)


def test_extremes_by_index_share_the_gradient_and_products_are_right_at_zeros():
    x, u = gn.Input("x", (2,)), gn.Input("u", (4,))
    at = np.array([0, 0, 0, 1])
    for reduction, values, updates, dx, du in (
        ("max", [5, 1], [5, 2, 5, 0], [1 / 3, 1], [1 / 3, 0, 1 / 3, 0]),
        ("min", [0, 1], [5, 0, 2, 1], [0.5, 0.5], [0, 0.5, 0, 0.5]),
        ("mul", [2, 0], [3, 0, 5, 7], [0, 7], [0, 30, 0, 0]),
        ("mul", [0, 2], [3, 4, 5, 0], [60, 0], [0, 0, 0, 2]),
        ("mul", [2, 1], [0, 0, 5, 1], [0, 1], [0, 0, 0, 1]),
    ):
        loss = gn.Sum(gn.ScatterElements(x, at, u, reduction=reduction))
        f = gn.compile(dict(zip(("dx", "du"), gn.grad(loss, [x, u]), strict=True)))
        made = f(**{name: {"x": values, "u": updates}[name] for name in f.graph.inputs})
        np.testing.assert_allclose(made["dx"], dx)
        np.testing.assert_allclose(made["du"], du)


def test_one_hot_rows_stand_along_any_axis_with_any_two_values():
    t = gn.Input("t", (2,), dtype="int32")
    first = gn.OneHot(t, 3, "int64", axis=0, on=5, off=-1)
    made = gn.compile([first, gn.OneHot(t, 3, "float16", on=0.5), gn.OneHot(t, 3, "bool", axis=0)])(t=[2, 0])
    np.testing.assert_array_equal(made[0], [[-1, 5], [-1, -1], [5, -1]])
    np.testing.assert_array_equal(made[1], [[0, 0, 0.5], [0.5, 0, 0]])
    np.testing.assert_array_equal(made[2], [[False, True], [False, False], [True, False]])
    assert [a.dtype.name for a in made] == ["int64", "float16", "bool"]


BIG = 300


def built():
    """Each op on arrays of 360,000 bytes and more; and what they are fed."""
    x, y = (gn.Input(name, (BIG, BIG), dtype="float64") for name in "xy")
    i, j = gn.Input("i", (BIG,), dtype="int64"), gn.Input("j", (BIG, BIG), dtype="int64")
    made = {
        "CumSum": gn.CumSum(x, 1, exclusive=True, reverse=True),
        "Prod": gn.Prod(x, axis=0),
        "Any": gn.Any(x, axis=1),
        "ArgMax": gn.ArgMax(x, axis=1),
        "Concat": gn.Concat((x, y), axis=1),
        "Pad": gn.Pad(x, 2, mode="reflect"),
        "Trilu": gn.Trilu(x),
        "Gather": gn.Gather(x, i, axis=1),
        "ScatterAdd": gn.ScatterAdd(x, i, BIG),
        "GatherElements": gn.GatherElements(x, j),
        "ScatterElements": gn.ScatterElements(x, j, y, reduction="add"),
        "OneHot": gn.OneHot(i, BIG),
    }
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(BIG, BIG)), "y": rng.normal(size=(BIG, BIG))}
    feeds |= {"i": rng.integers(0, BIG, BIG), "j": rng.integers(0, BIG, (BIG, BIG))}
    return made, feeds


PROGRAMS, FEEDS = built()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_step_allocates_nothing(name):
    f = gn.compile(PROGRAMS[name])
    bound = f._program.bound({})
    bound.feed({k: v for k, v in FEEDS.items() if k in f.graph.inputs})
    calls = bound.calls()
    bound.run(calls, lambda: None)
    tracemalloc.start()
    bound.run(calls, lambda: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000  # NumPy's own buffer for operands that broadcast is 64 kB, whatever their size
