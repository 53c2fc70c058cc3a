"""Memory of passes: what was found out about a node is not asked again while its graph is compiled."""

import graphnn as gn
from graphnn.transform.memo import remembered, remembering


def asking():
    """A pass with one rule that takes double negations away, and the nodes it was asked about."""
    rules, asked = gn.Rules(), []

    @rules.on(gn.Neg)
    def double_negation(node):
        asked.append(node)
        match node:
            case gn.Neg(gn.Neg(x)):
                return x

    return gn.Pass("no double negation", "exact", lambda graph: gn.rewrite(graph, rules)), asked


def test_nodes_without_an_answer_are_asked_about_once(monkeypatch):
    monkeypatch.setenv("GRAPHNN_CHECK", "0")  # with it everything is compiled again, each time from nothing
    mine, asked = asking()
    x = gn.Input("x", ())
    gn.compile(gn.Exp(-x) + gn.Log(-x), passes=[mine, mine, mine])
    assert len(asked) == 2


def test_what_another_pass_built_in_between_is_asked_about():
    mine, _ = asking()
    x = gn.Input("x", ())

    def negation_of_zero(node):
        match node:
            case gn.Sub(gn.Constant(zero), y) if zero == 0:
                return gn.Neg(y)

    between = gn.Pass("negation", "exact", lambda graph: gn.rewrite(graph, negation_of_zero))
    f = gn.compile(0.0 - gn.Neg(x), passes=[mine, between, mine])
    assert not f.plan.steps and f(x=3.0) == 3.0


def test_all_is_forgotten_at_the_end():
    with remembering():
        remembered("names", set).add("x")
        with remembering():
            assert remembered("names", set) == set()
        assert remembered("names", set) == {"x"}
    assert remembered("names", set) == set()
