"""Large products by cuBLASLt, against a stand-in that reads what it is told literally."""

import ctypes
from contextlib import suppress

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.cupy import blaslt, device
from graphnn.backends.cupy.layouts import Epilogue, Matrix
from graphnn.backends.cupy.layouts import Product as Asked
from graphnn.transform.products import Product

from .conftest import real_gpu

BOTH = ("numpy", "cupy")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_any_layout(lt, dtype):
    rng = np.random.default_rng(0)
    x, w = gn.Input("x", ("M", "K"), dtype=dtype), gn.Input("w", ("K", "N"), dtype=dtype)
    xt, wt = gn.Input("xt", ("K", "M"), dtype=dtype), gn.Input("wt", ("N", "K"), dtype=dtype)
    outputs = [x @ w, xt.T @ w, x @ wt.T, xt.T @ wt.T, x[:, 1:] @ w[1:], xt[:, 0] @ w, x @ w[:, 0]]
    for m, k, n in ((5, 7, 3), (1, 4, 1), (4, 2, 1), (1, 3, 2), (16, 33, 8)):
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        feeds = {"x": a, "w": b, "xt": np.ascontiguousarray(a.T), "wt": np.ascontiguousarray(b.T)}
        gn.testing.agree({f"y{i}": y for i, y in enumerate(outputs)}, feeds, BOTH)
    assert len(lt.products) > 50


def test_rows_of_batches_are_one_product(lt):
    x, w = gn.Input("x", ("B", "N", 4)), gn.Parameter("w", np.arange(12.0).reshape(4, 3))
    gn.testing.agree(x @ w, {"x": np.ones((2, 3, 4))}, BOTH, passes=["none"])
    assert len(lt.products) == 1


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_stacks_of_matrices_are_one_product_where_they_lie_evenly(lt, dtype):
    rng = np.random.default_rng(0)
    x, w = gn.Input("x", ("B", 2, "N", 4), dtype=dtype), gn.Input("w", ("B", 2, 4, 3), dtype=dtype)
    one, heads = gn.Input("one", (4, 3), dtype=dtype), gn.Input("heads", ("N", 2, 4), dtype=dtype)
    even = [x @ w, x[:, 1] @ w[:, 0], x.transpose((0, 1, 3, 2)) @ x, x @ one, heads.transpose((1, 2, 0)) @ x[0]]
    turned = [y.transpose((1, 0, 2, 3)) for y in (x, w)]
    uneven = [x[:, :1] @ w[0], one.T @ heads.transpose((1, 2, 0)), turned[0] @ turned[1]]
    given = {"x": (5, 2, 6, 4), "w": (5, 2, 4, 3), "one": (4, 3), "heads": (6, 2, 4)}
    feeds = {name: rng.normal(size=shape).astype(dtype) for name, shape in given.items()}
    for outputs, products in (([*even, w[0, 0] * 1], 5), (uneven, 1)):
        lt.products.clear()
        close = 5e-3 if dtype == "float16" else 1e-6
        gn.testing.agree(outputs, feeds, BOTH, passes=["none"], rtol=close, atol=close)
        assert len(lt.products) == products


def test_what_lies_at_odd_addresses_is_multiplied_by_an_algorithm_for_those(lt):
    x, w = gn.Input("x", ("N", 6)), gn.Input("w", (5, 3))
    gn.testing.agree(x[:, 1:] @ w, {"x": np.ones((4, 6)), "w": np.ones((5, 3))}, BOTH)
    assert lt.products


def training(backend, precision=None):
    x, t = gn.Input("x", ("N", 6)), gn.Input("t", ("N",), dtype="int64")
    rng = np.random.default_rng(0)
    w, v = gn.Parameter("w", rng.normal(size=(6, 8))), gn.Parameter("v", rng.normal(size=(8, 3)))
    loss = gn.SoftmaxCE(gn.Tanh(x @ w) @ v, t)
    return gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend=backend, precision=precision)


DATA = {"x": np.random.default_rng(1).normal(size=(20, 6)), "t": np.arange(20) % 3}


def test_updates_are_folded_into_products_and_captured_with_the_rest(lt):
    losses, state = {}, {}
    for backend in BOTH:
        f = training(backend)
        losses[backend] = f.loop(DATA, 6, epochs=3, shuffle=0)
        f.set("lr", 0.1)  # read from the device when the product runs
        losses[backend] = np.concatenate([losses[backend], f.loop(DATA, 6, epochs=1)])
        state[backend] = f.state
    np.testing.assert_allclose(losses["cupy"], losses["numpy"], rtol=1e-4)
    for name, value in state["numpy"].items():
        np.testing.assert_allclose(state["cupy"][name], value, 1e-4, 1e-6, err_msg=name)


