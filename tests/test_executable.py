"""What a compile returns: calls, feeds, forms, state, sizes."""

import threading
import tracemalloc

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends import native


def test_results_take_the_form_of_the_outputs():
    x = gn.Input("x", ("N",))
    assert isinstance(gn.compile(x + 1)(x=[1]), np.ndarray)
    assert isinstance(gn.compile([x, x + 1])(x=[1]), list)
    assert isinstance(gn.compile((x, x + 1))(x=[1]), tuple)
    assert list(gn.compile({"a": x, "b": x + 1})(x=[1])) == ["a", "b"]


def test_results_are_copies():
    x = gn.Input("x", ("N",))
    f = gn.compile(x + 1)
    first = f(x=[1.0])
    f(x=[2.0])
    assert first == 2.0


def test_any_batch_size_zero_included():
    x = gn.Input("x", ("N", 2))
    f = gn.compile(gn.Softmax(x @ np.ones((2, 3))))
    for n in (30, 1, 7, 0, 100, 30):
        assert f(x=np.ones((n, 2))).shape == (n, 3)


def test_a_step_and_a_prediction_compiled_apart_agree_about_parameters():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    loss = gn.Mean((x * w - 2 * x) ** 2)
    step, predict = gn.compile(loss, gn.SGD(lr=0.1).updates(loss)), gn.compile(x * w)
    before = predict(x=[1.0])
    step(x=[1.0, 2.0])
    assert predict(x=[1.0]) > before
    w.value = 5.0
    assert predict(x=[1.0]) == 5.0


def test_a_feed_may_be_of_any_kind_that_fits():
    x, i = gn.Input("x", ("N",)), gn.Input("i", ("N",), dtype="int64")
    f = gn.compile([x, i])
    for feed in ([1, 2], np.array([1, 2], np.int8), np.array([1.0, 2.0], ">f8"), range(1, 3)):
        np.testing.assert_array_equal(f(x=feed, i=np.array([1.0, 2.0]))[0], [1, 2])


@pytest.mark.parametrize(
    ("feeds", "error", "says"),
    [
        ({"x": np.ones((3, 2))}, gn.FeedError, r"not fed: 't' i64\[N\] \(test_executable.py:\d+\)"),
        (
            {"x": np.ones((3, 2)), "t": [0, 1, 2], "y": 1},
            gn.FeedError,
            r"no such input: 'y' \(the program takes x, t\)",
        ),
        ({"x": np.ones((3, 3)), "t": [0, 1, 2]}, gn.ShapeError, r"input 'x' is f32\[N, 2\]: axis 1 has size 2"),
        (
            {"x": np.ones(3), "t": [0, 1, 2]},
            gn.ShapeError,
            r"shape \(3,\): the number of axes differs. One sample .* x\[None\]",
        ),
        ({"x": np.ones((3, 2)), "t": [0, 1]}, gn.ShapeError, "size N is 3 by input 'x' but 2 by input 't'"),
        ({"x": [["a", "b"]], "t": [0]}, gn.DTypeError, "cannot be fed <U1"),
        ({"x": [[1, 2], [3]], "t": [0]}, gn.FeedError, "not an array"),
        ({"x": [[1j, 2]], "t": [0]}, gn.DTypeError, "cannot be fed complex128"),
        ({"x": np.ones((1, 2)), "t": [0.5]}, gn.DTypeError, "does not fit it exactly"),
        (
            {"x": np.ones((2, 2)), "t": [0, 3]},
            gn.LabelError,
            r"row 1 of input 't' is 3, but labels of 3 classes lie in 0..2",
        ),
        ({"x": np.ones((2, 2)), "t": [-1, 0]}, gn.LabelError, "row 0 of input 't' is -1.*never wrap"),
    ],
)
def test_feeds_that_do_not_fit_are_named(feeds, error, says):
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    w = gn.Parameter("w", np.ones((2, 3)))
    loss = gn.SoftmaxCE(x @ w, t)
    for passes in ("default", "none"):
        f = gn.compile(loss, gn.SGD().updates(loss), passes=passes)
        with pytest.raises(error, match=says):
            f(**feeds)
    np.testing.assert_array_equal(w.value, np.ones((2, 3)))


def test_labels_that_are_computed_are_checked_too():
    t = gn.Input("t", ("N",), dtype="int64")
    f = gn.compile(gn.OneHot(t + 1, 3))
    with pytest.raises(gn.LabelError, match="row 1"):
        f(t=[0, 2])


def test_a_size_that_no_input_has_is_fed_by_name():
    b = gn.Input("b", (1, 2))
    f = gn.compile(gn.Repeat(b, "N"))
    assert f(b=[[1, 2]], N=3).shape == (3, 2)
    with pytest.raises(gn.FeedError, match="a size that no input has: pass N=30"):
        f(b=[[1, 2]])
    with pytest.raises(gn.FeedError, match="must be a number"):
        f(b=[[1, 2]], N=1.5)


