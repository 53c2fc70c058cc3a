"""Mixed precision: what is rounded, what stays, and that all backends round alike."""

import numpy as np
import pytest
from random_graphs import random_program

import graphnn as gn
from graphnn.transform.halves import FromBFloat16, ToBFloat16
from graphnn.transform.precision import precision_pass

AVAILABLE = [name for name, state in gn.backends().items() if state == "ok"]
HALVES = ("float16", "bfloat16")
ODD = np.array([0.0, -0.0, 1.0, -2.5, 3.14159, 1e-40, 1.00390625, 1.01171875, 3.4e38, np.inf, -np.inf, np.nan], "f4")


def upper_half(x):
    """bfloat16 as its definition says: of the two nearest, the one with the even last bit when both are as near."""
    low = (x.view(np.uint32) >> 16 << 16).view(np.float32)
    high = ((x.view(np.uint32) >> 16) + 1 << 16).view(np.float32)
    below, above = np.abs(x.astype("f8") - low), np.abs(high.astype("f8") - x)
    even = (low.view(np.uint32) >> 16) % 2 == 0
    return np.where((below < above) | ((below == above) & even), low, high)


@pytest.mark.parametrize("backend", AVAILABLE)
def test_bfloat16_is_the_nearest_upper_half(backend):
    x = gn.Input("x", ("N",))
    f = gn.compile(FromBFloat16(ToBFloat16(x)), backend=backend)
    values = np.random.default_rng(0).normal(size=1003).astype(np.float32)
    np.testing.assert_array_equal(f(x=values), upper_half(values))
    np.testing.assert_array_equal(f(x=ODD[:8]), upper_half(ODD[:8]))
    assert f(x=ODD)[8] == np.inf and np.isnan(f(x=ODD)[-1]) and f(x=ODD)[-2] == -np.inf
    assert np.signbit(f(x=ODD)[1])


def test_bfloat16_is_that_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    values = values[~np.isnan(values)]
    made = gn.compile(ToBFloat16(gn.Input("x", ("N",))))(x=values)
    np.testing.assert_array_equal(made, values.astype(ml_dtypes.bfloat16).view(np.uint16))


@pytest.mark.parametrize("backend", AVAILABLE)
def test_layouts_are_read_as_they_lie(backend):
    x = gn.Input("x", ("N", 5))
    values = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    f = gn.compile([FromBFloat16(ToBFloat16(x.T)), ToBFloat16(gn.Repeat(x[:1], 3)).astype("int64")], backend=backend)
    turned, repeated = f(x=values)
    np.testing.assert_array_equal(turned, upper_half(np.ascontiguousarray(values.T)))
    np.testing.assert_array_equal(repeated, np.repeat(upper_half(values[:1]).view(np.uint32) >> 16, 3, axis=0))


def net(layers=1, dtype="float32"):
    gn.default_dtype(dtype)
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    h, width = x, 4
    for i in range(layers):
        W = gn.Parameter(f"W{i}", rng.normal(size=(width, 8)))
        h, width = gn.Tanh(gn.Affine(h, W, gn.Parameter(f"b{i}", np.zeros(8)))), 8
    scores = gn.Affine(h, gn.Parameter("W", rng.normal(size=(width, 3))), gn.Parameter("b", np.zeros(3)))
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))


def data(n=60):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, 4))
    return {"x": x, "t": np.argmax(x[:, :3], axis=1)}


@pytest.mark.parametrize("half", HALVES)
def test_products_read_halves_and_nothing_else_does(half):
    x, W = gn.Input("x", ("N", 2)), gn.Parameter("W", np.ones((2, 2)))
    graph = precision_pass(f"mixed_{half}").run(gn.Graph(gn.Tanh(x @ W) * x))[0]
    ops = [node.op for node in graph.nodes if node.operands]
    there, back = ("Cast", "Cast") if half == "float16" else ("ToBFloat16", "FromBFloat16")
    assert sorted(ops) == sorted([there, back, there, back, "MatMul", "Tanh", "Mul"])
    assert graph.outputs["out"].dtype == np.float32 and graph.parameters["W"].dtype == np.float32


@pytest.mark.parametrize("half", HALVES)
def test_what_waits_for_the_backward_half_waits_in_16_bits_but_for_losses(half):
    model = net()
    f = gn.compile(model.loss, gn.SGD().updates(model.loss), precision=f"mixed_{half}")
    last_forward = max(i for i, s in enumerate(f.plan.steps) if f.plan.graph.roles[s.node] == "forward")
    values = f.plan.values
    waiting = [
        step.node
        for i, step in enumerate(f.plan.steps[: last_forward + 1])
        if values[step.node].last > last_forward and step.node.shape == (gn.Size("N"), 8)
    ]
    assert waiting and all(node.dtype.itemsize == 2 for node in waiting)
    kept = {step.node.op for step in f.plan.steps if step.node.shape == (gn.Size("N"), 3)}
    assert "Exp" in kept  # the loss computes as ever


