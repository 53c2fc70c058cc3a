"""ReLU and its gradient as epilogues of products, with each kind of library: what it does is asked, not believed."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.cupy import device
from graphnn.transform.rectified import GatedProduct, RectifiedProduct

from . import nvrtc
from .lt_stand_in import BIAS, DRELU, DRELU_BGRAD, RELU, RELU_AUX_BIAS, RELU_BIAS

WIDTH = 128


def training(backend, dtype="float32", precision=None, bias=True):
    """A step of a net with two layers, whose weights are always the same."""
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", 6), dtype=dtype), gn.Input("t", ("N",), dtype="int64")
    w = gn.Parameter("w", rng.normal(size=(6, WIDTH)), dtype=dtype)
    b = gn.Parameter("b", rng.normal(size=WIDTH), dtype=dtype)
    v = gn.Parameter("v", rng.normal(size=(WIDTH, 3)), dtype=dtype)
    loss = gn.SoftmaxCE(gn.ReLU(gn.Affine(x, w, b) if bias else x @ w) @ v, t)
    return gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend=backend, precision=precision)


DATA = {"x": np.random.default_rng(1).normal(size=(20, 6)), "t": np.arange(20) % 3}


def assert_trains_as_on_numpy(f, **how):
    expected = training("numpy", **how)
    close = 1e-4 if how.get("dtype") != "float64" else 1e-9
    np.testing.assert_allclose(f.loop(DATA, 7, epochs=3), expected.loop(DATA, 7, epochs=3), close)
    for name, value in expected.state.items():
        np.testing.assert_allclose(f.state[name], value, close, close, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_and_its_gradient_are_a_product_each(lt, dtype, bias):
    f = training("cupy", dtype, bias=bias)
    f(x=DATA["x"][:7], t=DATA["t"][:7])
    lt.fused.clear()
    f(x=DATA["x"][:7], t=DATA["t"][:7])
    assert lt.fused == ([RELU_AUX_BIAS, DRELU_BGRAD] if bias else [RELU_AUX_BIAS - BIAS, DRELU])
    said = f.explain()
    assert f": by cuBLASLt, with {'bias and ' if bias else ''}ReLU and its mask\n" in said
    assert f": by cuBLASLt, with ReLU's gradient{' and the sums of its columns' if bias else ''}\n" in said
    assert "not asked" not in said
    assert_trains_as_on_numpy(training("cupy", dtype, bias=bias), dtype=dtype, bias=bias)


KINDS = {
    "without ReLU": ({"epilogues": {BIAS, DRELU_BGRAD}}, {DRELU_BGRAD}, "there is no algorithm for it"),
    "without sums": (
        {"epilogues": {BIAS, RELU_AUX_BIAS, DRELU}},
        {RELU_AUX_BIAS, DRELU},
        "there is no algorithm for it",
    ),
    "without any": ({"epilogues": set()}, set(), "there is no algorithm for it"),
    "hiding NaN": ({"hides_nan": True}, {DRELU_BGRAD}, "of nan it makes 0.0, not nan"),
    "0 as positive": ({"zero_is_positive": True}, {DRELU_BGRAD}, "of 0.0 its mask says True, not False"),
    "another mask": ({"order": "big"}, set(), "of -17.0 its mask says True, not False"),
    "0 times NaN": ({"selects": False}, {RELU_AUX_BIAS}, "of nan it makes nan, not 0.0"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_library_that_does_something_else_is_not_asked_for_it(lt, kind):
    how, used, why = KINDS[kind]
    for name, value in how.items():
        setattr(lt, name, value)
    f = training("cupy")
    f(x=DATA["x"], t=DATA["t"])
    lt.fused.clear()
    assert_trains_as_on_numpy(training("cupy"))
    assert set(lt.fused) == used
    said = f.explain()
    what = "ReLU's gradient and the sums of its columns" if RELU_AUX_BIAS in used else "bias and ReLU and its mask"
    assert f"cuBLASLt is not asked for {what} with float32 in float32: {why}\n" in f"{said}\n"
    assert ", and kernels behind it" in said


@pytest.mark.parametrize("kind", ["no library", "no algorithm"])
def test_without_the_library_kernels_do_it_all(lt, monkeypatch, kind):
    def missing():
        raise OSError("libcublasLt.so.13: cannot open shared object file")

    if kind == "no library":
        monkeypatch.setattr(device, "load", missing)
    lt.algorithms = 0
    f = training("cupy")
    assert_trains_as_on_numpy(f)
    assert not lt.products
    assert "RectifiedProduct" in str(f.plan) and "GatedProduct" in str(f.plan)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_compiler_for_gpus_takes_the_kernels_without_a_word(world, dtype):
    library = nvrtc.load()
    if library is None:
        pytest.skip("NVRTC is not installed: pip install nvidia-cuda-nvrtc")
    f = training("cupy", dtype)
    f(x=DATA["x"], t=DATA["t"])
    assert not nvrtc.compile_cuda(library, f.source, [*device.OPTIONS, "--gpu-architecture=sm_90"])


@pytest.mark.parametrize("hides_nan", [False, True])
def test_a_nan_is_never_hidden(lt, hides_nan):
    lt.hides_nan = hides_nan
    f = training("cupy")
    before = f.state
    data = DATA["x"].copy()
    data[13, 2] = np.nan
    with pytest.raises(gn.NonFiniteError):
        f(x=data, t=DATA["t"])
    for name, value in f.state.items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(gn.NonFiniteError, match="batch 2"):
        f.loop({"x": data, "t": DATA["t"]}, 7)


@pytest.mark.parametrize("fused", [True, False])
def test_a_layer_that_only_predicts_has_no_mask(lt, fused):
    lt.hides_nan = not fused
    x, w = gn.Input("x", ("N", 6)), gn.Parameter("w", np.linspace(-1, 1, 60).reshape(6, 10))
    y = gn.ReLU(gn.Affine(x, w, np.linspace(-1, 1, 10)))
    f = gn.compile(y, backend="cupy")
    assert [step.node.op for step in f.plan.steps] == ["RectifiedProduct"]
    np.testing.assert_allclose(f(x=DATA["x"]), gn.compile(y)(x=DATA["x"]), 1e-5, 1e-6)
    assert set(lt.fused) == {RELU_BIAS}  # its trial, and itself if it has passed
    assert len(lt.fused) == 1 + fused


@pytest.mark.parametrize("precision", [None, "tf32"])
def test_an_epilogue_has_one_trial_for_each_dtype_and_precision(lt, precision):
    for rows in (20, 5):
        for _ in range(2):
            training("cupy", precision=precision)(x=DATA["x"][:rows], t=DATA["t"][:rows])
    assert len(lt.fused) == 2 + 4 * 2


@pytest.mark.parametrize("fused", [True, False])
def test_a_loop_is_the_calls_it_stands_for_bit_by_bit(lt, fused):
    lt.hides_nan = not fused
    looped, called = training("cupy"), training("cupy")
    losses = looped.loop(DATA, 8, epochs=2)
    parts = [slice(start, start + 8) for start in (0, 8, 16)]
    by_hand = [[float(called(x=DATA["x"][part], t=DATA["t"][part])) for part in parts] for _ in range(2)]
    np.testing.assert_array_equal(losses, by_hand)
    for name, value in called.state.items():
        np.testing.assert_array_equal(looped.state[name], value, err_msg=name)


def test_each_step_is_held_against_its_op(lt, monkeypatch):
    monkeypatch.setenv("GRAPHNN_CHECK", "1")
    x = gn.Input("x", ("N", 3))
    w, v = gn.Constant(np.ones((3, WIDTH), np.float32)), gn.Constant(np.ones((2, WIDTH), np.float32))
    y, mask = RectifiedProduct(x, w, None, True)
    dz, db = GatedProduct(x[:, :2], v, mask, True)
    f = gn.compile([y, mask, dz, db], backend="cupy", passes="none")
    for hides_nan in (False, True):
        lt.hides_nan = hides_nan
        f(x=[[0.1, 0.2, -0.3], [np.nan, 1, 1], [1, 2, 3]])  # 0.1 + 0.2 - 0.3 is 0 or not, by the order of the sum


def test_no_rows_and_nothing_to_sum(lt):
    x = gn.Input("x", ("N", "K"))
    w, b = gn.Input("w", ("K", WIDTH)), gn.Input("b", (1, WIDTH))
    y, mask = RectifiedProduct(x, w, b, True)
    dz, db = GatedProduct(x, w, mask, True)
    g = gn.compile([y, mask, dz, db], backend="cupy")
    for rows, inner in ((0, 3), (2, 0)):
        made = g(x=np.ones((rows, inner)), w=np.ones((inner, WIDTH)), b=np.ones((1, WIDTH)))
        assert [array.shape for array in made] == [(rows, WIDTH), (rows, WIDTH // 8), (rows, WIDTH), (1, WIDTH)]
        assert (made[0] == 1).all() and (made[1] == 255).all() and not made[2].any() and not made[3].any()


def test_the_turns_of_a_loop_have_epilogues_too(lt):
    x, w = gn.Input("x", ("N", WIDTH)), gn.Parameter("w", np.eye(WIDTH) / 2)
    (y,) = gn.Scan(lambda h, _: (gn.ReLU(h @ w), None), x, gn.Constant(np.zeros(3)))
    loss = gn.Sum(y * y)
    f, expected = (gn.compile([loss, gn.grad(loss, w)], backend=backend) for backend in ("cupy", "numpy"))
    given = {"x": np.random.default_rng(0).normal(size=(4, WIDTH))}
    for one, other in zip(f(**given), expected(**given), strict=True):
        np.testing.assert_allclose(one, other, 1e-4, 1e-5)
    assert lt.fused == [RELU] * (1 + 3)  # its trial, and the turns
