"""Control: loops against loops in NumPy and against the same loop unrolled, branches that do not run, and refusals."""

import tracemalloc

import numpy as np
import pytest

import graphnn as gn
from graphnn.transform.inference import inference


@pytest.fixture(autouse=True)
def _double():
    gn.default_dtype("float64")


def parameters(seed=0):
    rng = np.random.default_rng(seed)
    return (
        gn.Parameter("U", rng.normal(size=(3, 4))),
        gn.Parameter("W", rng.normal(size=(4, 4)) / 2),
        gn.Parameter("b", rng.normal(size=4)),
    )


def recurrent(x, h, U, W, b, reverse=False):
    def turn(h, x):
        h = gn.Tanh(x @ U + h @ W + b)
        return h, h

    return gn.Scan(turn, h, x, reverse=reverse)


def feeds(length, rows=2, seed=1):
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(length, rows, 3)), "h": rng.normal(size=(rows, 4))}


def test_a_loop_is_that_of_numpy_for_every_length_with_one_program():
    U, W, b = parameters()
    last, states = recurrent(gn.Input("x", ("T", "N", 3)), gn.Input("h", ("N", 4)), U, W, b)
    f = gn.compile({"last": last, "states": states})
    for length, rows in ((5, 2), (1, 3), (17, 1), (0, 2)):
        given = feeds(length, rows)
        h, expected = given["h"], []
        for x in given["x"]:
            h = np.tanh(x @ U.value + h @ W.value + b.value)
            expected.append(h)
        found = f(**given)
        np.testing.assert_allclose(found["last"], h, rtol=1e-12)
        np.testing.assert_allclose(found["states"], np.array(expected).reshape(length, rows, 4), rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_the_loop_unrolled(reverse):
    length = 4
    U, W, b = parameters()
    x, h = gn.Input("x", (length, 2, 3)), gn.Input("h", (2, 4))
    last, states = recurrent(x, h, U, W, b, reverse)
    looped = gn.Sum(states * states * 0.5) + gn.Sum(last * 3)

    state, unrolled = h, 0.0
    picks = np.eye(length)[::-1] if reverse else np.eye(length)
    flat = gn.Reshape(x, (length, 6))
    for t in range(length):
        slice_ = gn.Reshape(picks[t : t + 1] @ flat, (2, 3))
        state = gn.Tanh(slice_ @ U + state @ W + b)
        unrolled = gn.Sum(state * state * 0.5) + unrolled
    unrolled = unrolled + gn.Sum(state * 3)
    wrt = [U, W, b, x, h]
    results = [gn.compile([loss, *gn.grad(loss, wrt)])(**feeds(length)) for loss in (looped, unrolled)]
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_the_body_is_called_once_and_the_graph_is_as_small_for_any_length():
    calls = []

    def turn(h, x):
        calls.append(1)
        return h * x, None

    sizes = set()
    for length in (2, 2000, "T"):
        (h,) = gn.Scan(turn, gn.Constant(1.0), gn.Input("x", (length,)))
        sizes.add(len(gn.Graph(h).nodes))
    assert len(calls) == 3 and len(sizes) == 1


def test_what_does_not_change_from_turn_to_turn_is_computed_once_outside():
    W = gn.Parameter("W", np.eye(3))
    x = gn.Input("x", ("T", 3))
    (h,) = gn.Scan(lambda h, x: (h @ gn.Exp(W) + x @ W.T, None), np.zeros(3), x)
    loop = h.node
    assert [node.op for node in loop.captured] == ["Exp", "Parameter"]
    assert [node.op for node in loop.body.graph.nodes if node.op in ("Exp", "Transpose")] == ["Transpose"]


def test_carries_may_exchange_places():
    a, b = gn.Scan(lambda c: ((c[1], c[0]), None), (1.0, 2.0), length=5)
    assert [float(v) for v in gn.compile([a, b])()] == [2.0, 1.0]
    n, _, series = gn.Scan(lambda c: ((c[1], c[0] + c[1]), c[0]), (0.0, 1.0), length="T")
    assert gn.compile(series)(T=10).tolist() == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
    assert gn.compile(n)(T=10) == 55


def test_loops_inside_loops_and_their_second_derivatives():
    x = gn.Input("x", ("T", 3))

    def rows(total, row):
        (total,) = gn.Scan(lambda t, e: (gn.Tanh(t * e + total), None), total, row)
        return total, None

    (y,) = gn.Scan(rows, 0.3, x)
    value = np.random.default_rng(0).normal(size=(4, 3))
    t = 0.3
    for row in value:
        outer = t
        for e in row:
            t = np.tanh(t * e + outer)
    np.testing.assert_allclose(gn.compile(y)(x=value), t)
    dx = gn.grad(y, x)
    gn.testing.check_grad(y, x, {"x": value})
    gn.testing.check_grad(gn.Sum(dx * dx), x, {"x": value})


def test_a_turn_allocates_nothing():
    U, W, b = parameters()
    x, h = gn.Input("x", ("T", "N", 3)), gn.Input("h", ("N", 4))
    _, states = recurrent(x, h, U, W, b)
    loss = gn.Sum(states * states)
    step = gn.compile(loss, gn.SGD(lr=0.001).updates(loss))
    given = feeds(5, 20_000)
    step(**given)
    tracemalloc.start()
    step(**given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000 * 4 * 8 / 4  # NumPy's own buffers of 64 KiB, and no carry


def test_the_memory_of_bodies_is_part_of_the_plan():
    U, W, b = parameters()
    x, h = gn.Input("x", ("T", "N", 3)), gn.Input("h", ("N", 4))
    last, _ = recurrent(x, h, U, W, b)
    f = gn.compile(last)
    inner = f.plan.steps[0].bodies[0]
    assert len(inner.plan.slots) > 0 and f.plan.slots[inner.slot].sizes
    assert f.memory(T=5, N=3).lower_bound <= f.plan.arena_bytes(T=5, N=3)
    assert f.memory(T=5, N=3).arena == f.plan.arena_bytes(T=5, N=3)


def test_listings_show_bodies_indented():
    U, W, b = parameters()
    x, h = gn.Input("x", ("T", "N", 3)), gn.Input("h", ("N", 4))
    last, _ = recurrent(x, h, U, W, b)
    text = str(gn.Graph(gn.Cond(gn.Sum(last) > 0, lambda: gn.Exp(last), lambda: last)))
    assert "%0 = Scan(h, x, U, W, b, length=T)" in text
    assert "  | body(carry0 f64[N, 4], x0 f64[N, 3], U f64[3, 4], W f64[4, 4], b f64[4])\n" in text
    assert "  |   %1 = MatMul(carry0, W) " in text and "  |   -> %6, %6, carry0\n" in text
    assert "  | then(captured0 f64[N, 4])\n  |   %0 = Exp(captured0)" in text
    assert "  | otherwise(captured0 f64[N, 4])\n  |   -> captured0\n" in text
    plan = str(gn.compile(last).plan)
    assert "steps in slot" in plan and "  |   %1 = MatMul(carry0, W)" in plan


# Passes -----------------------------------------------------------------------------------------------------------


def test_what_nobody_reads_is_trimmed_away():
    U, W, b = parameters()
    last, _ = recurrent(gn.Input("x", ("T", "N", 3)), gn.Input("h", ("N", 4)), U, W, b)
    f = gn.compile(last)
    [loop] = [step.node for step in f.plan.steps if step.node.op == "Scan"]
    assert len(loop.spec) == 1
    plain = gn.compile(last, passes="none")
    [loop] = [step.node for step in plain.plan.steps if step.node.op == "Scan"]
    assert len(loop.spec) == 3
    np.testing.assert_array_equal(f(**feeds(6)), plain(**feeds(6)))
    _, states = recurrent(gn.Input("x", ("T", "N", 3)), gn.Input("h", ("N", 4)), U, W, b)
    g = gn.compile(gn.grad(gn.Sum(states), W))
    back = [step.node for step in g.plan.steps if step.node.op == "Scan"][1]
    assert [p.name for p in back.body.own] == ["g0", "d_W", "g1", "carry0", "x0", "place"] or len(back.spec) == 2


def test_passes_go_through_bodies():
    x = gn.Input("x", ("T", 3))
    (h,) = gn.Scan(lambda h, x: (h + gn.Log(gn.Softmax(x)) * 1, None), np.zeros(3), x)
    f = gn.compile(h)
    [loop] = [step.node for step in f.plan.steps if step.node.op == "Scan"]
    ops = [node.op for node in loop.body.graph.nodes]
    assert "Log" not in ops or "Softmax" not in ops
    assert "Affine" not in ops and np.isfinite(f(x=[[0, -1000, 0]])).all()


# Random and state inside ------------------------------------------------------------------------------------------


def test_a_dropout_inside_draws_anew_in_each_turn_and_once_for_forward_and_backward():
    x = gn.Input("x", ("T", 400))
    _, ys = gn.Scan(lambda h, x: (h, gn.Dropout(x, 0.5, seed=3)), 0.0, x)
    f = gn.compile({"ys": ys, "dx": gn.grad(gn.Sum(ys), x)})
    found = f(x=np.ones((6, 400)))
    assert set(np.unique(found["ys"])) == {0.0, 2.0}
    np.testing.assert_array_equal(found["ys"], found["dx"])
    for t in range(1, 6):
        assert 0.4 < np.mean(found["ys"][t] == found["ys"][t - 1]) < 0.6
    plain = gn.compile(gn.Dropout(gn.Input("x", (400,)), 0.5, seed=3))(x=np.ones(400))
    np.testing.assert_array_equal(found["ys"][0], plain)


def test_nested_loops_draw_apart():
    _, ys = gn.Scan(
        lambda h: (
            (h, gn.Scan(lambda t: (t, gn.Uniform((), seed=1)), 0.0, length=3).__iter__().__next__() + 0)
            if False
            else (h, tuple(gn.Scan(lambda t: (t, gn.Uniform((), seed=1)), 0.0, length=3))[1])
        ),
        0.0,
        length=4,
    )
    draws = gn.compile(ys)()
    assert draws.shape == (4, 3) and len(np.unique(draws)) == 12


def test_the_step_of_a_dropout_inside_moves_and_prediction_drops_it():
    x, t = gn.Input("x", ("N", 5)), gn.Input("t", ("N",), dtype="int64")
    V = gn.Parameter("V", np.random.default_rng(0).normal(size=(2, 2)))
    (h,) = gn.Scan(
        lambda h, x: (gn.Tanh(h + gn.Dropout(gn.Reshape(x, ("N", 1)) * np.ones(2), 0.5)), None),
        gn.Repeat(np.zeros((1, 2)), "N"),
        x.T,
    )
    scores = h @ V
    model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))
    points = np.random.default_rng(0).normal(size=(4, 5))
    step = gn.compile(model.loss, gn.SGD(lr=0.0).updates(model.loss))
    first, second = (float(step(x=points, t=[0, 1, 0, 1])) for _ in range(2))
    assert first != second and int(model.parameters["random0"].value) == 2
    expected = np.zeros((4, 2))
    for column in points.T:
        expected = np.tanh(expected + column[:, None])
    np.testing.assert_allclose(model.predict(points), expected @ V.value, rtol=1e-12)
    form = inference.run(gn.Graph(scores))[0]
    assert not any(
        n.op in ("Dropout", "Uniform") for node in form.nodes for body in node.bodies() for n in body.graph.nodes
    )


