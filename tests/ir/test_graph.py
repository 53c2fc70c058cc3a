"""Graphs: their order, halves and refusals."""

import networkx as nx
import pytest

import graphnn as gn
from graphnn.plan.schedule import backward_schedule


def test_the_digraph_is_networkx_and_the_schedule_is_declaration_order():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", 2.0)
    loss = gn.Sum(gn.Tanh(x * w))
    graph = gn.Graph(loss)
    assert nx.is_directed_acyclic_graph(graph.digraph)
    assert graph.schedule == graph.nodes
    assert [node.op for node in graph.schedule] == ["Input", "Parameter", "Reshape", "Repeat", "Mul", "Tanh", "Sum"]


def test_the_backward_schedule_reverses_the_forward_one():
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", [1.0, 2.0])
    loss = gn.Sum(gn.Exp(gn.Tanh(gn.Sum(x) * w)))
    graph = gn.Graph(loss).with_gradients()
    visited = backward_schedule(graph)
    forward = [node.serial for node in graph.forward if node.serial in visited]
    assert list(visited) == forward[::-1]


def test_halves():
    w = gn.Parameter("w", 2.0)
    loss = w * w
    graph = gn.Graph(loss, gn.SGD().updates(loss))
    assert {graph.roles[node] for node in graph.nodes} == {"forward", "backward", "update"}
    assert graph.roles[graph.updates[w]] == "update"
    assert [node.op for node in gn.Graph(loss).backward][-1] == "AddN"


def test_duplicate_names_are_refused_with_both_lines():
    x, y = gn.Input("x", ()), gn.Input("x", ())
    with pytest.raises(gn.GraphError, match=r"two nodes are named 'x': Input 'x' f32\[\] \(test_graph.py:\d+\) and"):
        gn.Graph(x + y)


def test_a_cycle_is_quoted_with_every_line():
    x = gn.Input("x", ())
    a = gn.Exp(x)
    b = gn.Tanh(a)
    a.__dict__["operands"] = (b,)  # no declaration can do this
    with pytest.raises(gn.GraphError, match=r"cycle: (Exp|Tanh) .*test_graph.py:\d+.* -> (Tanh|Exp) .* -> "):
        gn.Graph(b)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda x, w: gn.Graph(3), "a node, a sequence or a mapping"),
        (lambda x, w: gn.Graph([x, 3]), "output 'out1' is int, not a node"),
        (lambda x, w: gn.Graph(x, {x: x}), "'x' .* is not a parameter"),
        (lambda x, w: gn.Graph(gn.Branch(x, 2)), "several results"),
        (lambda x, w: gn.Graph(x).with_gradients(), "no trainable parameter"),
        (lambda x, w: gn.Graph([x, w]).with_gradients(), "no one loss"),
    ],
)
def test_refusals(make, says):
    with pytest.raises(gn.GraphError, match=says):
        make(gn.Input("x", ()), gn.Parameter("w", 1.0))


def test_an_update_has_the_spec_of_its_parameter():
    w = gn.Parameter("w", [1.0, 2.0])
    with pytest.raises(
        gn.ShapeError, match=r"the update of 'w' f32\[2\] .* is Sum f32\[\] .*: the shape must be the same"
    ):
        gn.Graph(w, {w: gn.Sum(w)})
