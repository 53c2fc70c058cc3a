"""Derivations: the lines, as nodes and as the text that is printed, compute the gradient of the program."""

import re

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser
from random_graphs import random_program

import graphnn as gn
from graphnn.ir.walk import evaluate, walk


@pytest.fixture
def spiral():
    """The two-layer net with its nodes spelled out, by name."""
    gn.default_dtype("float64")
    rng = np.random.RandomState(0)
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W1, b1 = gn.Parameter("W1", rng.randn(2, 10)), gn.Parameter("b1", np.zeros((1, 10)))
    W2, b2 = gn.Parameter("W2", rng.randn(10, 3)), gn.Parameter("b2", np.zeros((1, 3)))
    a = gn.Add(gn.MatMul(x, W1), gn.Repeat(b1, "N", axis=0))
    h = gn.Sigmoid(a)
    s = gn.Affine(h, W2, b2)
    return {"loss": gn.SoftmaxCE(s, t), "a": a, "h": h, "s": s, "W1": W1, "b1": b1, "W2": W2, "b2": b2}


def feeds():
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=(5, 2)), "t": rng.integers(0, 3, 5)}


def forward_values(derivation, given):
    """The forward nodes of a derivation, computed."""
    leaves = {
        node: given[node.name] if isinstance(node, gn.Input) else node.value
        for node in derivation.values.values()
        if isinstance(node, (gn.Input, gn.Parameter))
    }
    sizes = {"N": 5}
    nodes = list(derivation.values.values())
    return dict(zip(nodes, evaluate(nodes, leaves, np, sizes), strict=True)), sizes


def check_structure(derivation):
    """Each line needs only what stands above it, and no backward node is missing or told twice."""
    forward = set(walk([derivation.values["L"]]))
    known = set(derivation.values.values())
    for line in derivation.lines:
        needed = {n for n in walk([line.node], frozenset(known)) if n not in known and n not in forward and n.operands}
        assert needed <= set(line.nodes), str(line)
        known.add(line.node)
    told = [node for line in derivation.lines for node in line.nodes]
    assert len(told) == len(set(told))
    assert set(told) == {node for node in walk([derivation.node]) if node not in forward}
    assert len({line.name for line in derivation.lines}) == len(derivation.lines)


def check_lines(derivation, given, expected):
    """The lines, computed one after the other, end at what is expected."""
    check_structure(derivation)
    known, sizes = forward_values(derivation, given)
    for line in derivation.lines:
        [known[line.node]] = evaluate([line.node], known, np, sizes)
    np.testing.assert_allclose(known[derivation.node], expected, rtol=1e-9, atol=1e-12)


def test_the_derivation_of_the_spiral(spiral, golden):
    derivation = gn.derive(spiral["loss"], spiral["W1"], a=spiral["a"], h=spiral["h"], s=spiral["s"])
    golden("spiral_derivation.txt", f"{derivation}\n\n{derivation.latex()}")


def test_each_line_faces_its_forward_node_and_has_its_shape(spiral):
    derivation = gn.derive(spiral["loss"], spiral["W1"], a=spiral["a"], h=spiral["h"])
    line = next(line for line in derivation.lines if line.name == "dL/da")
    assert str(line) == "dL/da = dL/dh * h * (1 - h)"
    assert line.of is spiral["a"] and line.node.adjoint_of == spiral["h"].serial
    assert all(line.node.spec == line.of.spec for line in derivation.lines)
    assert str(derivation.lines[-1]) == "dL/dW1 = x.T @ dL/dmatmul"


@pytest.mark.parametrize("wrt", ["W1", "b1", "W2", "b2", "h"])
def test_the_lines_compute_the_gradient_of_the_program(spiral, wrt):
    derivation = gn.derive(spiral["loss"], spiral[wrt])
    expected = gn.compile(gn.grad(spiral["loss"], spiral[wrt]))(**feeds())
    check_lines(derivation, feeds(), expected)
    np.testing.assert_array_equal(gn.compile(derivation.node)(**feeds()), expected)