def test_a_running_statistic_cannot_be_carried_from_turn_to_turn():
    x = gn.Input("x", ("T", "N", 2))
    mean, variance = (gn.Parameter(n, np.zeros(2), trainable=False) for n in ("mean", "variance"))
    with pytest.raises(gn.GraphError) as error:
        gn.Scan(lambda h, x: (h, gn.BatchNorm(x, np.ones(2), np.zeros(2), mean, variance)), 0.0, x)
    assert "Scan: BatchNorm f64[N, 2] (test_control.py:" in str(error.value)
    assert "'mean' f64[2] (test_control.py:" in str(error.value)
    assert "cannot do so from turn to turn of a loop. Put it outside" in str(error.value)


# Faults -----------------------------------------------------------------------------------------------------------


def test_a_carry_that_changes_names_both():
    h, x = gn.Input("h", ("N", 4)), gn.Input("x", ("T", 5))
    W = gn.Parameter("W", np.ones((4, 5)))
    with pytest.raises(gn.ShapeError) as error:
        gn.Scan(lambda h, x: (gn.Tanh(h @ W), None), h, x)
    assert "carry 0 begins as 'h' f64[N, 4] (test_control.py:" in str(error.value)
    assert "but becomes Tanh f64[N, 5] (test_control.py:" in str(error.value)
    with pytest.raises(gn.DTypeError, match=r"carry 1 begins as 'n' f32\[\] .* but becomes Cast f64\[\]"):
        gn.Scan(lambda c: ((c[0], c[1].astype("float64")), None), (h, gn.Input("n", (), "float32")), length=3)


