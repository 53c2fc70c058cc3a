"""Native loops and branches inside a step: tapes that a kernel runs, against NumPy, without entering Python."""

import os
import re
import signal
import threading
import time

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.native import loops

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

WHOLE = "every step has a kernel"


@pytest.fixture(autouse=True)
def _double():
    gn.default_dtype("float64")


def parameters(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"U": (3, 4), "W": (4, 4), "b": (4,)}
    return [gn.Parameter(name, rng.normal(size=shape) / 2) for name, shape in shapes.items()]


def plain(reverse, length):
    """A plain recurrent net: one carry, a sequence, and the states stacked."""
    U, W, b = parameters()
    x, h = gn.Input("x", (length, "N", 3)), gn.Input("h", ("N", 4))

    def turn(h, x):
        h = gn.Tanh(x @ U + h @ W + b)
        return h, h

    last, states = gn.Scan(turn, h, x, reverse=reverse)
    loss = gn.Sum(states * states) + gn.Sum(last)
    return {"last": last, "states": states, "loss": loss}, loss, [U, W, b, x, h]


def exchanging(reverse, length):
    """Two carries that exchange places, two sequences of which one is read strided, two stacked results."""
    a, b = gn.Input("a", ("N",)), gn.Input("b", ("N",))
    x, y = gn.Input("x", (length, "N")), gn.Input("y", ("N", length))

    def turn(carry, slices):
        a, b = carry
        u, v = slices
        return (b, gn.Sin(a * u) + v), (a * v, gn.Where(u > 0, u, b))

    p, q, first, second = gn.Scan(turn, (a, b), (x, y.T), reverse=reverse)
    loss = gn.Sum(p * q) + gn.Sum(first * second)
    return {"p": p, "q": q, "first": first, "second": second, "loss": loss}, loss, [a, b, x, y]


def nested(reverse, length):
    """A loop in a loop, with a branch in it, each reading what lies outside."""
    x, h, scale = gn.Input("x", (length, 3, "N")), gn.Input("h", ("N",)), gn.Parameter("scale", 0.3)

    def outer(h, row):
        def inner(t, e):
            t = gn.Cond(gn.Sum(e) > 0, lambda: gn.Tanh(t * e + h), lambda: t * scale)
            return t, t * scale

        total, parts = gn.Scan(inner, h, row, reverse=not reverse)
        return total, parts

    last, parts = gn.Scan(outer, h, x, reverse=reverse)
    loss = gn.Sum(last) + gn.Sum(parts * parts)
    return {"last": last, "parts": parts, "loss": loss}, loss, [x, h, scale]


def feeds(f, length, rows):
    rng = np.random.default_rng(1)
    return {
        name: rng.normal(size=node.spec.concrete({"T": length, "N": rows})) for name, node in f.graph.inputs.items()
    }


NETS = [plain, exchanging, nested]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("net", NETS)
def test_values_and_gradients_are_those_of_numpy_for_every_length(net, reverse):
    outputs, loss, wrt = net(reverse, "T")
    outputs |= {f"d{i}": g for i, g in enumerate(gn.grad(loss, wrt))}
    native, numpy = (gn.compile(outputs, backend=backend) for backend in ("native", "numpy"))
    for length, rows in ((5, 2), (1, 3), (0, 2), (9, 1), (5, 2)):
        given = feeds(native, length, rows)
        found, expected = native(**given), numpy(**given)
        for name in outputs:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert WHOLE in native.explain()
    arena = native._program._bindings.block.memory
    assert native.memory(T=9, N=1).arena <= native.memory(T=5, N=2).arena == arena.nbytes


@pytest.mark.parametrize("net", NETS)
def test_exact_passes_keep_the_bits(net):
    outputs, loss, wrt = net(False, "T")
    outputs |= {f"d{i}": g for i, g in enumerate(gn.grad(loss, wrt))}
    given, found = None, []
    for passes in ("none", "exact"):
        f = gn.compile(outputs, backend="native", passes=passes)
        given = given or feeds(f, 6, 3)
        found.append(f(**given))
    for name in outputs:
        np.testing.assert_array_equal(found[0][name], found[1][name], err_msg=name)


