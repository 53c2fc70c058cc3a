"""A net of all that nets are commonly made of learns in a loop that never enters Python, and learns what NumPy does."""

import numpy as np
import pytest
from same_bits import without_numpy

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

WORDS, CLASSES = 30, 7


def net(rng):
    """Words embedded, joined with what is known of their places, attended to, normalised, dropped, and scored."""

    def weights(name, *shape):
        return gn.Parameter(name, rng.normal(size=shape) / np.sqrt(shape[0]))

    words, t = gn.Input("words", ("N", 6), dtype="int64"), gn.Input("t", ("N",), dtype="int64")
    places = gn.Repeat(gn.Reshape(weights("places", 6, 4), (1, 6, 4)), "N", axis=0)
    x = gn.Concat((gn.Embedding(words, weights("E", WORDS, 12)), places), axis=2)
    q, k, v = (gn.Einsum("ntc,chd->nthd", x, weights(name, 16, 2, 8)) for name in ("Q", "K", "V"))
    scores = gn.Einsum("nthd,nshd->nhts", q, k) * 8**-0.5
    later = gn.Trilu(gn.Constant(np.full((6, 6), -1e9, "float32")), k=1)
    seen = gn.Softmax(scores + later)
    mixed = x + gn.Reshape(gn.Einsum("nhts,nshd->nthd", seen, v), ("N", 6, 16))
    mixed = gn.Dropout(gn.LayerNorm(mixed, weights("scale", 16), weights("shift", 16)), 0.2, seed=1)
    past, last = gn.Split(mixed, (5, 1), axis=1)
    smooth = gn.CumSum(gn.Pad(past, (0, 1, 0), 0), axis=1)[:, -1]
    flat = gn.Concat((smooth, gn.Reshape(last, ("N", 16))), axis=1)
    running = [gn.Parameter(name, np.full(16, n, "float32"), trainable=False) for n, name in enumerate(("mean", "var"))]
    normal = gn.BatchNorm(flat @ weights("U", 32, 16), weights("gamma", 16), weights("beta", 16), *running)
    hidden = gn.ReLU(normal)
    return t, hidden @ weights("O", 16, CLASSES)


def trained(backend):
    gn.default_dtype("float32")
    t, y = net(np.random.default_rng(0))
    loss = gn.SoftmaxCE(y, t)
    _, best = gn.TopK(y, 3)
    among = gn.Any(gn.Equal(best, gn.Reshape(t, (-1, 1))), axis=1)
    right = gn.Equal(gn.ArgMax(y, axis=1), t)
    outputs = {"loss": loss, "right": gn.Mean(gn.Cast(right, "float32")), "among": gn.Mean(gn.Cast(among, "float32"))}
    updates = gn.Adam(lr=0.01).updates(loss, max_grad=1.0)
    f = without_numpy(outputs, updates) if backend == "native" else gn.compile(outputs, updates)
    rng = np.random.default_rng(1)
    data = {"words": rng.integers(0, WORDS, (90, 6)), "t": rng.integers(0, CLASSES, 90)}
    return f, f.loop(data, batch_size=32, epochs=4, shuffle=0)


def test_it_learns_what_numpy_learns():
    _, expected = trained("numpy")
    f, found = trained("native")
    assert expected["loss"].shape == (4, 3) and expected["loss"][-1].mean() < expected["loss"][0].mean()
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=2e-3)
    assert all(bound.whole for bound in f._program._bindings)
    for name in ("right", "among"):
        assert abs(found[name] - expected[name]).max() <= 2 / 26  # scores that are nearly equal may change places