def test_xs_of_different_lengths_and_no_length_at_all():
    x, y = gn.Input("x", ("T", 2)), gn.Input("y", (5, 2))
    with pytest.raises(gn.ShapeError, match=r"'y' f64\[5, 2\] .* has 5 slices, but 'x' f64\[T, 2\] .* has T"):
        gn.Scan(lambda c, xs: (c, None), 0.0, (x, y))
    with pytest.raises(gn.ShapeError, match=r"'x' f64\[T, 2\] .* has T slices, but the length is 3"):
        gn.Scan(lambda c, x: (c, None), 0.0, x, length=3)
    with pytest.raises(gn.ShapeError, match="has no axis to go through"):
        gn.Scan(lambda c, x: (c, None), 0.0, gn.Input("s", ()))
    with pytest.raises(gn.GraphError, match="without xs a loop needs a length"):
        gn.Scan(lambda c: (c, None), 0.0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda c, x: c, r"the body returned 'carry0' f64\[\] .*; it returns \(next carry, y\)"),
        (lambda c, x: ((c, c), None), "the carry is one node, but the body returned"),
        (lambda c, x: (c, "y"), "the y that the body returned is 'y'; it must be a node"),
        (lambda c, x: None, r"the body returned None; it returns \(next carry, y\)"),
    ],
)
def test_a_body_that_returns_something_else(body, message):
    with pytest.raises(gn.GraphError, match=message):
        gn.Scan(body, 0.0, gn.Input("x", ("T",)))


