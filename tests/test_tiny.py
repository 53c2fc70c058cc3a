"""The whole product in seconds: declare, differentiate, compile, train, draw, save."""

import numpy as np

import graphnn as gn


def test_declare_differentiate_compile_train_draw_save(tmp_path):
    gn.default_dtype("float64")
    rng = np.random.RandomState(0)
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W, b = gn.Parameter("W", 0.1 * rng.randn(2, 3)), gn.Parameter("b", np.zeros(3))
    scores = gn.Affine(gn.Tanh(x), W, b)
    model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))

    points = rng.randn(60, 2)
    labels = (points[:, 0] > 0).astype(int) + (points[:, 1] > 0)
    gn.testing.check_grad(model.loss, [W, b], {"x": points[:5], "t": labels[:5]})

    trainer = gn.Trainer(model, gn.SGD(lr=1.0))
    trainer.fit(points, labels, max_epoch=30, batch_size=10)
    assert trainer.loss_list[-1] < 0.5 * trainer.loss_list[0]
    assert model.accuracy(points, labels) > 0.8

    graph = gn.Graph(model.loss)
    assert "SoftmaxCE" in str(graph)
    assert graph.to_dot("both").startswith("digraph")
    model.save(tmp_path / "w.safetensors")
    kept = W.value
    W.value = np.zeros((2, 3))
    model.load(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(W.value, kept)
