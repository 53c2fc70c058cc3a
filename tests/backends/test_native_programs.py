"""Native programs: the results of NumPy, whatever the dtypes, layouts and sizes; the bits of `none` with `exact`."""

import threading
import tracemalloc
import weakref

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])
BOTH = ("numpy", "native")


@st.composite
def random_graphs(draw):
    """A scalar made by random ops, reductions and views over two inputs and a parameter."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    x, y = gn.Input("x", ("N", 3), dtype=dtype), gn.Input("y", (1, 3), dtype=dtype)
    w = gn.Parameter("w", np.linspace(-1, 1, 9).reshape(3, 3), dtype=dtype)
    pool = [x, y, w]
    unary = [gn.Tanh, gn.Sigmoid, gn.Neg, gn.ReLU, gn.Softmax, gn.Abs, lambda v: gn.Exp(-gn.Abs(v))]
    binary = [gn.Add, gn.Sub, gn.Mul, gn.Maximum, gn.Minimum, lambda a, b: gn.Where(a > b, a, b * 0.5)]
    for _ in range(draw(st.integers(1, 7))):
        a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            pool.append(draw(st.sampled_from(unary))(a))
        elif kind == 1 and (a.shape[0] in (1, b.shape[0]) or b.shape[0] == 1):
            pool.append(draw(st.sampled_from(binary))(a, b))
        elif kind == 2:
            pool.append(a @ draw(st.sampled_from([w, w.T])))
        else:
            pool.append(draw(st.sampled_from([gn.Sum, gn.Mean]))(a, axis=0, keepdims=True) + y)
    return gn.Sum(gn.Mean(pool[-1], axis=0)) + gn.Sum(x * y) + gn.Sum(w)


def compare(loss):
    w = next(iter(gn.Graph(loss).parameters.values()))
    feeds = {"x": np.linspace(-2, 2, 15).reshape(5, 3), "y": np.linspace(0.5, 1, 3).reshape(1, 3)}
    gn.testing.agree({"loss": loss, "dw": gn.grad(loss, w)}, feeds, BOTH, rtol=1e-4, atol=1e-5)


@given(random_graphs())
def test_random_graphs_agree_and_exact_passes_keep_the_bits(loss):
    compare(loss)


@pytest.mark.slow
@given(random_graphs())
def test_many_random_graphs_agree(loss):
    compare(loss)


DTYPES = ["bool", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(dtype):
    rng = np.random.default_rng(0)
    x, y = gn.Input("x", ("N", 5), dtype=dtype), gn.Input("y", ("N", 5), dtype=dtype)
    feeds = {"x": rng.integers(0, 2 if dtype == "bool" else 50, (7, 5)).astype(dtype), "y": np.ones((7, 5), dtype)}
    outputs = {"sum": x + y, "product": x * y, "larger": gn.Maximum(x, y), "less": x < y, "rows": gn.Sum(x, axis=1)}
    outputs |= {"columns": gn.Sum(x, axis=0), "most": gn.Max(x), "chosen": gn.Where(x > y, x, y)}
    outputs |= {f"as_{to}": x.astype(to) for to in DTYPES}
    if dtype != "bool":
        outputs |= {"difference": x - y, "negative": -x, "matmul": x @ y.T, "size": gn.Abs(x)}
        outputs["quotient"] = x / y
    tolerance = 2e-3 if dtype == "float16" else 1e-6
    gn.testing.agree(outputs, feeds, BOTH, rtol=tolerance, atol=0)


SHAPES = [
    (1, 1, 1),
    (2, 3, 4),
    (5, 1, 7),
    (16, 16, 16),
    (33, 65, 17),
    (64, 3, 100),
    (40, 40, 40),
    (1, 200, 1),
    (0, 2, 3),
    (4, 9, 7),
    (9, 5, 14),
    (5, 20, 29),
    (50, 64, 60),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fixed", [True, False])
def test_products_of_any_size_and_layout(fixed, dtype):
    rng = np.random.default_rng(0)
    for m, k, n in SHAPES:
        dims = (m, k, n) if fixed else ("M", "K", "N")
        x, w = gn.Input("x", (dims[0], dims[1]), dtype=dtype), gn.Input("w", (dims[1], dims[2]), dtype=dtype)
        xt, wt = gn.Input("xt", (dims[1], dims[0]), dtype=dtype), gn.Input("wt", (dims[2], dims[1]), dtype=dtype)
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        products = [x @ w, xt.T @ w, x @ wt.T, xt.T @ wt.T]
        f = gn.compile(products, backend="native")
        results = f(x=a, w=b, xt=np.ascontiguousarray(a.T), wt=np.ascontiguousarray(b.T))
        exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
        bound = 2 * (k + 1) * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b) + 1e-30)
        for result in results:
            assert result.shape == (m, n) and (np.abs(result - exact) <= bound).all()


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 1), (0, 2), (1, 2)])
def test_reductions_of_long_and_short_axes(axis):
    rng = np.random.default_rng(0)
    x = gn.Input("x", ("N", "M", 3), dtype="float32")
    f = gn.compile([gn.Sum(x, axis), gn.Max(x, axis), gn.Sum(x.transpose((2, 0, 1)))], backend="native")
    for shape in ((1, 1, 3), (4, 100, 3), (70, 2, 3), (1, 30_000, 3)):
        value = rng.normal(size=shape).astype(np.float32)
        total, most, _ = f(x=value)
        np.testing.assert_allclose(total, np.sum(value, axis, dtype=np.float64), rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(most, np.max(value, axis))


def test_a_sum_of_a_million_floats_is_accurate():
    x = gn.Input("x", ("N",))
    value = np.random.default_rng(0).uniform(0.5, 1, 1_000_003).astype(np.float32)
    total = gn.compile(gn.Sum(x), backend="native")(x=value)
    assert abs(total - value.sum(dtype=np.float64)) / total < 1e-6


def test_a_maximum_passes_nan_on():
    x = gn.Input("x", ("N",))
    f = gn.compile([gn.Max(x), gn.Maximum(x, 0.0), gn.Minimum(x, x * 2)], backend="native")
    for at in (0, 5, 40):
        value = np.zeros(41, np.float32)
        value[at] = np.nan
        most, clipped, least = f(x=value)
        assert np.isnan(most) and np.isnan(clipped[at]) and np.isnan(least[at]) and np.isnan(clipped).sum() == 1


class Reversed(gn.Node):
    """An op of a user's own, that no kernel is known for."""

    x: gn.Node

    def infer(self):
        return self.x.spec

    def forward(self, xp, *arrays):
        return arrays[0][::-1]

    def vjp(self, g):
        return Reversed(g)