@pytest.mark.parametrize("half", HALVES)
def test_backends_round_alike_and_training_is_close_to_that_in_float32(half):
    losses = {}
    for backend in AVAILABLE:
        for precision in (None, f"mixed_{half}"):
            model = net(layers=2)
            step = gn.compile(model.loss, gn.SGD(lr=0.3).updates(model.loss), backend=backend, precision=precision)
            losses[backend, precision] = step.loop(data(), 20, epochs=10)
            assert all(p.dtype == np.float32 for p in model.parameters.values())
    for backend in AVAILABLE:
        mixed, whole = losses[backend, f"mixed_{half}"], losses[backend, None]
        assert not np.array_equal(mixed, whole)
        np.testing.assert_allclose(mixed, whole, atol=0.05)
        np.testing.assert_allclose(mixed, losses["numpy", f"mixed_{half}"], atol=5e-3)


@pytest.mark.parametrize("half", HALVES)
def test_a_large_batch_takes_less_memory(half):
    arenas = {}
    for precision in (None, f"mixed_{half}"):
        model = net(layers=12)
        step = gn.compile(model.loss, gn.SGD().updates(model.loss), precision=precision)
        arenas[precision] = step.plan.arena_bytes(N=4096)
    assert arenas[f"mixed_{half}"] < 0.7 * arenas[None]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 25))])
def test_random_programs_are_rounded_alike_on_all_backends(half, seed):
    program = random_program(seed)
    parameters = gn.Graph(program.outputs, program.updates).parameters.values()
    if any(p.trainable and p.dtype == np.float64 for p in parameters):
        with pytest.raises(gn.DTypeError, match="keeps weights in float32"):
            program.run(precision=f"mixed_{half}")
        return
    found = {name: program.run(backend=name, precision=f"mixed_{half}")[1] for name in AVAILABLE}
    for results in found.values():
        for name, value in found["numpy"].items():
            if value.dtype.kind == "f":
                with np.errstate(over="ignore", invalid="ignore"):
                    scale = np.abs(value[np.isfinite(value)].astype("f8")).max(initial=0.0)
                finite = np.isfinite(value) & np.isfinite(results[name])
                np.testing.assert_allclose(results[name][finite], value[finite], rtol=0, atol=0.02 * scale)


def test_what_is_rounded_too_far_is_blamed_on_the_rounding():
    x, w = gn.Input("x", ("N", 1)), gn.Parameter("w", [[1.0]])
    loss = gn.Mean(x @ w)
    step = gn.compile(loss, gn.SGD(lr=0.0).updates(loss), precision="mixed_float16")
    assert step.loop({"x": [[6e4]]}, 1) == 6e4
    with pytest.raises(
        gn.NonFiniteError, match=r"epoch 1, batch 2: Cast f16\[N, 1\] \(test_precision.py:\d+\), in the"
    ):
        step.loop({"x": [[6e4], [7e4]]}, 1)


def test_policies_and_dtypes_that_make_no_sense_are_refused():
    model = net()
    with pytest.raises(gn.GraphError, match="precision 'half' is none of 'mixed_float16', 'mixed_bfloat16', None"):
        gn.compile(model.loss, precision="half")
    double = net(dtype="float64")
    with pytest.raises(gn.DTypeError, match=r"keeps weights in float32, but 'W0' f64\[4, 8\] .* is float64: declare"):
        gn.compile(double.loss, precision="mixed_float16")


@pytest.mark.parametrize("half", HALVES)
def test_bodies_of_loops_round_their_products(half):
    xs, W = gn.Input("xs", (5, 3)), gn.Parameter("W", 0.5 * np.eye(3))
    [end] = gn.Scan(lambda h, x: (gn.Tanh(h @ W + x), None), gn.Constant(np.zeros(3)), xs)
    values = np.random.default_rng(0).normal(size=(5, 3))
    whole, mixed = gn.compile(gn.Sum(end)), gn.compile(gn.Sum(end), precision=f"mixed_{half}")
    assert mixed(xs=values) != whole(xs=values)
    assert mixed(xs=values) == pytest.approx(whole(xs=values), abs=0.05)
