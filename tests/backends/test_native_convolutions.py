"""Convolutions in kernels: NumPy's results in every form, over any layout and batch, and loops that stay in kernels."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.native.bound import Bound
from graphnn.backends.native.machine import machine

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)
FORMS = {
    "plain": ((4, 7, 8), (5, 4, 3, 3), {}),
    "padded": ((4, 7, 8), (5, 4, 3, 3), {"padding": "same"}),
    "uneven": ((3, 9, 6), (2, 3, 4, 2), {"padding": ((2, 0), (1, 3))}),
    "strided": ((4, 9, 9), (5, 4, 3, 3), {"stride": 2, "padding": 1}),
    "strides that skip": ((2, 11, 10), (3, 2, 2, 2), {"stride": 3}),
    "dilated": ((2, 9, 10), (3, 2, 3, 2), {"dilation": (2, 3), "padding": 2}),
    "dilated and strided": ((2, 12, 13), (3, 2, 3, 3), {"dilation": (3, 2), "stride": (2, 3), "padding": 1}),
    "wide filters": ((1, 20, 21), (6, 1, 5, 7), {"padding": 3}),
    "wide images": ((2, 3, 150), (3, 2, 3, 3), {"padding": 1}),
    "many filters": ((3, 6, 5), (70, 3, 2, 2), {}),
    "many channels": ((70, 4, 5), (3, 70, 3, 3), {"padding": 1}),
    "many channels in groups": ((140, 3, 4), (4, 70, 2, 3), {"groups": 2, "padding": 1}),
    "many columns": ((8, 40, 41), (4, 8, 3, 3), {"stride": (2, 1)}),
    "pointwise": ((6, 5, 7), (4, 6, 1, 1), {}),
    "pointwise, strided": ((6, 5, 7), (4, 6, 1, 1), {"stride": 2}),
    "one place": ((3, 4, 5), (6, 3, 4, 5), {}),
    "one place for each group": ((4, 4, 5), (6, 2, 4, 5), {"groups": 2}),
    "few places": ((3, 5, 4), (6, 3, 3, 3), {"padding": ((0, 0), (1, 0))}),
    "nothing seen": ((2, 1, 1), (3, 2, 2, 2), {"dilation": 2, "padding": 1}),
    "groups": ((6, 7, 6), (9, 2, 3, 3), {"groups": 3, "padding": 1}),
    "a filter for each channel": ((5, 7, 6), (5, 1, 3, 3), {"groups": 5, "padding": "same"}),
    "1-D": ((3, 20), (4, 3, 5), {}),
    "1-D, all at once": ((4, 21), (6, 2, 3), {"stride": 2, "padding": ((2, 1),), "dilation": 2, "groups": 2}),
    "3-D": ((2, 4, 5, 6), (3, 2, 2, 3, 2), {"padding": 1, "stride": (1, 2, 1)}),
    "mostly zeros": ((2, 2, 3), (3, 2, 3, 3), {"padding": 4, "stride": 3}),
}
forms = pytest.mark.parametrize(("image", "filters", "how"), FORMS.values(), ids=FORMS)


def with_gradients(y, **operands):
    """A value, and its gradients by some operands through something that is not linear."""
    loss = gn.Sum(gn.Tanh(y * 0.3))
    return {"y": y, **dict(zip(operands, gn.grad(loss, list(operands.values())), strict=True))}


def operands(image, filters, channels, dtype, batch="N"):
    x = gn.Input("x", (batch, *image), dtype=dtype)
    return x, gn.Input("W", filters, dtype=dtype), gn.Input("b", (channels,), dtype=dtype)


def values(samples, image, filters, channels):
    shapes = {"x": (samples, *image), "W": filters, "b": (channels,)}
    return {name: RNG.normal(size=shape) for name, shape in shapes.items()}


def agree(outputs, given, rtol=1e-10):
    """NumPy and kernels agree, and what exact passes make has the bits of none at all."""
    numpy, native = (gn.compile(outputs, backend=b) for b in ("numpy", "native"))
    assert "every step has a kernel" in native.explain()
    expected, found = numpy(**given), native(**given)
    none, exact = (gn.compile(outputs, backend="native", passes=p)(**given) for p in ("none", "exact"))
    for name in expected:
        scale = np.abs(expected[name]).max(initial=1)
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=rtol * scale, err_msg=name)
        np.testing.assert_array_equal(exact[name], none[name])


@forms
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_form_agrees_with_numpy(image, filters, how, dtype):
    x, W, b = operands(image, filters, filters[0], dtype)
    given = values(35, image, filters, filters[0])
    agree(with_gradients(gn.Conv(x, W, b, **how), x=x, W=W, b=b), given, 1e-10 if dtype == "float64" else 1e-4)


@forms
def test_every_transposed_form_agrees_with_numpy(image, filters, how):
    conv = gn.Conv(gn.Input("images", ("N", *image)), gn.Input("W", filters), **how)
    channels = filters[1] * conv.groups
    x, W, b = operands((filters[0], *conv.shape[2:]), filters, channels, "float64")
    y = gn.ConvTranspose(x, W, b, **{**how, "padding": conv.padding})
    agree(with_gradients(y, x=x, W=W, b=b), values(35, x.shape[1:], filters, channels))


@pytest.mark.parametrize("how", [{}, {"padding": 1}, {"stride": 2}, {"groups": 2}])
def test_images_and_filters_are_read_where_they_lie(how):
    x = gn.Input("x", ("N", 8, 7, 4), dtype="float64")
    W = gn.Input("W", (3, 3, 4 // how.get("groups", 1), 6), dtype="float64")
    y = gn.Conv(gn.Transpose(x, (0, 3, 1, 2)), gn.Transpose(W, (3, 2, 0, 1)), **how)
    given = {"x": RNG.normal(size=(3, 8, 7, 4)), "W": RNG.normal(size=W.shape)}
    agree(with_gradients(y, x=x, W=W), given)
    z = gn.Input("z", ("N", 5, 6, 6), dtype="float64")
    back = gn.ConvTranspose(gn.Transpose(z, (0, 3, 1, 2)), gn.Transpose(W, (3, 2, 0, 1)), **how)
    agree(with_gradients(back, z=z, W=W), {"z": RNG.normal(size=(3, 5, 6, 6)), "W": given["W"]})


@pytest.mark.parametrize("how", [{}, {"padding": 1}, {"stride": 2}, {"groups": 2}])
def test_images_that_are_one_value_repeated(how):
    """So lie the gradients of what was summed or averaged over positions: without a stride along them."""
    x, W, z = gn.Input("x", ("N", 4, 6, 7)), gn.Input("W", (6, 4 // how.get("groups", 1), 3, 3)), gn.Input("z", (4, 1))
    given = values(3, (4, 6, 7), W.shape, 1)
    given["z"] = RNG.normal(size=(4, 1))
    row = gn.Broadcast(gn.Reshape(z, (1, 4, 1, 1)), ("N", 4, 6, 7))
    outputs = {"dx": gn.grad(gn.Sum(gn.Mean(gn.Conv(x, W, **how), axis=(2, 3)) ** 2), x)}
    outputs |= with_gradients(gn.Conv(row, W, **how), z=z, W=W)
    agree(outputs, {name: given[name] for name in ("x", "W", "z")}, 1e-4)


def test_a_named_size_of_the_image():
    x, W = gn.Input("x", ("N", 2, "K"), dtype="float64"), gn.Input("W", (3, 2, 3), dtype="float64")
    outputs = with_gradients(gn.Conv(x, W, padding="same"), x=x, W=W)
    native, numpy = (gn.compile(outputs, backend=b) for b in ("native", "numpy"))
    for size in (1, 4, 70):
        given = {"x": RNG.normal(size=(2, 2, size)), "W": RNG.normal(size=W.shape)}
        expected, found = numpy(**given), native(**given)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "int32"])
def test_other_dtypes(dtype):
    x, W, b = operands((3, 6, 6), (4, 3, 3, 3), 4, dtype)
    given = {name: RNG.integers(-2, 3, value.shape) for name, value in values(3, (3, 6, 6), W.shape, 4).items()}
    g = gn.Input("g", ("N", 4, 6, 6), dtype=dtype)
    outputs = {
        "y": gn.Conv(x, W, b, padding=1),
        "dx": gn.ConvTranspose(g, W, padding=1),
        "dW": gn.ConvWeight(x, g, (3, 3), padding=1),
    }
    given["g"] = RNG.integers(-2, 3, (3, 4, 6, 6))
    numpy, native = (gn.compile(outputs, backend=b)(**given) for b in ("numpy", "native"))
    for name in numpy:
        np.testing.assert_array_equal(native[name], numpy[name])


@pytest.mark.parametrize("groups", [1, 2])
def test_no_samples(groups):
    x, W, b = operands((4, 5, 5), (6, 4 // groups, 3, 3), 6, "float64")
    outputs = with_gradients(gn.Conv(x, W, b, groups=groups, padding=1), x=x, W=W, b=b)
    found = gn.compile(outputs, backend="native")(**values(0, (4, 5, 5), W.shape, 6))
    assert found["y"].shape == (0, 6, 5, 5) and found["x"].shape == (0, 4, 5, 5)
    assert found["W"].shape == W.shape and not found["W"].any() and not found["b"].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spreads_as_in_numpy(value):
    x, W, b = operands((2, 6, 6), (3, 2, 3, 3), 3, "float32")
    g = gn.Input("g", ("N", 3, 6, 6))
    outputs = {"y": gn.Conv(x, W, b, padding=1), "dx": gn.ConvTranspose(g, W, padding=1)}
    given = {**values(2, (2, 6, 6), W.shape, 3), "g": RNG.normal(size=(2, 3, 6, 6))}
    for name in ("x", "W", "g"):
        spoilt = {n: v.copy() for n, v in given.items()}
        spoilt[name][0, 1, 2, 1] = value
        numpy, native = (gn.compile(outputs, backend=b)(**spoilt) for b in ("numpy", "native"))
        for output in numpy:
            np.testing.assert_allclose(native[output], numpy[output], rtol=1e-5, atol=1e-5)


def net(batch="N"):
    """Two convolutions, of which one moves by two, pooling between them, and one that is transposed."""
    rng = np.random.default_rng(1)
    x, t = gn.Input("x", (batch, 1, 8, 8)), gn.Input("t", (batch, 1, 8, 8))
    filters = [gn.Parameter(f"W{i}", rng.normal(size=shape) * 0.3) for i, shape in enumerate(SHAPES)]
    h = gn.ReLU(gn.Conv(x, filters[0], gn.Parameter("b", np.zeros(4)), padding="same"))
    h = gn.Tanh(gn.Conv(gn.MaxPool(h, 2), filters[1], stride=2, padding=1))
    y = gn.ConvTranspose(h, filters[2], stride=4)
    return gn.MSE(y, t)


SHAPES = (4, 1, 3, 3), (6, 4, 3, 3), (6, 1, 4, 4)


def test_a_whole_loop_stays_in_kernels_and_the_last_batch_may_be_odd():
    data = {"x": RNG.normal(size=(23, 1, 8, 8)), "t": RNG.normal(size=(23, 1, 8, 8))}
    losses = {}
    for backend in ("numpy", "native"):
        loss = net()
        step = gn.compile(loss, gn.Adam(lr=0.01).updates(loss), backend=backend)
        losses[backend] = np.array(step.loop(data, 5, epochs=3))
    assert "every step has a kernel: a loop runs without entering Python" in step.explain()
    bound = step._program._bindings
    assert {b.sizes["N"] for b in bound} == {5, 3} and all(isinstance(b, Bound) and b.whole for b in bound)
    np.testing.assert_allclose(losses["native"], losses["numpy"], rtol=1e-4)


def test_in_the_body_of_a_loop():
    rng = np.random.default_rng(2)
    xs, start = gn.Input("xs", (4, "N", 2, 6, 6), dtype="float64"), gn.Input("start", ("N", 2, 6, 6), dtype="float64")
    W = gn.Input("W", (2, 2, 3, 3), dtype="float64")

    def turn(h, x):
        h = gn.Tanh(gn.Conv(h, W, padding=1) + x)
        return h, gn.Sum(h)

    h, sums = gn.Scan(turn, start, xs)
    y = gn.Sum(h) + gn.Sum(sums)
    given = {name: rng.normal(size=(4, 3, 2, 6, 6)[n:]) for name, n in (("xs", 0), ("start", 1))}
    agree(with_gradients(y, W=W, start=start), {**given, "W": rng.normal(size=W.shape)})


def test_bits_depend_neither_on_the_batch_nor_on_a_named_size():
    data = {"x": RNG.normal(size=(4, 1, 8, 8)), "t": RNG.normal(size=(4, 1, 8, 8))}
    named, fixed = net(), net(4)
    one = gn.compile(named, gn.SGD().updates(named), backend="native")
    two = gn.compile(fixed, gn.SGD().updates(fixed), backend="native")
    for _ in range(2):
        assert one(**data) == two(**data)
    x, W, b = operands((3, 7, 7), (5, 3, 3, 3), 5, "float32")
    f = gn.compile(gn.Conv(x, W, b, padding=1), backend="native")
    given = values(6, (3, 7, 7), W.shape, 5)
    np.testing.assert_array_equal(f(**given)[2:4], f(**{**given, "x": given["x"][2:4]}))


def test_the_odd_last_batch_has_the_kernels_of_the_others():
    loss = net()
    step = gn.compile(loss, gn.SGD().updates(loss), backend="native")
    kernels = []
    for samples in (8, 7, 5):
        step(x=np.ones((samples, 1, 8, 8)), t=np.ones((samples, 1, 8, 8)))
        kernels.append(len(machine()._addresses))
    assert kernels[0] == kernels[1] == kernels[2]


def test_equal_convolutions_share_a_kernel():
    x, z = gn.Input("x", ("N", 3, 8, 8)), gn.Input("z", ("N", 3, 8, 8))
    W, V = gn.Parameter("W", np.ones((4, 3, 3, 3))), gn.Parameter("V", np.ones((4, 3, 3, 3)))
    source = gn.compile({"y": gn.Conv(x, W), "again": gn.Conv(z, V)}, backend="native").source
    assert source.count("Conv: 2 in a step") == 1