def test_an_op_without_a_kernel_runs_on_numpy_and_explain_says_so():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    loss = gn.Sum(Reversed(x * w) * x)
    programs = {}
    for backend in BOTH:
        w.value = 1.0
        f = gn.compile({"loss": loss, "y": Reversed(x)}, gn.SGD(lr=0.01).updates(loss), backend=backend)
        first = f(x=[1.0, 2.0, 4.0])
        record = f.loop({"x": np.arange(7.0)}, 3, epochs=2, shuffle=0)
        programs[backend] = (f, first["loss"], first["y"], w.value, record)
    f, *native = programs["native"]
    for got, expected in zip(native, programs["numpy"][1:], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    said = f.explain()
    assert "steps run on NumPy" in said and "Reversed (test_native_programs.py:" in said and "has no kernel" in said
    assert "every step has a kernel" in gn.compile(x * 2, backend="native").explain()


def test_a_failing_step_names_its_node():
    class Fails(Reversed):
        def forward(self, xp, *arrays):
            raise RuntimeError("no luck")

    with pytest.raises(
        gn.BackendError, match=r"native: Fails f32\[2\] \(test_native_programs.py:\d+\) failed: no luck"
    ):
        gn.compile(Fails(gn.Input("x", (2,))), backend="native")(x=[1, 2])


def test_labels_that_are_computed_are_checked():
    t = gn.Input("t", ("N",), dtype="int64")
    f = gn.compile(gn.OneHot(t - 1, 3), backend="native")
    np.testing.assert_array_equal(f(t=[1, 3]), [[1, 0, 0], [0, 0, 1]])
    for bad in ([1, 0], [1, 4]):
        with pytest.raises(gn.LabelError, match="row 1"):
            f(t=bad)


def test_a_loss_that_is_not_finite_raises_and_changes_nothing():
    w = gn.Parameter("w", 0.0)
    loss = gn.Log(w) * gn.Log(w)
    step = gn.compile(loss, gn.SGD().updates(loss), backend="native")
    with pytest.raises(gn.NonFiniteError, match="not finite"):
        step()
    assert w.value == 0.0


def test_check_finite_all_finds_the_node():
    x = gn.Input("x", ("N",))
    f = gn.compile(gn.Sum(gn.Exp(gn.Log(x))), check_finite="all", backend="native")
    assert f(x=np.ones(20)) == 20
    with pytest.raises(gn.NonFiniteError, match=r"Log f32\[N\]"):
        f(x=[1, 0])


def test_several_threads_give_the_serial_results():
    x = gn.Input("x", ("N", 4))
    f = gn.compile(gn.Sum(gn.Exp(x) * gn.Tanh(x), axis=1), backend="native")
    feeds = [np.random.default_rng(i).normal(size=(i % 5 + 1, 4)) for i in range(8)]
    expected = [f(x=feed) for feed in feeds]
    wrong = []

    def work(i):
        for _ in range(1000):
            if not np.array_equal(f(x=feeds[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_source_and_assembly_are_text_without_a_users_names():
    x = gn.Input("secret", ("N", 3))
    f = gn.compile(gn.Sum(gn.Tanh(x)), backend="native")
    assert "define i64 @kernel(ptr %words)" in f.source and "secret" not in f.source
    assert "ret" in f.assembly and "secret" not in f.assembly
    with pytest.raises(gn.BackendError, match="no machine code"):
        gn.compile(x).assembly


def test_a_thousand_equal_layers_share_their_kernels():
    x = gn.Input("x", ("N", 8))
    y = x
    for i in range(50):
        y = gn.Tanh(y @ gn.Parameter(f"w{i}", np.eye(8)))
    f = gn.compile(y, backend="native")
    f(x=np.ones((4, 8)))
    assert f.source.count("define") == 3  # the product, the activation, the loop


def test_profile_times_every_step_and_leaves_parameters_alone():
    w = gn.Parameter("w", [1.0, 2.0])
    loss = gn.Sum(w * w)
    f = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend="native")
    profile = f.profile()
    assert len(profile.seconds) == len(f.plan.steps) and all(s > 0 for s in profile.seconds)
    np.testing.assert_array_equal(w.value, [1, 2])


def test_a_strided_unaligned_feed():
    raw = np.zeros(8 * 40 + 1, np.uint8)
    data = raw[1:].view(np.float64).reshape(20, 2)
    data[...] = np.random.default_rng(0).normal(size=(20, 2))
    x = gn.Input("x", ("N", 2), dtype="float64")
    f = gn.compile(gn.Sum(gn.Tanh(x)), backend="native")
    assert not data.flags.aligned
    np.testing.assert_allclose(f.loop({"x": data}, 20)[0, 0], np.tanh(data).sum(), rtol=1e-12)


def late(program, times):
    """`ready`, which says no so many times, then waits for the kernels."""
    asked = []

    def ready(sizes):
        asked.append(sizes)
        return len(asked) > times and program._compiled.wait(60)

    return ready


@pytest.mark.parametrize("shuffle", [0, None])
@pytest.mark.parametrize("times", [0, 4, 11, 12, 57, 10_000])  # asked 11 times an epoch
def test_without_waiting_a_loop_begins_on_numpy_and_goes_on_in_kernels_at_a_step(times, shuffle, monkeypatch):
    from graphnn.backends.native.waiting import WaitingProgram

    X, T = gn.data.spiral()
    losses, states = [], []
    ran, epochs = [], 8
    for wait in (True, False):
        rng = np.random.default_rng(0)
        x, t = gn.Input("x", ("N", 2), dtype="float64"), gn.Input("t", ("N",), dtype="int64")
        w = gn.Parameter("w", rng.normal(size=(2, 3)), dtype="float64")
        loss = gn.SoftmaxCE(gn.Tanh(x @ w), t)
        f = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend="native", wait=wait)
        if isinstance(f._program, WaitingProgram):
            f._program.ready({"N": 30})
            monkeypatch.setattr(f._program, "ready", late(f._program, times))
            loop = f._program._fast.loop
            monkeypatch.setattr(
                f._program._fast, "loop", lambda *given, loop=loop: (ran.append(given[-1].begin), loop(*given))
            )
        told = []
        losses.append(f.loop({"x": X, "t": T}, 29, epochs, shuffle=shuffle, progress=told.append))
        states.append(w.value)
        assert told == list(range(1, epochs + 1))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
    np.testing.assert_allclose(states[1], states[0], rtol=1e-9)
    assert ran == {0: [0], 4: [4], 11: [0], 12: [1], 57: [2], 10_000: []}[times]
    f._program._compiled.wait(60)
    assert "the kernels are ready" in f.explain()


def test_the_memory_of_the_program_that_ran_meanwhile_is_let_go(monkeypatch):
    x = gn.Input("x", (500, 500))
    f = gn.compile(gn.Sum(gn.Tanh(x) * x, axis=1), backend="native", wait=False)
    data = np.ones((500, 500), np.float32)
    with monkeypatch.context() as held:
        held.setattr(f._program, "ready", lambda sizes: False)  # kernels met before are ready at once
        first = f(x=data)
    slow = weakref.ref(f._program._slow)
    f._program.ready({})
    assert f._program._compiled.wait(60)
    np.testing.assert_allclose(f(x=data), first, rtol=1e-6)
    assert slow() is None


def test_both_programs_lie_in_one_arena_and_what_is_made_twice_is_counted_twice():
    x = gn.Input("x", (1000, 1000))
    outputs = gn.Sum(gn.Trilu(gn.Tanh(x)) * x, axis=1)  # whose mask is a table of 1 MB
    native = gn.compile(outputs, backend="native")
    data = np.ones((1000, 1000), np.float32)
    tracemalloc.start()
    f = gn.compile(outputs, backend="native", wait=False)
    told = f.memory()
    f._program.ready({})
    assert f._program._compiled.wait(60)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (told.arena, told.constants) == (native.memory().arena, 2 * native.memory().constants)
    assert told.constants == 2 * 1000 * 1000 and told.total < peak < told.total + told.arena // 2
    np.testing.assert_allclose(f(x=data), native(x=data), rtol=1e-6)
    assert f.memory().total == native.memory().total


def test_a_larger_batch_moves_both_programs():
    x = gn.Input("x", ("N", 7))
    y = gn.Exp(x) @ gn.Constant(np.ones((7, 3)))
    f, numpy = gn.compile(y, backend="native", wait=False), gn.compile(y)
    for n in (2, 5, 50, 3, 400):
        value = np.full((n, 7), float(n % 4))
        np.testing.assert_allclose(f(x=value), numpy(x=value), rtol=1e-6)
    assert f._program._compiled.wait(60)
    for n in (2, 5, 500, 3):
        value = np.full((n, 7), float(n % 4))
        np.testing.assert_allclose(f(x=value), numpy(x=value), rtol=1e-6)
