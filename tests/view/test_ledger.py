"""The ledger: each step with its cost, the declared nodes it stands for, its rules, and why it is alone."""

import numpy as np

import graphnn as gn


def spiral():
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    w1, b1 = gn.Parameter("W1", np.ones((2, 10))), gn.Parameter("b1", np.zeros(10))
    w2, b2 = gn.Parameter("W2", np.ones((10, 3))), gn.Parameter("b2", np.zeros(3))
    loss = gn.SoftmaxCE(gn.Affine(gn.Sigmoid(gn.Affine(x, w1, b1)), w2, b2), t)
    return gn.compile(loss, gn.SGD(lr=1.0).updates(loss))


def entries(f):
    return {entry.step.node: entry for entry in f.ledger().entries}


def test_every_step_has_an_entry_with_its_declared_nodes():
    f = spiral()
    ledger = f.ledger()
    assert [entry.step for entry in ledger.entries] == list(f.plan.steps)
    declared = set(f.graph.nodes)
    assert all(entry.history.declared and declared.issuperset(entry.history.declared) for entry in ledger.entries)


def test_costs_in_operations_and_bytes():
    x, w = gn.Input("x", ("N", 2)), gn.Parameter("W", np.ones((2, 10)))
    [product] = gn.compile(x @ w).ledger().entries
    assert str(product.operations) == "40·N" and str(product.traffic) == "48·N + 80"
    [total] = gn.compile(gn.Sum(x)).ledger().entries
    assert str(total.operations) == "2·N" and total.traffic({"N": 3}) == 3 * 2 * 4 + 4
    [square] = gn.compile(x * x).ledger().entries
    assert str(square.traffic) == "16·N"  # an operand that stands twice is read once
    assert str(gn.compile([x @ w, x * x]).ledger().operations) == "42·N"


def test_a_loop_costs_its_body_as_often_as_it_runs():
    xs, w = gn.Input("xs", ("T", "N", 4)), gn.Parameter("w", np.ones((4, 4)))
    last, _ = gn.Scan(lambda h, x: (gn.Tanh(x + h @ w), h), gn.Input("h", ("N", 4)), xs)
    [loop] = [e for e in gn.compile(last).ledger().entries if e.step.node.op == "Scan"]
    assert loop.operations({"T": 7, "N": 3}) == 7 * 3 * (2 * 4 * 4 + 4 + 4)


def test_what_a_rule_took_in_is_told():
    x = gn.Input("x", ("N", 3))
    soft = gn.Softmax(x)
    log = gn.Log(soft)
    for entry in gn.compile(log).ledger().entries:
        assert entry.history.declared == (log, soft)
        assert entry.history.rules[:2] == ("stabilise: log of softmax", "expand: parts of a composite")


def test_what_was_shared_is_told():
    x = gn.Input("x", ("N",))
    a, b = gn.Exp(x), gn.Exp(x)
    [exp, _] = gn.compile(a + b).ledger().entries
    assert exp.history.declared == (a, b) and exp.history.rules == ("share: equal nodes are one",)


def test_an_untouched_step_stands_for_itself():
    x = gn.Input("x", ("N",))
    y = gn.Exp(x)
    [entry] = gn.compile(y).ledger().entries
    assert entry.history == ((), (y,)) and entry.apart == ()


def test_a_node_that_a_guard_left_alone_says_why():
    x = gn.Input("x", ("N", 30))
    f = gn.compile(gn.Exp(x) @ gn.Exp(x).T)
    product = f.ledger().entries[-1]
    assert product.step.node.op == "MatMul" and "would change the last bits" in product.apart[0]


def test_notes_of_a_fusing_pass_follow_their_node():
    from graphnn.transform.record import note

    x = gn.Input("x", ("N",))
    y = gn.Exp(x)

    def apply(graph):
        note(graph.outputs["out"], y, "two others read it")
        return graph

    f = gn.compile(gn.Sum(y), passes=[gn.Pass("group", "exact", apply, fuses=True)])
    assert f.ledger().entries[-1].apart == ("apart from %0: two others read it",)
    assert "no pass of this program fuses" not in str(f.ledger())


def test_the_ledger_prints_in_explain():
    f = spiral()
    text = str(f.ledger())
    assert text in f.explain()
    assert text.startswith("ledger: ") and "from Affine test_ledger.py:" in text
    assert "no pass of this program fuses steps" in text
    assert "by expand: parts of a composite; expand: equal nodes are one" in text
    assert "dMatMul" in text  # a gradient is told from what it differentiates


def test_a_rewritten_node_keeps_its_history_through_later_passes():
    x = gn.Input("x", ("N",))
    y = gn.Tanh(gn.Neg(gn.Neg(x)) * 2 * 3)
    product = next(e for e in gn.compile(y).ledger().entries if e.step.node.op == "Mul")
    assert "gather constants: times numbers" in product.history.rules
    assert [node.op for node in product.history.declared] == ["Mul", "Mul"]
