"""Convolutions and pooling: against SciPy, chunk by chunk, wherever images lie in memory, and with no allocation."""

import tracemalloc

import numpy as np
import pytest
from scipy.signal import correlate2d

import graphnn as gn
from graphnn.ops import im2col

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _double():
    gn.default_dtype("float64")


def correlated(images, filters):
    """Every filter against every image, channel by channel."""
    return np.array(
        [[sum(correlate2d(x, w, "valid") for x, w in zip(image, W, strict=True)) for W in filters] for image in images]
    )


def net(images=("N", 3, 7, 6), filters=(4, 3, 3, 2), **how):
    x, W = gn.Input("x", images), gn.Parameter("W", RNG.normal(size=filters))
    y = gn.Conv(x, W, gn.Parameter("b", RNG.normal(size=filters[0])), **how)
    return x, W, y


def test_conv_is_the_correlation_of_every_channel():
    _, W, y = net()
    given = RNG.normal(size=(5, 3, 7, 6))
    b = next(p for p in gn.Graph(y).parameters.values() if p.name == "b").value
    expected = correlated(given, W.value) + b[:, None, None]
    np.testing.assert_allclose(gn.compile(y)(x=given), expected, rtol=1e-12)


@pytest.mark.parametrize("how", [{}, {"padding": 1}, {"stride": 2, "padding": "same"}, {"dilation": 2, "padding": 2}])
def test_the_size_of_a_chunk_changes_nothing(how, monkeypatch):
    given = RNG.normal(size=(7, 3, 7, 6))
    rng_state = RNG.bit_generator.state
    results = []
    for size in (1, 10_000, 1 << 20):  # a sample, a few, all seven
        monkeypatch.setattr(im2col, "CHUNK_BYTES", size)
        RNG.bit_generator.state = rng_state
        x, W, y = net(**how)
        results.append(gn.compile([y, *gn.grad(gn.Sum(y * y), [x, W])])(x=given))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-12)


def test_images_may_lie_in_memory_as_they_like():
    """A transposed image has no runs to shift, and transposed filters are no matrix: both are read where they are."""
    x, W = gn.Input("x", ("N", 7, 6, 3)), gn.Parameter("W", RNG.normal(size=(3, 2, 3, 4)))
    given = RNG.normal(size=(2, 7, 6, 3))
    for how in ({}, {"padding": 1}, {"stride": 2}):
        y = gn.Conv(gn.Transpose(x, (0, 3, 1, 2)), gn.Transpose(W, (3, 2, 0, 1)), **how)
        again = gn.Conv(
            gn.Constant(np.ascontiguousarray(given.transpose(0, 3, 1, 2))),
            gn.Constant(np.ascontiguousarray(W.value.transpose(3, 2, 0, 1))),
            **how,
        )
        f = gn.compile([y, again])
        for _ in range(2):  # filters that are copied are copied at every call
            one, _ = f(x=given)
            W.value = W.value + 1
        W.value = W.value - 2
        one, two = f(x=given)
        np.testing.assert_allclose(one, two, rtol=1e-12)
        gn.testing.check_grad(gn.Sum(y * y), W, {"x": given})


def test_a_transposed_convolution_undoes_the_shape_whatever_the_rest():
    for size in (7, 8, 9):
        x = gn.Input("x", ("N", 3, size))
        W = gn.Parameter("W", RNG.normal(size=(4, 3, 3)))
        dx = gn.grad(gn.Sum(gn.Conv(x, W, stride=3, padding=1)), x)
        assert dx.shape == x.shape


def test_groups_are_convolutions_side_by_side():
    x, W = gn.Input("x", ("N", 4, 5)), gn.Parameter("W", RNG.normal(size=(6, 2, 3)))
    given = RNG.normal(size=(2, 4, 5))
    whole = gn.compile(gn.Conv(x, W, groups=2))(x=given)
    halves = [
        gn.compile(gn.Conv(gn.Constant(given[:, at : at + 2]), gn.Constant(W.value[to : to + 3])))()
        for at, to in ((0, 0), (2, 3))
    ]
    np.testing.assert_allclose(whole, np.concatenate(halves, axis=1), rtol=1e-12)