def training(net, backend):
    """A step that updates, over sequences whose batch comes first, as a loop cuts it."""
    rng = np.random.default_rng(3)
    x, t = gn.Input("x", ("N", 6, 3)), gn.Input("t", ("N", 2))
    U, W, V = (
        gn.Parameter(name, rng.normal(size=shape) / 2) for name, shape in (("U", (3, 4)), ("W", (4, 4)), ("V", (4, 2)))
    )
    start = gn.Repeat(np.zeros((1, 4)), "N")
    inputs = gn.Transpose(x, (1, 0, 2))
    if net == "carry":
        (h,) = gn.Scan(lambda h, x: (gn.Tanh(x @ U + h @ W), None), start, inputs)
    elif net == "captured":  # the input is read inside, and not slice by slice
        (h,) = gn.Scan(lambda h: (gn.Tanh(gn.Mean(x, axis=1) @ U + h @ W), None), start, length=4)
    else:
        h = gn.Cond(gn.Sum(x) > 0, lambda: gn.Tanh(gn.Sum(x, axis=1) @ U), lambda: gn.Sum(x, axis=1) @ U @ W)
    error = h @ V - t
    loss = gn.Mean(error * error)
    return gn.compile(loss, gn.Adam(lr=0.01).updates(loss), backend=backend)


@pytest.mark.parametrize("net", ["carry", "captured", "branch"])
@pytest.mark.parametrize("shuffle", [None, 0])
def test_a_loop_enters_python_never_and_is_that_of_numpy_and_the_calls_bit_by_bit(net, shuffle, monkeypatch):
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(22, 6, 3)), "t": rng.normal(size=(22, 2))}
    native, numpy, called = (training(net, backend) for backend in ("native", "numpy", "native"))
    expected = numpy.loop(data, 4, epochs=3, shuffle=shuffle)
    if shuffle is None:
        by_hand = [[float(called(x=data["x"][i : i + 4], t=data["t"][i : i + 4])) for i in range(0, 22, 4)]]
        np.testing.assert_array_equal(native.loop(data, 4), by_hand)
        native = training(net, "native")
    monkeypatch.setattr(loops, "run_in_python", None)
    found = native.loop(data, 4, epochs=3, shuffle=shuffle)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    for name, value in numpy.state.items():
        np.testing.assert_allclose(native.state[name], value, rtol=1e-8, atol=1e-12)


def test_a_character_model_is_in_kernels_as_a_whole():
    """Embedding, LSTM over a sequence, a softmax for each place, and Adam."""
    losses = []
    letters = np.random.default_rng(0).integers(0, 5, (12, 7))
    for backend in ("native", "numpy"):
        ids, labels = (gn.Input(word, ("N", "T"), dtype="int64") for word in ("x", "t"))
        hidden = gn.nn.recurrent(gn.nn.embedding(ids, 5, 6), 8)
        loss = gn.SoftmaxCE(gn.nn.affine(hidden, 5), labels)
        f = gn.compile(loss, gn.Adam(lr=0.01).updates(loss), backend=backend)
        losses.append(f.loop({"x": letters, "t": letters[:, ::-1]}, 5, epochs=4, shuffle=0))
        assert backend == "numpy" or WHOLE in f.explain()
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_calls_and_loops_take_turns():
    """A loop moves the addresses of an input's slices through its data; a call finds them in the arena again."""
    x = gn.Input("x", ("N", 3))
    (total,) = gn.Scan(lambda total, column: (total * 2 + gn.Sum(column), None), 0.0, x.T)
    f = gn.compile(total, backend="native")
    data = np.arange(15.0).reshape(5, 3)

    def expected(rows):
        return np.array([4.0, 2.0, 1.0]) @ rows.sum(axis=0)

    assert f(x=data) == expected(data)
    for shuffle in (None, np.arange(5)[None]):
        record = f.loop({"x": data}, 2, shuffle=shuffle)
        assert record.tolist() == [[expected(data[i : i + 2]) for i in (0, 2, 4)]]
        assert f(x=data) == expected(data)


def test_only_the_branch_taken_runs():
    x = gn.Input("x", ())
    y = gn.Cond(x > 0, lambda: gn.Log(x), lambda: -x)
    f = gn.compile([y, gn.grad(y, x)], backend="native", check_finite="all")
    assert [float(v) for v in f(x=2.0)] == [np.log(2), 0.5]
    assert [float(v) for v in f(x=0.0)] == [0, -1]
    assert WHOLE in f.explain()


def test_random_nodes_draw_as_on_numpy():
    x = gn.Input("x", ("T", 40))
    _, ys = gn.Scan(lambda h, x: (h, gn.Dropout(x, 0.5, seed=3)), 0.0, x)
    found = [gn.compile(ys, backend=backend)(x=np.ones((6, 40))) for backend in ("native", "numpy")]
    np.testing.assert_array_equal(*found)