def test_a_loop_that_fails_leaves_the_last_good_step_though_products_update(lt):
    x, w = gn.Input("x", ("N", 2)), gn.Parameter("w", np.ones((2, 2)))
    loss = gn.Mean(gn.Log(x @ w))
    step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend="cupy")
    good = gn.compile(loss, gn.SGD(lr=0.1).updates(loss))
    data = np.array([[1.0, 2.0], [2.0, 1.0], [-1.0, -1.0], [1.0, 1.0], [3.0, 1.0]])
    with pytest.raises(gn.NonFiniteError, match="batch 3"):
        step.loop({"x": data}, 1)
    assert lt.products
    stopped = w.value
    w.value = np.ones((2, 2))
    good.loop({"x": data[:2]}, 1)
    np.testing.assert_allclose(stopped, w.value, rtol=1e-6)


def test_nothing_holds_back_a_product_so_it_updates_only_where_no_check_comes_later(lt):
    x, t = gn.Input("x", ("N", 6)), gn.Input("t", ("N",), dtype="int64")
    w = gn.Parameter("w", np.ones((6, 3)))
    loss = gn.SoftmaxCE(x @ w, t - 1)
    step = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend="cupy")
    step(x=DATA["x"], t=DATA["t"] + 1)
    updating = [product.onto for bound in step._program._bindings for product in bound.products]
    assert updating == [False]


@pytest.mark.parametrize(("precision", "computed"), [(None, 68), ("tf32", 77), ("bf16", 75)])
def test_precisions(lt, precision, computed):
    f = training("cupy", precision)
    f(**DATA)
    assert set(lt.products) == {computed}
    assert f"products are by cuBLASLt, in {precision or 'float32'}" in f.explain()


def test_a_precision_needs_the_library(world, monkeypatch):
    def missing():
        raise OSError("libcublasLt.so.13: cannot open shared object file")

    monkeypatch.setattr(device, "load", missing)
    with pytest.raises(gn.BackendError, match=r"precision='tf32' needs cuBLASLt, .*: libcublasLt\.so\.13: cannot open"):
        training("cupy", "tf32")
    f = training("cupy")
    f(**DATA)
    assert "cuBLASLt does not work here: libcublasLt.so.13: cannot open shared object file" in f.explain()
    with pytest.raises(gn.GraphError, match=r"precision 'tf32' is none of .* the cupy backend has 'tf32' and 'bf16'"):
        training("numpy", "tf32")


@pytest.mark.parametrize("epilogues", [True, False])
def test_a_bias_is_added_by_the_product_or_after_it(lt, epilogues):
    lt.epilogues = {4} if epilogues else set()
    x, t = gn.Input("x", ("N", 6)), gn.Input("t", ("N",), dtype="int64")
    rng = np.random.default_rng(0)
    w, b = gn.Parameter("w", rng.normal(size=(6, 3))), gn.Parameter("b", rng.normal(size=3))
    loss = gn.SoftmaxCE(gn.Affine(x, w, b), t)
    state = {}
    for backend in BOTH:
        w.value, b.value = np.ones((6, 3)), np.arange(3)
        f = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend=backend)
        f.loop(DATA, 7, epochs=2)
        state[backend] = f.state
    launches = [launch for bound in f._program._bindings for launch in bound.works[0][0].kernels]
    assert isinstance(f.plan.steps[0].node, Product) and len(launches) == (2 if epilogues else 4)  # of two batch sizes
    for name, value in state["numpy"].items():
        np.testing.assert_allclose(state["cupy"][name], value, 1e-4, 1e-6, err_msg=name)


def test_without_an_algorithm_a_kernel_multiplies(lt):
    lt.algorithms = 0
    f, g = training("cupy"), training("numpy")
    np.testing.assert_allclose(f(**DATA), g(**DATA), rtol=1e-6)
    assert not lt.products


@pytest.fixture
def installed():
    """The library itself, where it is installed: what is set is read back. It needs no GPU for that."""
    lt = object.__new__(blaslt.BlasLt)
    with suppress(Exception):
        lt._library = blaslt.load()
    if not hasattr(lt, "_library"):
        pytest.skip("cuBLASLt is not installed: pip install nvidia-cublas")
    return lt


