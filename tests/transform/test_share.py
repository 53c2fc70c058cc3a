"""Share: equal nodes become one, and only equal ones."""

import numpy as np

import graphnn as gn
from graphnn.transform.share import share


def ops(graph):
    return [node.op for node in graph.nodes]


def test_equal_nodes_become_one(after):
    x = gn.Input("x", ("N",))
    graph = after(share, gn.Exp(x) + gn.Exp(x), gn.Sum(x, 0) * gn.Sum(x, axis=0))
    assert ops(graph).count("Exp") == 1 and ops(graph).count("Sum") == 1
    assert ops(after(share, gn.Sum(x) + gn.Sum(x, keepdims=True))).count("Sum") == 2


def test_attributes_that_only_look_equal_are_told_apart(after):
    class Scale(gn.Elementwise):
        x: gn.Node
        by: object
        formula = "x * by"

    x = gn.Input("x", ("N",))
    assert ops(after(share, Scale(x, 0.0), Scale(x, -0.0), Scale(x, 0.0))).count("Scale") == 2


def test_random_ops_and_odd_attributes_are_left_alone(after):
    class Draw(gn.Elementwise):
        x: gn.Node
        formula = "x + 1"
        random = True

    class Listed(gn.Node):
        x: gn.Node
        by: list

        def infer(self):
            return self.x.spec

    class Leaf(gn.Node):
        by: list

        def infer(self):
            return gn.Spec((), np.dtype("float32"))

    x = gn.Input("x", ("N",))
    assert ops(after(share, Draw(x), Draw(x))).count("Draw") == 2
    assert ops(after(share, Listed(x, [1]), Listed(x, [1]))).count("Listed") == 2
    assert ops(after(share, Leaf([1]), Leaf([1]))).count("Leaf") == 2


def test_forward_and_backward_of_the_loss_share_their_exponentials():
    s, t = gn.Input("s", ("N", 3)), gn.Input("t", ("N",), dtype="int64")
    loss = gn.SoftmaxCE(s, t)
    f = gn.compile([loss, gn.grad(loss, s)])
    assert [step.node.op for step in f.plan.steps].count("Exp") == 1


def test_a_product_with_itself_stays_one_of_two_buffers(after):
    x = gn.Input("x", ("N", 30))
    graph = after(share, gn.Exp(x) @ gn.Exp(x).T)
    assert ops(graph).count("Exp") == 2  # BLAS rounds `a @ a.T` another way
    graph = after(share, gn.Exp(x) @ gn.Exp(x).T, gn.Exp(x) + gn.Exp(x))
    assert ops(graph).count("Exp") == 2  # and the rest is shared still


def test_the_search_for_a_harmful_answer_limits_those_of_share(after):
    x = gn.Input("x", ("N",))
    graph = gn.Graph([gn.Exp(x) + gn.Exp(x), gn.Log(x) + gn.Log(x)])
    counts = [ops(share.run(graph, limit)[0]).count for limit in (0, 1, None)]
    assert [(count("Exp"), count("Log")) for count in counts] == [(2, 2), (1, 2), (1, 1)]


def test_a_product_of_two_equal_operands_keeps_its_bits(after):
    x = gn.Input("x", ("N", 3))
    graph = after(share, gn.Exp(x) @ gn.Exp(x).T)  # of one buffer, BLAS would take another routine
    [product] = [node for node in graph.nodes if node.op == "MatMul"]
    assert product.W.x is not product.x
