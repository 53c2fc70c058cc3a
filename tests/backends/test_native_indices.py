"""Indices in kernels: NumPy's very bits, forwards and backwards, for any layout and dtype; and places out of range."""

import numpy as np
import pytest
from same_bits import same_bits, turned

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["int8", "uint16", "int64"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("backwards", [False, True])
def test_slices_and_their_gradient(backwards, axis, dtype, kind):
    x = gn.Input("x", (5, "M", 5) if axis != 1 else (5, 5, "M"), dtype=dtype)
    index = gn.Input("index", ("N", 4), dtype=kind)
    seen = turned(x) if backwards else x
    y = gn.Gather(seen, index, 2 - axis if backwards else axis)
    feeds = {"x": RNG.normal(size=(5, 7, 5) if axis != 1 else (5, 5, 7)), "index": RNG.integers(0, 5, (6, 4))}
    same_bits([y, gn.grad(gn.Sum(y * y), x)], x=feeds["x"].astype(dtype), index=feeds["index"].astype(kind))


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", "bool"])
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_elements_put_or_combined(reduction, dtype):
    x, updates = gn.Input("x", (3, "M"), dtype=dtype), gn.Input("u", ("N", "M"), dtype=dtype)
    index = gn.Input("index", ("N", "M"), dtype="int64")
    y = gn.ScatterElements(x, index, updates, reduction=reduction)
    values = [RNG.integers(-2, 3, shape).astype(dtype) for shape in ((3, 5), (4, 5))]
    same_bits([y, gn.GatherElements(x, index)], x=values[0], u=values[1], index=RNG.integers(0, 3, (4, 5)))


def test_what_is_not_finite_is_taken_added_and_compared_as_numpy_does():
    x, index = gn.Input("x", ("N",), dtype="float32"), gn.Input("index", ("N",), dtype="int64")
    outputs = [gn.Gather(x, index), gn.ScatterAdd(x, index, 6)]
    outputs += [gn.ScatterElements(x, index, x, reduction=how) for how in ("add", "max", "min")]
    same_bits(outputs, x=[np.nan, np.inf, -np.inf, -0.0, -0.0, 1.0], index=[0, 1, 1, 3, 3, 0])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_classes_along_any_axis(axis):
    labels = gn.Input("t", ("N", 3), dtype="int32")
    hot = [gn.OneHot(labels, n, kind, axis, on=2, off=-1) for n in (1, 4, 70) for kind in ("float32", "int64")]
    same_bits([gn.OneHot(gn.Transpose(labels), 4, axis=axis), *hot], t=np.zeros((5, 3), int))


def test_places_out_of_range_are_refused_in_numpys_words():
    x, index = gn.Parameter("x", np.ones((3, 2))), gn.Input("index", ("N",), dtype="int64")
    shifted = index + 1  # so that the kernel checks it, and not the feed
    added = gn.ScatterAdd(gn.Repeat(gn.Constant([[1.0, 2.0]]), "N"), shifted, 3)
    for y in (gn.Gather(x, shifted), gn.Embedding(shifted, x), added, gn.OneHot(shifted, 3)):
        said = []
        for backend in ("numpy", "native"):
            with pytest.raises(gn.LabelError) as caught:
                gn.compile(gn.Sum(y), backend=backend)(index=[0, 1, 2])
            said.append(str(caught.value))
        assert said[0] == said[1] and "row 2 of" in said[0] and " is 3, but" in said[0]


def test_an_embedding_learns_in_a_loop_without_numpy():
    words, t = gn.Input("words", ("N", 5), dtype="int64"), gn.Input("t", ("N",), dtype="int64")
    data = {"words": RNG.integers(0, 20, (50, 5)), "t": RNG.integers(0, 3, 50)}
    table, weights = RNG.normal(size=(20, 8)), RNG.normal(size=(8, 3))

    def trained(backend):
        W, V = gn.Parameter("W", table), gn.Parameter("V", weights)
        loss = gn.SoftmaxCE(gn.Mean(gn.Embedding(words, W), axis=1) @ V, t)
        f = gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend=backend)
        return f, f.loop(data, batch_size=16, epochs=3, shuffle=1), W.value

    _, expected, W = trained("numpy")
    f, found, V = trained("native")
    assert "every step has a kernel" in f.explain()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(V, W, rtol=1e-4, atol=1e-6)
