"""Another batch size needs no kernel that the first one did not load."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.native import machine

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

OTHERS = (1, 2, 4, 8, 9, 17, 33, 64, 100, 1000)


def weights(name, *shape, dtype="float32"):
    return gn.Parameter(name, np.random.default_rng(0).normal(size=shape) * 0.1, dtype=dtype)


def trained(scores, features):
    """A step of SGD for scores of 3 classes, and what it is fed with for so many samples."""
    t = gn.Input("t", ("N",), dtype="int64")
    loss = gn.SoftmaxCE(scores, t)
    step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend="native")
    return step, lambda n: {"x": np.ones((n, *features), np.float32), "t": np.zeros(n, np.int64)}


def perceptron(inner, hidden, dtype="float32"):
    x = gn.Input("x", ("N", inner), dtype=dtype)
    h = gn.Sigmoid(
        gn.Affine(x, weights("W", inner, hidden, dtype=dtype), weights("b", hidden, dtype=dtype)),
    )
    return trained(gn.Affine(h, weights("V", hidden, 3, dtype=dtype), weights("c", 3, dtype=dtype)), (inner,))


def images(size, groups=1):
    """Convolutions whose places fill vectors and such whose places do not, one of a single place; and a transpose."""
    x = gn.Input("x", ("N", 2, size, size))
    h = gn.MaxPool(gn.ReLU(gn.Conv(x, weights("K", 4, 2, 3, 3), weights("k", 4), padding=1)), 2)
    h = gn.ReLU(gn.Conv(h, weights("L", 8, 4 // groups, 3, 3), padding=1, groups=groups))
    h = gn.Conv(gn.MaxPool(h, 2), weights("M", 4, 8, 2, 2), stride=2)
    h = gn.ConvTranspose(h, weights("T", 4, 2, 2, 2), stride=2)
    features = h.shape[1] * h.shape[2] * h.shape[3]
    return trained(gn.Reshape(h, ("N", features)) @ weights("W", features, 3), (2, size, size))


def sequences():
    """A cell over places, whose gradient by its weights is a product over places and samples."""
    x = gn.Input("x", ("N", 6, 5))
    W, U = weights("W", 5, 8), weights("U", 8, 8)

    def cell(h, row):
        h = gn.Tanh(row @ W + h @ U)
        return h, h

    start = gn.Repeat(gn.Constant(np.zeros((1, 8), np.float32)), "N")
    _, hidden = gn.Scan(cell, start, x.transpose((1, 0, 2)))
    scores = gn.Einsum("tnh,hc->nc", hidden, weights("V", 8, 3))
    return trained(scores, (6, 5))


NETS = {
    "small": lambda: perceptron(2, 10),
    "either way": lambda: perceptron(64, 64, "float64"),
    "large": lambda: perceptron(784, 100),
    "images of 8": lambda: images(8),
    "sequences": sequences,
}


def of_layers(build, *features):
    """A net of `gn.nn` layers between an input and the scores."""
    hidden = build(gn.Input("x", ("N", *features)))
    with gn.scope("scores"):
        return trained(gn.nn.affine(hidden, 3), features)


def mean(x):
    return gn.Mean(x, axis=tuple(range(2, x.ndim)) if x.ndim == 4 else 1)


WIDE = {
    "images of 12": lambda: images(12),
    "images of 21, in groups": lambda: images(21, 2),
    "mean of images": lambda: of_layers(lambda x: mean(gn.nn.conv(x, 8, 3)), 3, 9, 9),
    "normalised images": lambda: of_layers(lambda x: mean(gn.nn.batch_norm(gn.nn.conv(x, 8, 3))), 3, 9, 9),
    "normalised rows": lambda: of_layers(lambda x: gn.nn.layer_norm(gn.nn.affine(x, 30)), 20),
    "the best of a row": lambda: of_layers(lambda x: gn.TopK(gn.nn.affine(x, 30), 5)[0], 20),
    "all rows with all": lambda: of_layers(lambda x: (x @ x.T) @ gn.nn.affine(x, 8), 20),
    "less the mean of the batch": lambda: of_layers(lambda x: x - gn.Mean(x, axis=0, keepdims=True), 20),
    "a recurrent cell": lambda: of_layers(lambda x: mean(gn.nn.recurrent(x, 16)), 6, 5),
    "a transformer's block": lambda: of_layers(lambda x: mean(gn.nn.transformer_block(x, heads=4)), 6, 16),
}


@pytest.fixture
def asked(monkeypatch):
    """The kernels that are asked for."""
    texts = set()
    address = machine.Machine.address

    def told(self, text):
        texts.add(text)
        return address(self, text)

    monkeypatch.setattr(machine.Machine, "address", told)
    return texts


def needs_no_other_kernel(net, first, asked):
    step, feeds = net()
    step(**feeds(first))
    loaded = set(asked)
    for n in OTHERS:
        step(**feeds(n))
        assert asked == loaded, f"a batch of {n} needs a kernel that one of {first} did not load"


@pytest.mark.parametrize("first", [32, 1])
@pytest.mark.parametrize("net", NETS)
def test_no_batch_needs_another_kernel(net, first, asked):
    needs_no_other_kernel(NETS[net], first, asked)


@pytest.mark.slow
@pytest.mark.parametrize("first", [32, 1])
@pytest.mark.parametrize("net", WIDE)
def test_no_batch_needs_another_kernel_in_wider_nets(net, first, asked):
    needs_no_other_kernel(WIDE[net], first, asked)


def test_few_rows_and_many_agree():
    """A product that is loops for few rows and a call of BLAS for many."""
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        w = rng.normal(size=(200, 300)).astype(dtype)
        x = rng.normal(size=(40, 200)).astype(dtype)
        f = gn.compile(gn.Input("x", ("N", 200), dtype=dtype) @ gn.Parameter("w", w, dtype=dtype), backend="native")
        bound = 400 * np.finfo(dtype).eps * (np.abs(x) @ np.abs(w))
        for n in (1, 3, 4, 8, 9, 40):
            assert (np.abs(f(x=x[:n]) - x[:n].astype(np.longdouble) @ w) <= bound[:n]).all()
