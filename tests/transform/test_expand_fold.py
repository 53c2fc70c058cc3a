"""Expand and fold: composites become their parts, constants their values."""

import numpy as np

import graphnn as gn
from graphnn.transform.expand import expand
from graphnn.transform.fold import fold


def ops(graph):
    return [node.op for node in graph.nodes]


def test_expand_leaves_no_composite(after):
    s, t = gn.Input("s", ("N", 3)), gn.Input("t", ("N",), dtype="int64")
    graph = after(expand, gn.SoftmaxCE(gn.Affine(s, np.ones((3, 3)), np.ones(3)), t))
    assert not any(isinstance(node, gn.Composite) for node in graph.nodes)
    assert all(node.scope[0] in ("SoftmaxCE", "Affine") for node in graph.nodes if node.operands)


def test_nested_expansions_are_spliced_in_one_sweep(after):
    class Inner(gn.Composite):
        x: gn.Node

        def expand(self):
            return gn.Exp(self.x)

    class Outer(gn.Composite):
        x: gn.Node

        def expand(self):
            return gn.Neg(Inner(self.x))

    x = gn.Input("x", ("N",))
    assert ops(after(expand, Outer(Outer(x)))) == ["Input", "Exp", "Neg", "Exp", "Neg"]


def test_what_a_loss_and_its_gradient_are_both_made_of_stands_once(after):
    s, t = gn.Parameter("s", np.zeros((4, 3))), gn.Input("t", (4,), dtype="int64")
    loss = gn.SoftmaxCE(s, t)
    graph = after(expand, loss, gn.grad(loss, s))
    assert [ops(graph).count(op) for op in ("Max", "Exp", "Sum", "Log")] == [1, 1, 2, 1]  # and the sum over rows


def test_equal_constants_of_an_expanded_graph_stand_once(after):
    x = gn.Input("x", ("N", 3))
    graph = after(expand, gn.Softmax(x) + 2.0, x * 2.0)
    assert sum(isinstance(node, gn.Constant) and node.value == 2 for node in graph.nodes) == 1


def test_parts_that_draw_at_random_stay_apart(after):
    class Draw(gn.Elementwise):
        x: gn.Node
        formula = "x + 1"
        random = True

    class Noisy(gn.Composite):
        x: gn.Node

        def expand(self):
            return Draw(self.x)

    x = gn.Input("x", ("N",))
    assert ops(after(expand, Noisy(x) + Noisy(x))).count("Draw") == 2


def test_expand_runs_whatever_passes_are_asked_for():
    f = gn.compile(gn.Softmax(gn.Input("x", ("N", 3))), passes="none")
    assert not any(isinstance(step.node, gn.Composite) for step in f.plan.steps)
    mine = gn.Pass("mine", "exact", lambda graph: graph)
    f = gn.compile(gn.Softmax(gn.Input("x", ("N", 3))), passes=[mine])
    assert "== mine (exact): (unchanged)" in f.explain() and "== expand" in f.explain()


def test_fold_computes_constants(after):
    x = gn.Input("x", (2,))
    graph = after(fold, x + gn.Constant(2.0) * gn.Constant([1.0, 3.0]))
    assert ops(graph) == ["Input", "Constant", "Add"]
    np.testing.assert_array_equal(graph.nodes[1].value, [2, 6])


def test_fold_leaves_views_and_what_sizes_decide(after):
    x = gn.Input("x", ("N", 2))
    c = gn.Constant(np.ones((2, 3)))
    assert ops(after(fold, x @ c.T.T)) == ["Input", "Constant", "Transpose", "Transpose", "MatMul"]
    graph = after(fold, gn.Exp(gn.Repeat(gn.Constant([[1.0]]), "N")) + x)
    assert "Exp" in ops(graph)
