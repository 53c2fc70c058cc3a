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


def alone(seed, lr, optimizer, how, declared=declare):
    trainer = gn.Trainer(declared(seed), optimizer(lr), backend=how.get("backend", "numpy"))
    trainer.fit(X, T, how["max_epoch"], how["batch_size"], eval_interval=None, shuffle=how.get("shuffle", 0),
                max_grad=how.get("max_grad"), drop_last=how.get("drop_last", False))  # fmt: skip
    return trainer


def hold_together(found, optimizer, how, dtype="float64", declared=declare):
    for i, (seed, lr) in enumerate(zip(found.seeds, found.lrs, strict=True)):
        trainer = alone(seed, lr, optimizer, how, declared)
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
    with pytest.raises(gn.FeedError, match="batch_size is 0"):
        gn.sweep(declare, gn.SGD(), X, T, batch_size=0)
    with pytest.raises(gn.GraphError, match="SGD has no parameter for its rate yet"):
        _ = gn.SGD().rate