def test_a_loss_that_is_not_finite_raises_and_changes_nothing():
    w = gn.Parameter("w", 0.0)
    loss = gn.Log(w) * gn.Log(w)
    step = gn.compile(loss, gn.SGD().updates(loss))
    with pytest.raises(
        gn.NonFiniteError, match=r"Log f32\[\] \(test_executable.py:\d+\), in the forward half, .*: -inf"
    ):
        step()
    assert w.value == 0.0
    gn.compile(loss, gn.SGD().updates(loss), check_finite=None)()
    assert not np.isfinite(w.value)


def test_check_finite_all_names_the_first_node():
    x = gn.Input("x", ("N",))
    f = gn.compile(gn.Sum(gn.Exp(gn.Log(x))), check_finite="all")
    with pytest.raises(gn.NonFiniteError, match=r"Log f32\[N\]"):
        f(x=[1, 0])


def test_set_and_restore():
    w = gn.Parameter("w", [1.0, 2.0])
    loss = gn.Sum(w * w)
    step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss))
    state = step.state
    step()
    step.set("lr", 0.5)
    assert step.state["lr"] == 0.5
    step.restore(state)
    assert step.state["lr"] == pytest.approx(0.1)
    np.testing.assert_array_equal(w.value, [1, 2])
    with pytest.raises(gn.GraphError, match="has no 'rate': it has w, lr"):
        step.set("rate", 1)
    with pytest.raises(gn.CheckpointError, match="missing"):
        step.restore({"w": [1, 2]})
    with pytest.raises(gn.ShapeError):
        step.restore({**state, "lr": [1.0]})


def test_options_are_refused_by_name(monkeypatch):
    x = gn.Input("x", ())
    with pytest.raises(gn.BackendError, match="there is no backend 'gpu'"):
        gn.compile(x, backend="gpu")
    with monkeypatch.context() as patched:
        patched.setattr(native.probe, "find_spec", lambda name: None)
        native.problem.cache_clear()
        with pytest.raises(gn.BackendError, match=r"backend 'native': llvmlite is not installed; pip install 'graphnn"):
            gn.compile(x, backend="native")
    native.problem.cache_clear()
    with pytest.raises(gn.GraphError, match="passes 3 is none of 'default', 'exact', 'none'"):
        gn.compile(x, passes=3)
    with pytest.raises(gn.GraphError, match=r"updates is SGD, not a mapping .* gn.SGD\(lr=0.1\).updates\(loss\)"):
        gn.compile(x, gn.SGD(lr=0.1))
    with pytest.raises(gn.FeedError, match=r"fed by their names, as in f\(x=...\), not by their places"):
        gn.compile(x)(1.0)
    with pytest.raises(gn.GraphError, match="check_finite"):
        gn.compile(x, check_finite="some")
    with pytest.raises(gn.GraphError, match="memory_budget"):
        gn.compile(x, memory_budget="much")


def test_several_threads_give_the_serial_results():
    x = gn.Input("x", ("N", 4))
    f = gn.compile(gn.Sum(gn.Exp(x) * gn.Tanh(x), axis=1))
    feeds = [np.random.default_rng(i).normal(size=(i % 5 + 1, 4)) for i in range(8)]
    expected = [f(x=feed) for feed in feeds]
    wrong = []

    def work(i):
        for _ in range(100):
            if not np.array_equal(f(x=feeds[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_steady_call_allocates_only_what_it_returns():
    x = gn.Input("x", ("N", 100))
    f = gn.compile(gn.Sum(gn.Exp(x) * gn.Sigmoid(x), axis=1))
    feed = np.ones((50, 100), np.float32)
    f(x=feed)
    tracemalloc.start()
    f(x=feed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5000  # a single intermediate would take 20,000 bytes


def test_a_failing_step_names_its_node():
    class Fails(gn.Node):
        x: gn.Node

        def infer(self):
            return self.x.spec

        def forward(self, xp, *arrays):
            raise RuntimeError("no luck")

    with pytest.raises(gn.BackendError, match=r"numpy: Fails f32\[2\] \(test_executable.py:\d+\) failed: no luck"):
        gn.compile(Fails(gn.Input("x", (2,))))(x=[1, 2])


def test_an_op_that_lies_about_being_a_view_is_caught():
    class Liar(gn.Node):
        x: gn.Node

        def infer(self):
            return self.x.spec

        def forward(self, xp, *arrays):
            return arrays[0].copy()

        def view(self, dense):
            return dense

    with pytest.raises(gn.BackendError, match=r"Liar .* says that it is a view, but made a copy"):
        gn.compile(Liar(gn.Input("x", (2,))) + 1)(x=[1, 2])


def test_profile_times_every_step_and_leaves_parameters_alone():
    w = gn.Parameter("w", [1.0, 2.0])
    loss = gn.Sum(w * w)
    f = gn.compile(loss, gn.SGD(lr=0.1).updates(loss))
    profile = f.profile()
    assert len(profile.seconds) == len(f.plan.steps) and "Sum" in str(profile)
    assert repr(profile).startswith("<Profile: ") and repr(f.plan).startswith("<Plan: ")
    np.testing.assert_array_equal(w.value, [1, 2])