def softmax(s, axis):
    e = np.exp(s - s.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


BOOK = {
    "Softmax": softmax,
    "OneHot": lambda t, classes, kind: np.eye(classes, dtype=kind)[t],
    "Sum": lambda x, axis, keepdims=False: np.sum(x, axis=axis, keepdims=keepdims),
    "f64": "float64",
    "N": 5,
}


@pytest.mark.parametrize("wrt", ["W1", "b1", "W2", "b2"])
def test_the_text_is_arithmetic_that_gives_the_gradient(spiral, wrt):
    derivation = gn.derive(spiral["loss"], spiral[wrt], a=spiral["a"], h=spiral["h"])
    values, _ = forward_values(derivation, feeds())
    known = BOOK | {name: values[node] for name, node in derivation.values.items()}
    for line in derivation.lines:
        text = re.sub(r"dL/d(\w+)", r"dL_d\1", str(line))
        name, _, formula = text.partition(" = ")
        known[name] = eval(formula, {}, known)
    expected = gn.compile(gn.grad(spiral["loss"], spiral[wrt]))(**feeds())
    np.testing.assert_allclose(known[f"dL_d{wrt}"], expected, rtol=1e-12)


def test_what_forks_forward_is_summed_backward_and_a_name_is_the_users():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", np.ones(3))
    a = w.sum() * x
    s = gn.Sin(a)
    lines = [str(line) for line in gn.derive(gn.Sum(s * a), a, a=a, s=s).lines]
    assert lines[-2:] == ["dL/ds = dL/dmul * a", "dL/da = dL/dmul * s + dL/ds * cos(a)"]


def test_an_add_passes_its_gradient_on_to_each_of_its_operands_by_the_right_name():
    a, b, W = (gn.Parameter(name, np.ones((2, 2))) for name in ("a", "b", "W"))
    p, q = a @ W, W @ b
    y = p + q
    lines = [str(line) for line in gn.derive(gn.Sum(y), W, p=p, q=q, y=y).lines]
    assert lines[-3:] == ["dL/dq = dL/dy", "dL/dp = dL/dy", "dL/dW = dL/dq @ b.T + a.T @ dL/dp"]


@pytest.mark.parametrize(
    "layer",
    [
        lambda z: gn.LayerNorm(z), lambda z: gn.Softmax(z), lambda z: gn.GELU(z), lambda z: gn.Max(z, axis=1),
        lambda z: gn.Where(z > 0, z, gn.Exp(z)), lambda z: next(iter(gn.TopK(z, 2))),
        lambda z: gn.Mul(*gn.Split(z, 2, axis=1)), lambda z: gn.Concat((z, z * 2.0), axis=1),
    ],
    ids=["LayerNorm", "Softmax", "GELU", "Max", "Where", "TopK", "Split", "Concat"],
)  # fmt: skip
def test_any_op_has_its_place_in_a_derivation(layer):
    gn.default_dtype("float64")
    rng = np.random.default_rng(0)
    x, W = gn.Input("x", ("N", 2)), gn.Parameter("W", rng.normal(size=(2, 4)))
    loss = gn.Mean(layer(x @ W) ** 2)
    given = {"x": rng.normal(size=(5, 2))}
    check_lines(gn.derive(loss, W), given, gn.compile(gn.grad(loss, W))(**given))


def test_what_several_lines_use_is_told_once():
    x = gn.Input("x", ("N", 2))
    lines = [str(line) for line in gn.derive(gn.Sum(gn.Softmax(x) * x), x).lines]
    assert "u1 = softmax * dL/dsoftmax" in lines and sum("softmax * dL/dsoftmax" in line for line in lines) == 1


def test_where_no_gradient_flows_the_derivation_says_zero():
    v, c = gn.Parameter("v", np.ones(3)), gn.Parameter("c", np.ones(3))
    [line] = gn.derive(gn.Sum(gn.stop_gradient(v) * c), v).lines
    assert line.text == "Repeat(Reshape(0, to=(1,)), n=3)"


def test_a_gradient_can_be_derived_again():
    u = gn.Parameter("u", 3.0)
    derivation = gn.derive(gn.grad(u**3, u), u)
    assert str(derivation.lines[-1]) == "dL/du = dL/dL * (3.0 * (2.0 * u))"
    assert gn.compile(derivation.node)() == 18.0


def test_a_notebook_shows_mathematics(spiral):
    bundle = gn.derive(spiral["loss"], spiral["W1"], a=spiral["a"], h=spiral["h"])._repr_mimebundle_()
    assert bundle["text/plain"].startswith("dL/dW1 by the chain rule")
    assert r"\frac{\partial L}{\partial h} \cdot h \cdot \left(1 - h\right)" in bundle["text/latex"]
    assert r"\in \mathbb{R}^{2 \times 10}" in bundle["text/latex"]


def test_a_name_is_text_in_mathematics_whatever_it_holds():
    w = gn.Parameter(r"50%_$\alpha{", 2.0)
    assert r"\mathrm{50\%\_\$\backslash alpha\{}" in gn.derive(w * w, w).latex()


def test_refusals_name_the_nodes():
    x, w = gn.Input("x", ()), gn.Parameter("w", 2.0)
    loss = w * x
    with pytest.raises(gn.GraphError, match=r"derive: wrt is list, not a node: derive one gradient at a time"):
        gn.derive(loss, [w])
    with pytest.raises(gn.GraphError, match=r"grad: the loss Mul f32\[\] .* does not depend on 'b'"):
        gn.derive(loss, gn.Parameter("b", 1.0))
    with pytest.raises(gn.GraphError, match=r"derive: the loss does not depend on 'h', which is Sin f32\[\] \(test_d"):
        gn.derive(loss, w, h=gn.Sin(w))
    with pytest.raises(gn.GraphError, match=r"derive: Mul f32\[\] .* and 'w' f32\[\] .* are both called 'w'"):
        gn.derive(loss, w, w=loss)


def check_of_random(seed):
    """Every gradient of a random program: names are one line's each, and each line is made of those above it."""
    program = random_program(seed)
    loss = program.outputs["loss"]
    parser = MathTextParser("agg")
    for wrt in (p for p in gn.Graph(loss).parameters.values() if p.dtype.kind == "f"):
        derivation = gn.derive(loss, wrt)
        assert str(derivation).startswith(f"dL/d{wrt.name} by the chain rule")
        check_structure(derivation)
        for line in derivation.lines:
            if "cases" not in line.tex:  # which Matplotlib does not know
                text = line.latex().replace("&", "").replace(r"\bmod", r"\%")  # nor that
                parser.parse(f"${text}$")


@pytest.mark.parametrize("seed", [3, 4, 13])
def test_random_programs_are_derived(seed):
    check_of_random(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 50))
def test_many_random_programs_are_derived(seed):
    check_of_random(seed)