def test_a_step_of_a_convolutional_net_allocates_nothing():
    gn.default_dtype("float32")
    x, t = gn.Input("x", ("N", 1, 12, 12)), gn.Input("t", ("N",), dtype="int64")
    W1, W2 = gn.Parameter("W1", RNG.normal(size=(8, 1, 3, 3))), gn.Parameter("W2", RNG.normal(size=(8 * 36, 10)) * 0.1)
    h = gn.MaxPool(gn.ReLU(gn.Conv(x, W1, np.zeros(8), padding="same")), 2)
    loss = gn.SoftmaxCE(gn.MatMul(h.reshape(("N", -1)), W2), t)
    step = gn.compile(loss, gn.SGD().updates(loss))
    data = {"x": RNG.normal(size=(200, 1, 12, 12)).astype("float32"), "t": RNG.integers(0, 10, 200)}
    step.loop(data, 50)
    f = gn.compile(gn.grad(loss, W1))
    f(**data)
    tracemalloc.start()
    f(**data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80_000  # what a ufunc itself takes for strided operands; the smallest activation is 230,400 bytes


def test_memory_is_known_before_the_run_and_columns_do_not_grow_with_the_batch():
    _, _, y = net(("N", 3, 64, 64), (8, 3, 3, 3))
    f = gn.compile(y)
    one, many = (f.memory(N=n).arena for n in (1, 33))
    values = 8 * (3 * 64 * 64 + 8 * 62 * 62)  # bytes of an image and of its result
    assert many - one <= 33 * values + 64


def test_a_named_image_size_works_with_any_length():
    x, W = gn.Input("x", ("N", 1, "T")), gn.Parameter("W", RNG.normal(size=(2, 1, 3)))
    f = gn.compile(gn.Conv(x, W))
    for length in (3, 10):
        given = RNG.normal(size=(2, 1, length))
        expected = correlated(given[:, :, None], W.value[:, :, None])[:, :, 0]
        np.testing.assert_allclose(f(x=given), expected, rtol=1e-12)
    with pytest.raises(gn.ShapeError, match="Conv"):
        f(x=np.zeros((2, 1, 1)))  # shorter than the filter


def test_pooling_gives_the_gradient_to_the_first_of_equal_maxima():
    x = gn.Input("x", (1, 1, 4))
    slope = gn.compile(gn.grad(gn.Sum(gn.MaxPool(x, 2)), x))
    np.testing.assert_array_equal(slope(x=[[[3, 3, 1, 2]]]), [[[1, 0, 0, 1]]])
    overlapping = gn.compile(gn.grad(gn.Sum(gn.MaxPool(x, 2, stride=1)), x))
    np.testing.assert_array_equal(overlapping(x=[[[1, 5, 5, 2]]]), [[[0, 2, 1, 0]]])


def test_padding_never_wins_and_is_counted_only_when_asked():
    x = gn.Constant([[[-3.0, -1.0]]])
    np.testing.assert_array_equal(gn.compile(gn.MaxPool(x, 2, padding=1))(), [[[-3, -1]]])
    np.testing.assert_array_equal(gn.compile(gn.AveragePool(x, 2, padding=1))(), [[[-3, -1]]])
    counted = gn.AveragePool(x, 2, padding=1, count_include_pad=True)
    np.testing.assert_array_equal(gn.compile(counted)(), [[[-1.5, -0.5]]])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda x, W: gn.Conv(x, W[:, :2]), r"the filters .* take 2 channels, but 'x' f64\[N, 3, 7, 6\] .* has 3"),
        (lambda x, W: gn.Conv(x, W, np.zeros(3)), r"the bias Constant f64\[3\] .* does not fit the filters 'W'"),
        (lambda x, W: gn.Conv(x, W, dilation=7), r"a window of 15x8 positions does not fit 'x' .* of 7x6"),
        (lambda x, W: gn.MaxPool(x, 8), r"MaxPool: a window of 8x8 positions does not fit 'x'"),
        (lambda x, W: gn.AveragePool(gn.Input("s", ("N", 1, "T")), 2), r"along a named size of 's' .* stride 1"),
        (lambda x, W: gn.MaxPool(x, (2, 2, 2)), r"the kernel \(2, 2, 2\) a number, or one for each axis"),
    ],
)
def test_misfits_are_named(make, says):
    x, W = gn.Input("x", ("N", 3, 7, 6)), gn.Parameter("W", np.ones((4, 3, 3, 2)))
    with pytest.raises(gn.ShapeError, match=says):
        make(x, W)
