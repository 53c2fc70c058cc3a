"""Layers: named, scoped, seeded; and found from the loss."""

import numpy as np
import pytest

import graphnn as gn


def test_a_net_is_a_function_of_its_seeds_and_its_layers_differ():
    def weights(seed):
        y = gn.nn.mlp(gn.Input("x", ("N", 4)), [4, 4], seed=seed)
        return {name: p.value for name, p in gn.Graph(y).parameters.items()}

    one, again, other = weights(0), weights(0), weights(1)
    assert list(one) == ["mlp.layer1.W", "mlp.layer1.b", "mlp.layer2.W", "mlp.layer2.b"]
    np.testing.assert_array_equal(one["mlp.layer1.W"], again["mlp.layer1.W"])
    assert not np.array_equal(one["mlp.layer1.W"], one["mlp.layer2.W"])
    assert not np.array_equal(one["mlp.layer1.W"], other["mlp.layer1.W"])


@pytest.mark.parametrize(
    ("init", "shape", "variance"),
    [
        (gn.nn.xavier, (400, 100), 2 / 500),
        (gn.nn.he, (400, 100), 2 / 400),
        (gn.nn.he, (64, 32, 3, 3), 2 / (32 * 9)),
        (gn.nn.xavier, (64, 32, 3, 3), 2 / (96 * 9)),
        (gn.nn.normal(0.1), (100, 100), 0.01),
    ],
)
def test_first_values_have_the_variance_of_their_source(init, shape, variance):
    assert np.var(init(shape, np.random.default_rng(0))) == pytest.approx(variance, rel=0.05)


def test_activations_keep_their_scale_through_twenty_layers():
    x = gn.Input("x", ("N", 256))
    f = gn.compile(gn.nn.mlp(x, [256] * 20))
    out = f(x=np.random.default_rng(0).normal(size=(64, 256)))
    assert 0.1 < np.mean(out**2) < 10


def test_a_name_used_twice_is_refused_with_both_lines():
    x = gn.Input("x", ("N", 2))
    y = gn.nn.affine(gn.nn.affine(x, 2, "layer"), 2, "layer")
    with pytest.raises(gn.GraphError, match=r"two nodes are named 'layer.W'"):
        gn.Graph(y)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_recurrent_layers_are_their_cell_step_by_step(cell):
    gn.default_dtype("float64")
    x = gn.Input("x", ("N", "T", 3))
    y = gn.nn.recurrent(x, 4, cell)
    p = {name.split(".")[-1]: node for name, node in gn.Graph(y).parameters.items()}
    data = np.random.default_rng(0).normal(size=(2, 5, 3))
    found = gn.compile(y)(x=data)
    step = {"rnn": gn.RNNCell, "lstm": gn.LSTMCell, "gru": gn.GRUCell}[cell]
    state = [np.zeros((2, 4))] * (2 if cell == "lstm" else 1)
    for t in range(5):
        new = step(data[:, t], *state, p["W"], p["R"], p["b"])
        state = gn.compile(list(new) if cell == "lstm" else [new])()
        np.testing.assert_allclose(found[:, t], state[0], rtol=1e-12)
    with pytest.raises(gn.GraphError, match="cell 'mlp' is none of"):
        gn.nn.recurrent(x, 4, "mlp")


def test_attention_is_its_formula_and_a_causal_one_never_looks_ahead():
    gn.default_dtype("float64")
    x = gn.Input("x", ("N", 5, 6))
    y = gn.nn.attention(x, heads=2, causal=True)
    f = gn.compile(y)
    w = {name.removeprefix("attention."): p.value for name, p in gn.Graph(y).parameters.items()}
    data = np.random.default_rng(0).normal(size=(3, 5, 6))
    q, k, v = (data @ w[f"{part}.W"] + w[f"{part}.b"] for part in ("query", "key", "value"))
    heads = []
    for h in (slice(0, 3), slice(3, 6)):
        scores = q[..., h] @ k[..., h].swapaxes(1, 2) / np.sqrt(3)
        e = np.where(np.tril(np.ones((5, 5), bool)), np.exp(scores), 0)
        heads.append(e / e.sum(axis=-1, keepdims=True) @ v[..., h])
    expected = np.concatenate(heads, axis=-1) @ w["out.W"] + w["out.b"]
    np.testing.assert_allclose(f(x=data), expected, rtol=1e-10)
    later = data.copy()
    later[:, 3:] += 1
    np.testing.assert_array_equal(f(x=later)[:, :3], f(x=data)[:, :3])
    with pytest.raises(gn.ShapeError, match="divided by 4 heads"):
        gn.nn.attention(x, heads=4)


def test_gradients_of_a_whole_transformer_block():
    gn.default_dtype("float64")
    x = gn.Input("x", (2, 3, 4))
    y = gn.nn.transformer_block(x, heads=2, causal=True, widen=1, activation=gn.Tanh)
    loss = gn.Sum(y * y)
    wrt = [p for p in gn.Graph(loss).parameters.values() if p.name.endswith(("query.W", "norm1.scale", "layer2.b"))]
    assert len(wrt) == 3
    gn.testing.check_grad(loss, [x, *wrt], {"x": np.random.default_rng(0).normal(size=(2, 3, 4))})


def test_batch_norm_and_dropout_learn_one_way_and_predict_another():
    x, t = gn.Input("x", ("N", 3)), gn.Input("t", ("N",), dtype="int64")
    h = gn.nn.dropout(gn.nn.batch_norm(gn.nn.affine(x, 8)), 0.5)
    scores = gn.nn.affine(gn.ReLU(h), 2, "out")
    model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))
    data = np.random.default_rng(0).normal([0.0, 5.0, 0.0], size=(60, 3))
    labels = (data[:, 0] > 0).astype(int)
    gn.Trainer(model, gn.Adam(lr=0.02)).fit(data, labels, 40, 20, eval_interval=None)
    np.testing.assert_array_equal(model.predict(data[:5]), model.predict(data)[:5])  # each sample by itself
    assert model.accuracy(data, labels) > 0.9
    assert model.parameters["norm.running_mean"].value.any()


@pytest.mark.parametrize("widths", [8, []])
def test_a_perceptron_asks_for_its_widths(widths):
    with pytest.raises(gn.GraphError, match=r"say how wide the layers are, as in widths=\[16, 3\]"):
        gn.nn.mlp(gn.Input("x", ("N", 4)), widths)