def test_a_value_that_is_not_finite_is_blamed_on_the_node_inside():
    x = gn.Input("x", ("T",))
    (h,) = gn.Scan(lambda h, x: (h + gn.Log(x), None), 0.0, x)
    f = gn.compile(h, check_finite="all", passes="none")
    with pytest.raises(
        gn.NonFiniteError, match=r"^Log f64\[\] \(test_control.py:\d+\), in turn 1 of Scan .*, in the forward half"
    ):
        f(x=[1.0, 0.0])


def test_labels_inside_a_body_are_checked():
    labels = gn.Input("t", ("T",), dtype="int64")
    _, rows = gn.Scan(lambda c, t: (c, gn.OneHot(t, 3, "float64")), 0.0, labels)
    f = gn.compile(rows)
    assert f(t=[2, 0]).tolist() == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(gn.LabelError, match="3"):
        f(t=[2, 3])


# Branches ---------------------------------------------------------------------------------------------------------


class Counted(gn.Node):
    """The value, and a count of how often it was computed."""

    x: gn.Node
    runs = 0

    def infer(self):
        return self.x.spec

    def forward(self, xp, *arrays):
        Counted.runs += 1
        return arrays[0] * 1

    def vjp(self, g):
        return Counted(g)


@pytest.mark.parametrize("passes", ["none", "default"])
def test_only_the_branch_taken_runs_forward_and_backward(passes):
    c, x = gn.Input("c", ()), gn.Input("x", (3,))
    y = gn.Cond(c > 0, lambda: Counted(x) * 2, lambda: x * 3)
    f = gn.compile([y, gn.grad(gn.Sum(y * y), x)], passes=passes)
    Counted.runs = 0
    found = f(c=-1, x=[1, 2, 3])
    assert Counted.runs == 0
    np.testing.assert_allclose(found, [[3, 6, 9], [18, 36, 54]])
    found = f(c=1, x=[1, 2, 3])
    assert Counted.runs == 2
    np.testing.assert_allclose(found, [[2, 4, 6], [8, 16, 24]])


def test_the_gradient_does_not_come_near_the_branch_not_taken():
    x = gn.Input("x", ())
    y = gn.Cond(x > 0, lambda: gn.Log(x), lambda: -x)
    f = gn.compile([y, gn.grad(y, x), gn.grad(gn.grad(y, x), x)], check_finite="all")
    assert [float(v) for v in f(x=2.0)] == [np.log(2), 0.5, -0.25]
    assert [float(v) for v in f(x=0.0)] == [0, -1, 0]


def test_a_branch_in_a_loop_with_a_random_op():
    x = gn.Input("x", ("T", 50))

    def turn(total, row):
        kept = gn.Cond(gn.Sum(row) > 0, lambda: gn.Dropout(row, 0.5), lambda: row * 0)
        return total + kept, kept

    total, rows = gn.Scan(turn, np.zeros(50), x)
    f = gn.compile([total, rows, gn.grad(gn.Sum(total), x)])
    total, rows, dx = f(x=np.array([1.0, -1.0, 1.0, 1.0])[:, None] * np.ones(50))
    assert not rows[1].any() and set(np.unique(rows)) == {0, 2}
    np.testing.assert_array_equal(total, rows.sum(axis=0))
    np.testing.assert_array_equal(dx, rows)
    assert not np.array_equal(rows[2], rows[3])


def test_branches_that_do_not_fit():
    c, x, y = gn.Input("c", ()), gn.Input("x", (3,)), gn.Input("y", (4,))
    with pytest.raises(gn.ShapeError, match=r"one branch gives 'x' f64\[3\] .*, the other 'y' f64\[4\]"):
        gn.Cond(c > 0, lambda: x, lambda: y)
    with pytest.raises(gn.GraphError, match=r"the branches return .* as many nodes are needed from both"):
        gn.Cond(c > 0, lambda: x, lambda: (x, x))
    with pytest.raises(gn.DTypeError, match=r"the condition 'c' f64\[\] .* is not bool: compare it, as in x > 0"):
        gn.Cond(c, lambda: x, lambda: x)
    with pytest.raises(gn.ShapeError, match=r"is not a scalar. Reduce it, or use Where"):
        gn.Cond(x > 0, lambda: x, lambda: x)
    with pytest.raises(gn.GraphError, match=r"'then' is 'x' .*; it is a function, as in lambda: x"):
        gn.Cond(c > 0, x, lambda: x)
