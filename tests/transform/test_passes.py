"""Passes: the graph each makes, and that the results stay."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import graphnn as gn
from graphnn.transform.expand import expand
from graphnn.transform.fold import fold
from graphnn.transform.share import share
from graphnn.transform.simplify import simplify
from graphnn.transform.stabilise import stabilise


def after(p, *outputs):
    return p.apply(gn.Graph(list(outputs)))


def ops(graph):
    return [node.op for node in graph.nodes]


def test_simplify_removes_what_does_nothing():
    x = gn.Input("x", ("N", 3))
    for same in (
        x * 1,
        1 * x,
        x / 1,
        x + 0,
        0 + x,
        x - 0,
        gn.Neg(gn.Neg(x)),
        x.T.T,
        gn.stop_gradient(x),
        gn.Reshape(x, ("N", 3)),
    ):
        assert after(simplify, same).outputs["out0"] is x
    a, _ = gn.Branch(x, 2)
    assert after(simplify, a).outputs["out0"] is x


def test_simplify_keeps_what_changes_the_dtype_or_shape():
    x = gn.Input("x", (3,))
    b = gn.Input("b", (2, 3))
    assert ops(after(simplify, x.astype("float64")))[-1] == "Cast"
    assert ops(after(simplify, (b * 1).T))[-1] == "Transpose"


def test_simplify_returns_the_same_graph_when_there_is_nothing_to_do():
    graph = gn.Graph(gn.Exp(gn.Input("x", (3,))))
    assert simplify.apply(graph) is graph


def test_share_makes_equal_nodes_one():
    x = gn.Input("x", ("N",))
    graph = after(share, gn.Exp(x) + gn.Exp(x), gn.Sum(x, 0) * gn.Sum(x, axis=0))
    assert ops(graph).count("Exp") == 1 and ops(graph).count("Sum") == 1
    assert ops(after(share, gn.Sum(x) + gn.Sum(x, keepdims=True))).count("Sum") == 2


def test_expand_leaves_no_composite():
    s, t = gn.Input("s", ("N", 3)), gn.Input("t", ("N",), dtype="int64")
    graph = after(expand, gn.SoftmaxCE(s, t))
    assert not any(isinstance(node, gn.Composite) for node in graph.nodes)
    assert all(node.scope[0] == "SoftmaxCE" for node in graph.nodes if node.operands)


def test_fold_computes_constants():
    x = gn.Input("x", (2,))
    graph = after(fold, x + gn.Constant(2.0) * gn.Constant([1.0, 3.0]))
    assert ops(graph) == ["Input", "Constant", "Add"]
    np.testing.assert_array_equal(graph.nodes[1].value, [2, 6])


def test_stabilise_takes_the_logarithm_inside():
    x = gn.Input("x", ("N", 3))
    assert ops(after(stabilise, gn.Log(gn.Softmax(x)))) == ["Input", "LogSoftmax"]


def test_forward_and_backward_of_the_loss_share_their_exponentials():
    s, t = gn.Input("s", ("N", 3)), gn.Input("t", ("N",), dtype="int64")
    loss = gn.SoftmaxCE(s, t)
    f = gn.compile([loss, gn.grad(loss, s)])
    assert [step.node.op for step in f.plan.steps].count("Exp") == 1


def test_a_users_own_pass_runs_and_shows():
    def halve_twice(node):
        match node:
            case gn.Mul(gn.Mul(x, gn.Constant(a)), gn.Constant(b)):
                return x * float(a * b)

    mine = gn.Pass("halve twice", "reassociating", lambda graph: gn.rewrite(graph, halve_twice))
    x = gn.Input("x", ("N",))
    f = gn.compile(x * 0.5 * 0.5, passes=[mine])
    assert len(f.plan.steps) == 1 and f(x=[4.0]) == 1.0
    assert "halve twice" in f.explain()


def test_a_wrong_rule_is_caught():
    bad = gn.Pass("bad", "exact", lambda g: gn.rewrite(g, lambda n: gn.Sum(n.x) if isinstance(n, gn.Exp) else None))
    with pytest.raises(gn.GraphError, match="the spec must stay the same"):
        gn.compile(gn.Exp(gn.Input("x", (2,))), passes=[bad])


@pytest.mark.parametrize("passes", ["best", [print]])
def test_unknown_passes_are_refused(passes):
    with pytest.raises(gn.GraphError):
        gn.compile(gn.Input("x", ()), passes=passes)


@st.composite
def random_graphs(draw):
    """A scalar made by random ops over two inputs and a parameter."""
    pool = [gn.Input("x", ("N", 3)), gn.Input("y", (1, 3)), gn.Parameter("w", np.linspace(-1, 1, 9).reshape(3, 3))]
    unary = [gn.Tanh, gn.Sigmoid, gn.Neg, gn.ReLU, gn.stop_gradient, gn.Softmax, lambda x: x * 1 + 0, lambda x: x.T.T]
    binary = [gn.Add, gn.Sub, gn.Mul, gn.Maximum, lambda x, y: gn.AddN((x + y, x + y))]
    for _ in range(draw(st.integers(1, 8))):
        if draw(st.booleans()):
            pool.append(draw(st.sampled_from(unary))(draw(st.sampled_from(pool))))
        else:
            x, y = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
            if x.shape[0] in (1, y.shape[0]) or y.shape[0] == 1:
                pool.append(draw(st.sampled_from(binary))(x, y))
        if pool[-1].shape == pool[0].shape:
            pool.append(pool[-1] @ pool[2])
    return gn.Sum(gn.Mean(pool[-1], axis=0)) + gn.Sum(pool[0] * pool[1]) + gn.Sum(pool[2])


def compare(loss):
    w = next(p for p in gn.Graph(loss).parameters.values())
    feeds = {"x": np.linspace(-2, 2, 15).reshape(5, 3), "y": np.ones((1, 3))}
    gn.testing.agree({"loss": loss, "dw": gn.grad(loss, w)}, feeds, rtol=1e-4, atol=1e-5)


@given(random_graphs())
def test_exact_passes_give_the_bits_of_none_on_random_graphs(loss):
    compare(loss)


@pytest.mark.slow
@given(random_graphs())
def test_exact_passes_on_many_random_graphs(loss):
    compare(loss)
