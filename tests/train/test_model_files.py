"""Models in files: graph and weights, read again without the code that declared them; nothing in a file is trusted."""

import contextlib
import json

import numpy as np
import pytest
import safetensors.numpy

import graphnn as gn
from graphnn.interop.graphfile import GraphFile, read_graph, write_graph
from graphnn.train import checkpoint

rng = np.random.default_rng(0)


def declare():
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    with gn.scope("hidden"):
        W, b = gn.Parameter("W", rng.normal(size=(2, 5))), gn.Parameter("b", np.zeros(5))
        h = gn.Tanh(gn.Affine(x, W, b)) * np.linspace(-1, 1, 5)
    table = gn.Constant(rng.normal(size=(5, 5)))  # too large to stand in the text
    scores = gn.Sum((h @ table).reshape(("N", 5, 1)), axis=-1) @ gn.Parameter("V", rng.normal(size=(5, 3)))
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t) + 0.01 * gn.Mean(scores**2))


def test_a_model_comes_back_as_it_was(tmp_path):
    model = declare()
    model.save(tmp_path / "m.safetensors")
    again = gn.load_model(tmp_path / "m.safetensors")
    points, labels = rng.normal(size=(7, 2)), [0, 1, 2, 0, 1, 2, 0]
    np.testing.assert_array_equal(again.predict(points), model.predict(points))
    assert again.evaluate(points, labels) == model.evaluate(points, labels)
    assert list(again.parameters) == ["hidden.W", "hidden.b", "V"]

    def lines(m):  # all but the source lines, which a file does not keep
        return [line.split("   ")[0] for line in str(gn.Graph(m.loss)).splitlines()]

    assert lines(again) == lines(model)
    trainer = gn.Trainer(again, gn.SGD(lr=0.1))
    trainer.fit(points, labels, 2, 4, eval_interval=None)  # and it learns on
    gn.load(tmp_path / "m.safetensors", again)
    np.testing.assert_array_equal(again.predict(points), model.predict(points))


def test_half_precision_says_what_it_cost(tmp_path):
    model = declare()
    cost = model.save(tmp_path / "m", dtype="float16")
    assert cost.bytes_before == 2 * cost.bytes_after and 0 < max(cost.changes.values()) < 1e-3
    assert "stored as float16" in str(cost)
    again = gn.load_model(tmp_path / "m")
    assert again.parameters["V"].dtype == np.float32
    np.testing.assert_allclose(again.parameters["V"].value, model.parameters["V"].value, rtol=1e-3)


class Doubled(gn.Elementwise):
    """Two times x."""

    x: gn.Node
    formula = "2 * x"


def test_an_op_of_the_users_own_must_be_known(tmp_path):
    file = write_graph({"y": Doubled(gn.Input("x", (2,)))})
    assert read_graph(file)["y"].op == "Doubled"
    strange = GraphFile(file.text.replace("Doubled", "Tripled"), {})
    with pytest.raises(gn.FormatError, match="uses the op 'Tripled', which is not known here"):
        read_graph(strange)


def test_every_op_that_samples_declare_survives():
    from graphnn.ir.node import Node
    from graphnn.testing.sampling import build

    kept = 0
    for op in list(Node.ops.values()):
        if not op.__module__.startswith("graphnn."):
            continue
        for one in op.samples:
            if one.error is None:
                _, node = build(op, one)
                outputs = {f"y{i}": n for i, n in enumerate(node if isinstance(node.spec, tuple) else [node])}
                again = read_graph(write_graph(outputs))
                assert [n.spec for n in again.values()] == [n.spec for n in outputs.values()], op
                kept += 1
    assert kept > 100


ATTACKS = [
    ("{}", "holds no graph"),
    ("[]", "holds no graph"),
    ("not json", "holds no graph"),
    ('{"version": 2, "nodes": [], "outputs": {}}', "of version 2"),
    ('{"version": 1, "nodes": [{"op": "Tanh", "fields": {"x": {"node": 0}}}], "outputs": {}}', "does not come before"),
    ('{"version": 1, "nodes": [{"op": "Tanh", "fields": {"x": {"node": -1}}}], "outputs": {}}', "does not come before"),
    ('{"version": 1, "nodes": [{"op": "os.system", "fields": {}}], "outputs": {}}', "is not known here"),
    ('{"version": 1, "nodes": [{"op": "Tanh", "fields": {"birth": 3}}], "outputs": {}}', "which it has not"),
    ('{"version": 1, "nodes": [{"op": "Tanh", "fields": {"x": {"code": "1"}}}], "outputs": {}}', "of kind 'code'"),
    ('{"version": 1, "nodes": [{"op": "Input", "fields": {"name": "x", "shape": {"tuple": [-1]}, "dtype": "f4"}}],'
     ' "outputs": {}}', "makes no sense"),
    ('{"version": 1, "nodes": [{"op": "Constant", "fields": {"value": {"stored": "w"}}}], "outputs": {}}', "no graph"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), ATTACKS)
def test_what_is_no_graph_is_refused(text, says):
    with pytest.raises(gn.FormatError, match=says):
        read_graph(GraphFile(text, {}))


def mutate(text, generator):
    """A graph's text with one of its values, or one of its characters, replaced."""
    if generator.random() < 0.5:
        at = int(generator.integers(len(text)))
        return text[:at] + chr(int(generator.integers(32, 127))) + text[at + 1 :]
    tree = json.loads(text)
    spots = []

    def visit(node):
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            spots.append((node, key))
            visit(node[key])

    visit(tree)
    node, key = spots[int(generator.integers(len(spots)))]
    strange = [None, True, -1, 10**30, 1e308, "x", "\x00", [], {}, {"node": 0}, {"size": ["N", 1, 0]}, "Scan", [[1]]]
    node[key] = strange[int(generator.integers(len(strange)))]
    return json.dumps(tree)


def fuzz(count, seed):
    model = declare()
    file = write_graph({"x": model.x, "t": model.t, "scores": model.scores, "loss": model.loss})
    generator = np.random.default_rng(seed)
    for _ in range(count):
        with contextlib.suppress(gn.GraphNNError):
            read_graph(GraphFile(mutate(file.text, generator), file.arrays))


def test_mutated_graphs_give_errors_of_our_own():
    fuzz(300, seed=0)


@pytest.mark.slow
def test_many_mutated_graphs_give_errors_of_our_own():
    fuzz(10_000, seed=1)


def test_a_file_of_weights_alone_says_so(tmp_path):
    safetensors.numpy.save_file({"W": np.ones(2)}, tmp_path / "w")
    with pytest.raises(gn.CheckpointError, match="holds weights without a graph"):
        gn.load_model(tmp_path / "w")
    checkpoint.write(tmp_path / "g", {}, {checkpoint.GRAPH: write_graph({"y": gn.Input("x", ())}).text})
    with pytest.raises(gn.FormatError, match="holds the graph of y, not that of a model"):
        gn.load_model(tmp_path / "g")