def test_all_loops_share_one_kernel():
    x, y = gn.Input("x", ("T", 3)), gn.Input("y", ("T", 3))
    total = gn.Constant(np.zeros(3))
    for series in (x, y, x, y, y):
        (total,) = gn.Scan(lambda t, e: (gn.Tanh(t + e), None), total, series)
    (same,) = gn.Scan(lambda t, e: (gn.Tanh(t + e), None), np.zeros(3), x)
    sources = [gn.compile(node, backend="native").source for node in (same, total)]
    assert sources[0].count("define") == sources[1].count("define")
    assert "Scan: 5 in a step" in sources[1]


# Faults -----------------------------------------------------------------------------------------------------------


def test_a_label_out_of_range_inside_is_named_as_on_numpy():
    t = gn.Input("t", ("T", "K"), dtype="int64")

    def outer(total, row):
        (counts,) = gn.Scan(lambda c, e: (c + gn.OneHot(e, 3), None), np.zeros(3, np.float32), row)
        return total + counts, counts

    _, counts = gn.Scan(outer, np.zeros(3, np.float32), t)
    said = []
    for backend in ("native", "numpy"):
        f = gn.compile(counts, backend=backend)
        assert f(t=[[0, 1], [1, 1]]).tolist() == [[1, 1, 0], [0, 2, 0]]
        with pytest.raises(gn.LabelError, match="is 3, but labels of 3 classes") as error:
            f(t=[[0, 1], [3, 1]])
        said.append(str(error.value))
        assert f(t=[[2, 2]]).tolist() == [[0, 0, 2]]
    assert said[0] == said[1]


@pytest.mark.parametrize("shuffle", [None, 0])
def test_a_label_of_an_input_read_inside_stops_a_loop(shuffle):
    """It is read where the data lies, and the error says what is there."""
    t, c, w = gn.Input("t", ("N", 3), dtype="int64"), gn.Input("c", ("N",)), gn.Parameter("w", 0.0)
    loss = gn.Cond(gn.Sum(c) > 0, lambda: gn.Sum(gn.OneHot(t, 3)) * w, lambda: w * 1)
    f = gn.compile(loss, gn.SGD(lr=1.0).updates(loss), backend="native")
    assert WHOLE in f.explain()
    with pytest.raises(gn.LabelError, match=r"row \(0, 1\) of 't' is 3, but labels of 3 classes lie in 0..2"):
        f.loop({"t": [[0, 1, 2], [2, 3, 0], [1, 1, 1]], "c": np.ones(3)}, 1, shuffle=shuffle)


def test_a_value_that_is_not_finite_is_blamed_on_the_node_inside():
    x = gn.Input("x", ("T",))
    (h,) = gn.Scan(lambda h, x: (gn.Cond(x < 5, lambda: h + gn.Log(x), lambda: h), None), 0.0, x)
    f = gn.compile(h, check_finite="all", passes="none", backend="native")
    assert np.isfinite(f(x=[1.0, 7.0]))
    with pytest.raises(gn.NonFiniteError, match=r"^Log f64\[\] \(test_native_control.py:\d+\)"):
        f(x=[1.0, 0.0])


class Reversed(gn.Node):
    """The value backwards: an op that this backend has no kernel for."""

    x: gn.Node

    def infer(self):
        return self.x.spec

    def forward(self, xp, *arrays):
        return arrays[0][::-1]

    def vjp(self, g):
        return Reversed(g)


def test_a_step_inside_without_a_kernel_is_named_and_steps_in_python():
    x = gn.Input("x", ("T", 3))

    def outer(h, row):
        return gn.Cond(gn.Sum(row) > 0, lambda: Reversed(h) + row, lambda: h), None

    (h,) = gn.Scan(outer, np.zeros(3), x)
    found = [gn.compile(h, backend=backend) for backend in ("native", "numpy")]
    given = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_array_equal(*(f(x=given) for f in found))
    said = found[0].explain()
    where = r"\(test_native_control.py:\d+\)"
    assert "1 steps run on NumPy" in said
    line = next(line for line in said.splitlines() if line.startswith("  Scan (") and "inside" in line)
    inside = rf"inside, Cond f64\[3\] {where}: inside, Reversed f64\[3\] {where}: the op has no kernel"
    assert re.fullmatch(rf"  Scan {where}: {inside}", line)


def test_ctrl_c_leaves_a_completed_step_within_a_fifth_of_a_second():
    f = training("carry", "native")
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(40, 6, 3)), "t": rng.normal(size=(40, 2))}
    f.loop(data, 4)
    pressed = []

    def press():
        pressed.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(0.4, press).start()
    with pytest.raises(KeyboardInterrupt):
        f.loop(data, 4, epochs=10_000_000)
    assert time.process_time() - pressed[0] < 0.2  # of this process: the machine may be busy with others
    assert all(np.isfinite(value).all() for value in f.state.values())
