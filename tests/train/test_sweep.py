"""Sweeps: each replica ends where a training of its own would, whatever becomes of the others."""

import numpy as np
import pytest

import graphnn as gn

AVAILABLE = [name for name, state in gn.backends().items() if state == "ok"]
X, T = gn.data.spiral()
TOLERANCE = {"float64": 1e-9, "float32": 2e-3}


def declare(seed, hidden=6, layers=gn.Sigmoid, extra=None):
    rng = np.random.RandomState(seed)
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    with gn.scope("first"):
        h = layers(gn.Affine(x, gn.Parameter("W", rng.randn(2, hidden)), gn.Parameter("b", np.zeros(hidden))))
    h = h if extra is None else extra(h)
    scores = gn.Affine(h, gn.Parameter("W2", rng.randn(hidden, 3)), gn.Parameter("b2", np.zeros(3)))
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))


def alone(seed, lr, optimizer, how, declared=declare, data=(X, T)):
    trainer = gn.Trainer(declared(seed), optimizer(lr), backend=how.get("backend", "numpy"))
    trainer.fit(*data, how["max_epoch"], how["batch_size"], eval_interval=None, shuffle=how.get("shuffle", 0),
                max_grad=how.get("max_grad"), drop_last=how.get("drop_last", False))  # fmt: skip
    return trainer


