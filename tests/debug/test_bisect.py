"""Bisection finds the pass, the rule and the node that changed a result."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.numpy import PASSES


def planted(numerics="exact"):
    """A pass with a good rule and, at the third Tanh it meets, a wrong one."""
    rules = gn.Rules()
    met = []

    @rules.on(gn.Neg)
    def double_negation(node):
        match node:
            case gn.Neg(gn.Neg(x)):
                return x

    @rules.on(gn.Tanh)
    def a_wrong_rule(node):
        met.append(node)
        return gn.Sigmoid(node.x) if node.scope == ("third",) else None

    return gn.Pass("planted", numerics, lambda graph: gn.rewrite(graph, rules))


def net():
    x, w = gn.Input("x", ("N", 3)), gn.Parameter("w", np.eye(3) / 2)
    h = gn.Tanh(gn.Neg(gn.Neg(x)) @ w)
    h = gn.Tanh(gn.Neg(gn.Neg(h)) @ w)
    with gn.scope("third"):
        h = gn.Tanh(h)
    loss = gn.Mean(gn.Neg(gn.Neg(h)) ** 2)
    return loss, gn.SGD(lr=0.5).updates(loss)


FEEDS = {"x": np.linspace(-1, 1, 6).reshape(2, 3)}


@pytest.mark.parametrize("numerics", ["exact", "reassociating"])
@pytest.mark.parametrize("place", [0, 3, len(PASSES)])
def test_a_planted_wrong_rule_is_found(numerics, place):
    loss, updates = net()
    f = gn.compile(loss, updates, passes=[*PASSES[:place], planted(numerics), *PASSES[place:]])
    found = f.bisect(FEEDS)
    assert found.culprit.name == "planted" and found.rule == "a wrong rule"
    assert found.node.op == "Tanh" and found.node.scope == ("third",) and found.answer.op == "Sigmoid"
    assert found.difference > 0.01
    assert "the pass 'planted'" in str(found) and "'a wrong rule' at Tanh f32[N, 3] (test_bisect.py:" in str(found)


@pytest.mark.parametrize("passes", ["default", "exact"])
def test_a_sound_program_has_no_culprit_and_keeps_its_parameters(passes):
    loss, updates = net()
    f = gn.compile(loss, updates, passes=passes)
    before = f.state
    assert f.bisect(FEEDS) is None
    for name, value in before.items():
        np.testing.assert_array_equal(f.state[name], value)


def test_a_pass_without_rules_is_named_alone():
    x = gn.Input("x", ("N",))
    doubled = gn.Pass("doubled", "exact", lambda graph: gn.Graph({n: node * 2 for n, node in graph.outputs.items()}))
    found = gn.compile(gn.Exp(x), passes=[doubled]).bisect({"x": [0.0, 1.0]})
    assert found.rule is None and found.result == "out" and found.difference == pytest.approx(np.e)
    assert str(found) == "the pass 'doubled' (exact): 'out' differs by up to 2.72"


def test_a_wrong_rule_inside_a_loop_is_found():
    rules = gn.Rules()
    rules.on(gn.Neg)(lambda node: node.x.x if isinstance(node.x, gn.Neg) else None)

    @rules.on(gn.Tanh)
    def wrong_inside(node):
        return gn.Sigmoid(node.x)

    x = gn.Input("x", ("T",))
    last, _ = gn.Scan(lambda h, x: (gn.Tanh(h + gn.Neg(gn.Neg(x))), h), 0.0, x)
    bad = gn.Pass("bad", "exact", lambda graph: gn.rewrite(graph, rules))
    f = gn.compile(gn.Neg(gn.Neg(last)), passes=[*PASSES, bad])
    found = f.bisect({"x": [1.0, 2.0]})
    assert found.rule == "wrong inside" and found.node.op == "Tanh"


def test_an_exact_pass_is_held_to_the_bit_and_tolerances_may_be_given():
    rules = gn.Rules()

    @rules.on(gn.Mul)
    def another_order(node):
        match node:
            case gn.Mul(gn.Mul(x, y), z):
                return gn.Mul(x, gn.Mul(y, z))

    x = gn.Input("x", ("N",), dtype="float64")
    feed = {"x": np.linspace(0.1, 0.9, 40)}
    exact = gn.Pass("order", "exact", lambda graph: gn.rewrite(graph, rules))
    loose = gn.Pass("order", "reassociating", lambda graph: gn.rewrite(graph, rules))
    product = gn.Exp(x) * gn.Tanh(x) * gn.Sqrt(x)
    assert gn.compile(product, passes=[exact]).bisect(feed).rule == "another order"
    assert gn.compile(product, passes=[loose]).bisect(feed) is None
    assert gn.compile(product, passes=[loose]).bisect(feed, rtol=0, atol=0).rule == "another order"


def test_a_value_that_stopped_being_finite_is_a_difference():
    x = gn.Input("x", ("N",))
    rules = gn.Rules()
    rules.on(gn.Exp)(lambda node: gn.Log(node.x) if node.scope == () else None)
    bad = gn.Pass("bad", "reassociating", lambda graph: gn.rewrite(graph, rules))
    assert gn.compile(gn.Exp(x), passes=[bad]).bisect({"x": [0.0]}).difference == np.inf


def test_a_pass_that_does_nothing_is_no_culprit():
    f = gn.compile(gn.Exp(gn.Input("x", ())), passes=[gn.Pass("nothing", "exact", lambda g: g)])
    assert f.bisect({"x": 1.0}) is None
