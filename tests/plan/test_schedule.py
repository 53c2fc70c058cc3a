"""The schedule is NetworkX's lexicographical order, whether it had to be asked or not."""

import networkx as nx
import numpy as np
import pytest

import graphnn as gn
from graphnn.plan.schedule import is_schedule, schedule
from tests.random_graphs import random_program


def sorted_by_networkx(graph):
    return tuple(nx.lexicographical_topological_sort(graph.digraph, key=lambda node: node.serial))


@pytest.mark.parametrize("seed", range(12))
def test_the_order_of_declaration_is_what_networkx_gives(seed):
    program = random_program(seed)
    for stage in gn.compile(program.outputs, program.updates).stages:
        assert schedule(stage.graph) == sorted_by_networkx(stage.graph)


def test_another_key_is_followed_wherever_operands_allow():
    x = gn.Input("x", ("N",))
    a, b, c = gn.Exp(x), gn.Tanh(x), gn.Sin(x)
    graph = gn.Graph([a, b, c])
    late = {x: 0, a: 3, b: 2, c: 1}
    assert not is_schedule(graph.nodes, late.__getitem__)
    assert schedule(graph, late.__getitem__) == (x, c, b, a)
    assert schedule(graph) == (x, a, b, c)


def test_operands_come_first_whatever_the_key_says():
    x = gn.Input("x", ("N",))
    y = gn.Exp(x)
    z = gn.Tanh(y)
    graph = gn.Graph(z)
    assert not is_schedule((z, y, x), {z: 0, y: 1, x: 2}.__getitem__)
    assert schedule(graph, {z: 0, y: 1, x: 2}.__getitem__) == (x, y, z)


def test_gradients_run_in_reverse():
    w = gn.Parameter("w", np.ones(3))
    loss = gn.Sum(gn.Tanh(gn.Exp(w)))
    order = [node.adjoint_of for node in gn.Graph(gn.grad(loss, w)).schedule if node.adjoint_of is not None]
    assert order == sorted(order, reverse=True)