def hold_together(found, optimizer, how, dtype="float64", declared=declare, data=(X, T)):
    for i, (seed, lr) in enumerate(zip(found.seeds, found.lrs, strict=True)):
        trainer = alone(seed, lr, optimizer, how, declared, data)
        for name, parameter in trainer.model.parameters.items():
            np.testing.assert_allclose(found.weights[name][i], parameter.value, rtol=0, atol=TOLERANCE[dtype])
        np.testing.assert_allclose(found.losses[i], trainer.history["loss"], rtol=1e-5, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("backend", AVAILABLE)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_replica_is_what_it_would_be_alone(backend, dtype):
    gn.default_dtype(dtype)
    how = {"max_epoch": 4, "batch_size": 40, "backend": backend}  # the last batch is of 20
    found = gn.sweep(declare, gn.SGD(), X, T, seeds=[3, 5], lrs=[0.1, 1.0, 2.0], **how)
    assert found.seeds == [3, 3, 3, 5, 5, 5] and found.lrs.tolist() == [0.1, 1.0, 2.0] * 2
    assert found.losses.shape == (6, 4) and found.weights["first.W"].shape == (6, 2, 6)
    hold_together(found, lambda lr: gn.SGD(lr=lr), how, dtype)


OPTIMIZERS = {
    "adam with a schedule": lambda lr: gn.Adam(lr=lr, schedule=gn.schedules.cosine(40)),
    "momentum with groups": lambda lr: gn.SGD(lr=lr, momentum=0.9),
    "accumulating": lambda lr: gn.RMSprop(lr=lr, accumulate=3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_state_of_optimisers_and_clipping_belong_to_each_replica(optimizer):
    gn.default_dtype("float64")
    how = {"max_epoch": 3, "batch_size": 30, "max_grad": 0.2, "shuffle": None, "drop_last": True}
    found = gn.sweep(declare, optimizer(0.5), X, T, seeds=[0, 1], lrs=[0.01, 0.03], **how)
    hold_together(found, optimizer, how)


def batch_norm(h):
    scale, shift = gn.Parameter("scale", np.ones(6)), gn.Parameter("shift", np.zeros(6))
    mean = gn.Parameter("mean", np.zeros(6), trainable=False)
    variance = gn.Parameter("variance", np.ones(6), trainable=False)
    return gn.BatchNorm(h, scale, shift, mean, variance)


@pytest.mark.parametrize(
    "extra", [batch_norm, lambda h: gn.Dropout(h, 0.3, seed=1), lambda h: gn.LayerNorm(h, np.ones(6), np.zeros(6))]
)
def test_running_statistics_differ_and_masks_are_shared(extra):
    gn.default_dtype("float64")
    how = {"max_epoch": 2, "batch_size": 30}

    def declared(seed):
        return declare(seed, extra=extra)

    found = gn.sweep(declared, gn.SGD(), X, T, seeds=[0, 1], lrs=[0.5], **how)
    hold_together(found, lambda lr: gn.SGD(lr=lr), how, declared=declared)


IMAGES = np.random.RandomState(2).randn(20, 2, 6, 6)
CLASSES = np.arange(20) % 3


def net(body):
    """A model of images, made by `body(x, weight)`, where `weight(*shape)` is a parameter drawn from the seed."""

    def declared(seed):
        rng = np.random.RandomState(seed)
        made = []

        def weight(*shape):
            made.append(gn.Parameter(f"w{len(made)}", 0.3 * rng.randn(*shape)))
            return made[-1]

        x, t = gn.Input("x", ("N", 2, 6, 6)), gn.Input("t", ("N",), dtype="int64")
        h = body(x, weight)
        scores = gn.Affine(h, weight(h.shape[1], 3), weight(3))
        return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))

    return declared


def convolutions(x, weight):
    """The first sees the same images in all replicas, the second each its own; in groups; with biases."""
    h = gn.ReLU(gn.Conv(x, weight(4, 1, 3, 3), weight(4), padding="same", groups=2))
    h = gn.MaxPool(gn.Conv(h, weight(4, 2, 2, 2), weight(4), groups=2), 2, stride=1)
    return gn.Reshape(h, ("N", -1))


def transposed(x, weight):
    h = gn.Tanh(gn.ConvTranspose(x, weight(2, 2, 2, 2), weight(4), stride=2, groups=2))
    h = gn.ConvTranspose(h, weight(4, 1, 2, 2), weight(2), groups=2)
    return gn.Reshape(gn.AveragePool(h, 3, padding=1), ("N", -1))


def product_in_one(x, weight):
    return gn.Tanh(gn.Gemm(gn.Reshape(x, ("N", 72)), weight(4, 72), weight(4), alpha=weight(), transB=True))


def by_index(x, weight):
    """Places that the weights choose differ between replicas; those of the input are the same."""
    rows = gn.Reshape(x, ("N", 72))[:, :12]
    order = gn.Repeat(gn.Reshape(gn.Constant(np.arange(12)[::-1]), (1, 12)), gn.Size("N"))
    best = gn.ArgMax(weight(12), 0)
    return gn.Tanh(gn.GatherElements(rows @ weight(12, 12), order, 1) + gn.Gather(weight(12, 12), best))


def loop(x, weight):
    U, W = weight(12, 5), weight(5, 5)
    steps = gn.Transpose(gn.Reshape(x, ("N", 6, 12)), (1, 0, 2))
    start = gn.Repeat(gn.Constant(np.zeros((1, 5))), gn.Size("N"))

    def turn(h, x):
        h = gn.Tanh(x @ U + h @ W)
        return h, h

    last, all_turns = gn.Scan(turn, start, steps)
    return last + gn.Mean(all_turns, 0)


def branch(x, weight):
    rows, W, V = gn.Reshape(x, ("N", 72)), weight(72, 4), weight(72, 4)
    same = gn.Cond(gn.Sum(x) > 0, lambda: gn.Tanh(rows @ W), lambda: rows @ V)
    scale = weight(4)
    return gn.Cond(gn.Sum(scale) > 0, lambda: same * scale, lambda: gn.Tanh(same))


@pytest.mark.parametrize("backend", [pytest.param("numpy", marks=pytest.mark.slow), *AVAILABLE[1:]])
@pytest.mark.parametrize("body", [convolutions, transposed, product_in_one, by_index, loop, branch])
def test_nets_of_every_kind_are_what_they_would_be_alone(body, backend):
    gn.default_dtype("float64")
    how = {"max_epoch": 3, "batch_size": 8, "backend": backend}  # the last batch is of 4
    found = gn.sweep(net(body), gn.Adam(), IMAGES, CLASSES, seeds=[0, 1], lrs=[0.01, 0.03], **how)
    hold_together(found, lambda lr: gn.Adam(lr=lr), how, declared=net(body), data=(IMAGES, CLASSES))
    assert not np.allclose(found.losses[0], found.losses[1], rtol=1e-4)  # the rates do differ


@pytest.mark.parametrize("backend", AVAILABLE)
def test_a_replica_that_diverges_is_nan_and_the_others_go_on(backend):
    how = {"max_epoch": 6, "batch_size": 30, "backend": backend}
    found = gn.sweep(lambda seed: declare(seed, layers=gn.ReLU), gn.SGD(), X, T, lrs=[0.1, 1e30], **how)
    assert np.isfinite(found.losses[0]).all() and np.isnan(found.losses[1, -1])
    assert found.best == 0 and "nan" in str(found)
    lost = gn.sweep(lambda seed: declare(seed, layers=gn.ReLU), gn.SGD(), X, T, lrs=[1e30], **how)
    with pytest.raises(gn.GraphError, match="every replica diverged: sweep smaller learning rates"):
        lost.model()


def test_the_best_model_can_be_taken_and_all_be_judged():
    gn.default_dtype("float64")
    found = gn.sweep(declare, gn.SGD(), X, T, seeds=[0, 1], lrs=[0.01, 1.0], max_epoch=60, batch_size=30)
    accuracies = found.accuracy(X, T)
    assert found.lrs[found.best] == 1.0 and accuracies.argmax() in (1, 3)
    assert found.model().accuracy(X, T) == accuracies[found.best]
    assert found.model(0).accuracy(X, T) == accuracies[0]
    table = str(found).splitlines()
    assert table[0].split() == ["replica", "seed", "lr", "first", "loss", "last", "loss"] and len(table) == 5
    assert repr(found) == "<Sweep of 4 replicas, 60 epochs>"


def test_what_cannot_be_swept_is_refused():
    def wider(seed):
        return declare(seed, hidden=6 + seed)

    with pytest.raises(
        gn.GraphError, match=r"declare\(1\) makes another graph than declare\(0\): 'first.W' f32\[2, 7\]"
    ):
        gn.sweep(wider, gn.SGD(), X, T, seeds=[0, 1])

    def other_constant(seed):
        return declare(seed, extra=lambda h: h * np.full(6, 1.0 + seed))

    with pytest.raises(gn.GraphError, match=r"Constant f32\[6\] .* stands where Constant .* Only the values of param"):
        gn.sweep(other_constant, gn.SGD(), X, T, seeds=[0, 1])
    with pytest.raises(gn.GraphError, match="at least one seed and one learning rate"):
        gn.sweep(declare, gn.SGD(), X, T, lrs=[])
    with pytest.raises(gn.GraphError, match=r"declare\(0\) gives int, not a gn.Model"):
        gn.sweep(lambda seed: 3, gn.SGD(), X, T)
    with pytest.raises(gn.FeedError, match="max_epoch is 0; it must be a number, 1 or more"):
        gn.sweep(declare, gn.SGD(), X, T, max_epoch=0)
    with pytest.raises(gn.FeedError, match="batch_size is 0"):
        gn.sweep(declare, gn.SGD(), X, T, batch_size=0)
    with pytest.raises(gn.GraphError, match="SGD has no parameter for its rate yet"):
        _ = gn.SGD().rate