def test_epilogues_are_those_of_the_library_itself(installed):
    """RELU, RELU_BIAS, RELU_AUX, RELU_AUX_BIAS, DRELU and DRELU_BGRAD of its header are these."""
    attributes = {7: 4, 8: 8, 11: 8, 12: 8}  # epilogue, vector, mask, and its bits in a row, with their bytes
    forth = [Epilogue.RELU, Epilogue.RELU | Epilogue.BIAS, Epilogue.RELU | Epilogue.MASK]
    names = [*forth, Epilogue.BIAS | forth[2], Epilogue.DRELU, Epilogue.DRELU | Epilogue.SUMS]
    lay = Matrix(4, 384, 384, False)

    def read(operation):
        found, written = ctypes.c_int64(), ctypes.c_size_t()
        for attribute, size in attributes.items():
            place = ctypes.byref(found), ctypes.c_size_t(size), ctypes.byref(written)
            assert not installed._library.cublasLtMatmulDescGetAttribute(operation, attribute, *place)
            yield found.value

    for epilogue, value in zip(names, (2, 6, 130, 134, 136, 152), strict=True):
        operation = installed._made("MatmulDesc", ctypes.c_int(68), ctypes.c_int(0))
        product = Asked(lay, lay, lay, np.dtype("float32"), "float32", epilogue=epilogue, vector=8, mask=16)
        assert [*read(operation)] == [1, 0, 0, 0]
        installed._set_epilogue(operation, product)
        assert [*read(operation)] == [value, 8, 16, 384]


def test_descriptors_are_those_of_the_library_itself(installed):
    lt, library = installed, installed._library
    found, size = ctypes.c_int64(), ctypes.c_size_t()
    layout = lt._layout(0, Matrix(5, 7, 9, False, 70), 3)
    for attribute, value in ((2, 7), (3, 5), (4, 9), (6, 70)):  # rows, columns, leading dimension, step of batches
        place = ctypes.byref(found), ctypes.c_size_t(8), ctypes.byref(size)
        assert not library.cublasLtMatrixLayoutGetAttribute(layout, attribute, *place)
        assert found.value == value
    count = ctypes.c_int32()
    place = ctypes.byref(count), ctypes.c_size_t(4), ctypes.byref(size)
    assert not library.cublasLtMatrixLayoutGetAttribute(layout, 5, *place) and count.value == 3
    operation = lt._made("MatmulDesc", ctypes.c_int(77), ctypes.c_int(0))
    lt._set("MatmulDesc", operation, 4, ctypes.c_int32(1))
    lt._set("MatmulDesc", operation, 7, ctypes.c_int32(4))
    lt._set("MatmulDesc", operation, 8, ctypes.c_void_p(1 << 20))
    preference, aligned = lt._made("MatmulPreference"), ctypes.c_uint32()
    for attribute in (5, 6, 7, 8):  # what the addresses of A, B, C and D divide by
        place = ctypes.byref(aligned), ctypes.c_size_t(4), ctypes.byref(size)
        assert not library.cublasLtMatmulPreferenceGetAttribute(preference, attribute, *place)
        assert aligned.value == 256  # unless said, which is what tells that these are the right ones
        lt._set("MatmulPreference", preference, attribute, ctypes.c_uint32(16))
        assert not library.cublasLtMatmulPreferenceGetAttribute(preference, attribute, *place) and aligned.value == 16
    small = ctypes.c_int32()
    for attribute, value in (
        (0, 77),
        (1, 0),
        (3, 0),
        (4, 1),
        (7, 4),
    ):  # compute and scale type, transpositions, epilogue
        place = ctypes.byref(small), ctypes.c_size_t(4), ctypes.byref(size)
        assert not library.cublasLtMatmulDescGetAttribute(operation, attribute, *place)
        assert small.value == value
    place = ctypes.byref(found), ctypes.c_size_t(8), ctypes.byref(size)
    assert not library.cublasLtMatmulDescGetAttribute(operation, 8, *place) and found.value == 1 << 20


@pytest.mark.gpu
def test_products_by_the_library_are_right_and_can_be_captured():
    with real_gpu():
        rng = np.random.default_rng(0)
        x, w = gn.Input("x", ("N", 256)), gn.Parameter("w", rng.normal(size=(256, 192)))
        loss = gn.Mean((x @ w) ** 2)
        data = {"x": rng.normal(size=(1024, 256)).astype("float32")}
        state = {}
        for backend, precision in (("numpy", None), ("cupy", None), ("cupy", "tf32"), ("cupy", "bf16")):
            w.value = np.random.default_rng(1).normal(size=(256, 192))
            step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend=backend, precision=precision)
            step.loop(data, 256, epochs=3)
            state[backend, precision] = w.value
            assert backend == "numpy" or "0 products are by cuBLASLt" not in step.explain()
        for precision, tolerance in ((None, 1e-4), ("tf32", 1e-2), ("bf16", 5e-2)):
            np.testing.assert_allclose(state["cupy", precision], state["numpy", None], tolerance, tolerance)
