"""The self-check, `GRAPHNN_CHECK=1`: every op that lies is caught at its step, by name and line."""

import dataclasses
from functools import partial

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.node import Node
from graphnn.ir.spec import Spec
from graphnn.plan.checking import checking, demand_same_plan, fingerprint
from graphnn.plan.memory import make_plan


class Unary(gn.Node):
    """Twice the operand, honestly."""

    x: Node

    def infer(self):
        return self.x.spec

    def forward(self, xp, *arrays):
        return 2 * arrays[0]


class WritesItsOperand(Unary):
    def bind(self, xp, ins, out, scratch):
        return [partial(xp.multiply, ins[0], 2, ins[0]), partial(xp.copyto, out, ins[0])]


class BindDiffers(Unary):
    def bind(self, xp, ins, out, scratch):
        return [partial(xp.multiply, ins[0], 2.001, out)]


class AddsToTheResult(Unary):
    def bind(self, xp, ins, out, scratch):
        return [partial(xp.add, out, ins[0], out), partial(xp.add, out, ins[0], out)]


class TrustsScratch(Unary):
    def scratch(self):
        return (self.spec,)

    def bind(self, xp, ins, out, scratch):
        scratch[0].fill(2)  # before the run: the memory is others' by then
        return [partial(xp.multiply, ins[0], scratch[0], out)]


class OverwritesTooEarly(Unary):
    def overwrites(self):
        return (0,)

    def bind(self, xp, ins, out, scratch):
        return [partial(xp.copyto, out, 0.0), partial(xp.add, out, ins[0], out), partial(xp.add, out, ins[0], out)]


class ReturnsItsOperand(Unary):
    def forward(self, xp, *arrays):
        return arrays[0]


class WritesInForward(Unary):
    def forward(self, xp, *arrays):
        return np.multiply(arrays[0], 2, arrays[0])

    def bind(self, xp, ins, out, scratch):
        return [partial(xp.multiply, ins[0], 2, out)]


class CopiesAView(Unary):
    def view(self, dense):
        return dense


class WrongShape(Unary):
    def infer(self):
        return Spec((*self.x.shape, 1), self.x.dtype)

    def forward(self, xp, *arrays):
        return 2 * arrays[0]

    def bind(self, xp, ins, out, scratch):
        return [partial(xp.multiply, ins[0], 2, out[..., 0])]


LIARS = [
    (WritesItsOperand, "changes its operand Exp f32.*which `overwrites` does not say"),
    (BindDiffers, "computes something else than its forward: 2.0"),
    (AddsToTheResult, "computes something else than its forward: nan, not 2.0"),
    (TrustsScratch, "computes something else than its forward: nan, not 2.0"),
    (OverwritesTooEarly, "computes something else than its forward: 0.0, not 2.0|is wrong when it overwrites"),
    (ReturnsItsOperand, "returns its operand Exp f32.* itself in forward, but `view` says no"),
    (WritesInForward, "writes into an operand in forward"),
    (WrongShape, r"computes something else than its forward: float32 \(3, 1\), not float32 \(3,\)"),
]


@pytest.mark.parametrize(("liar", "says"), LIARS)
@pytest.mark.parametrize("reused", [True, False])
def test_a_liar_is_caught_at_its_step(liar, says, reused):
    x = gn.Input("x", ("N",))
    y = gn.Exp(x)
    lie = liar(y)
    f = gn.compile([lie, y] if reused else [lie], passes="none")
    with pytest.raises(
        gn.BackendError, match=rf"GRAPHNN_CHECK: {liar.__name__} f32\[.*?\] \(test_check.py:\d+\) ({says})"
    ):
        f(x=np.zeros(3))


def test_an_op_that_says_it_is_a_view_and_copies_is_caught():
    with pytest.raises(gn.BackendError, match=r"CopiesAView .* says that it is a view, but made a copy"):
        gn.compile(CopiesAView(gn.Input("x", (2,))) + 1)(x=[1, 2])


def test_honest_ops_pass_and_give_their_values():
    x = gn.Input("x", ("N",))
    f = gn.compile(Unary(gn.Exp(x)))
    np.testing.assert_array_equal(f(x=np.zeros(3)), [2, 2, 2])
    np.testing.assert_array_equal(f(x=np.zeros(3)), [2, 2, 2])


def test_a_plan_that_frees_too_early_is_caught():
    x = gn.Input("x", ("N",))
    early = gn.Exp(x)
    f = gn.compile(gn.Sum(gn.Tanh(gn.Sigmoid(x) + 1) * early))
    plan = f.plan
    [kept] = [value for value in plan.values.values() if value.node.op == "Exp"]
    values = {**plan.values, kept.node: kept._replace(last=kept.first)}
    bad = dataclasses.replace(plan, values=values)
    program = f._program.__class__(bad, None)
    with pytest.raises(gn.BackendError, match=r"Mul .* reads Exp f32\[N\] .* whose memory holds something else by now"):
        program.call({"x": np.zeros(3, np.float32)}, {"N": 3})


def test_a_plan_that_shares_a_slot_of_two_live_values_is_caught():
    x = gn.Input("x", ("N",))
    f = gn.compile([gn.Exp(x), gn.Sigmoid(x)])
    exp, sin = (f.plan.values[node] for node in f.plan.graph.outputs.values())
    bad = dataclasses.replace(f.plan, values={**f.plan.values, sin.node: sin._replace(slots=exp.slots)})
    program = f._program.__class__(bad, None)
    with pytest.raises(gn.BackendError, match=r"Exp .* is an output, and its memory was changed"):
        program.call({"x": np.zeros(3, np.float32)}, {"N": 3})


def test_updates_wait_for_the_outputs_under_the_check_too():
    w = gn.Parameter("w", [1.0, 2.0])
    x = gn.Input("x", (2,))
    loss = gn.Sum((w * x - 1) ** 2)
    f = gn.compile([loss, w], gn.SGD(lr=0.1).updates(loss))
    old = f(x=[1, 1])[1]
    np.testing.assert_array_equal(old, [1, 2])
    checked = w.value
    w.value = [1, 2]
    f(x=[1, 1])  # the second run is not checked, and does the same
    np.testing.assert_array_equal(w.value, checked)


def test_a_loop_is_checked_on_the_full_and_on_the_odd_batch():
    class WrongOnOne(Unary):
        def bind(self, xp, ins, out, scratch):
            return [partial(xp.multiply, ins[0], 2 if len(out) > 1 else 3, out)]

    x = gn.Input("x", ("N",))
    f = gn.compile(gn.Sum(WrongOnOne(gn.Exp(x))))
    f.loop({"x": np.zeros(4)}, 2)
    with pytest.raises(gn.BackendError, match=r"WrongOnOne .* computes something else than its forward: 3.0, not 2.0"):
        f.loop({"x": np.zeros(5)}, 2, shuffle=0)


def test_without_the_variable_nothing_is_checked(monkeypatch):
    monkeypatch.setenv("GRAPHNN_CHECK", "0")
    assert not checking()
    f = gn.compile(BindDiffers(gn.Exp(gn.Input("x", ()))), passes="none")
    assert f(x=0.0) == np.float32(2.001)


def test_a_pass_that_follows_chance_is_caught():
    turns = iter(range(100))

    def fickle(graph):
        def rule(node):
            return node.operands[0] if node.op == "Neg" and next(turns) % 5 in (2, 3) else None  # asked twice in a row

        return gn.rewrite(graph, rule)

    x = gn.Input("x", ("N",))
    with pytest.raises(gn.GraphError, match=r"the same program has another plan, from entry 1 on: .*Neg"):
        gn.compile(gn.Exp(-x), passes=[gn.Pass("fickle", "exact", fickle)])


PROGRAM = """
import hashlib
import numpy as np, graphnn as gn
from graphnn.plan.checking import fingerprint
x, t = gn.Input("x", ("N", 5)), gn.Input("t", ("N",), dtype="int64")
h = x
for i in range(4):
    h = gn.Tanh(gn.Affine(h, gn.Parameter(f"W{i}", np.ones((5, 5))), gn.Parameter(f"b{i}", np.ones(5)))) + h
loss = gn.SoftmaxCE(h, t)
f = gn.compile(loss, gn.SGD(lr=1.0).updates(loss))
print(hashlib.sha256(repr(fingerprint(f.plan)).encode()).hexdigest(), f.plan.arena_bytes(N=30))
"""


def test_the_same_plan_whatever_the_hash_seed(run_python):
    assert len({run_python(PROGRAM, PYTHONHASHSEED=seed) for seed in ("0", "1", "2")}) == 1


def test_fingerprints_tell_plans_apart():
    x = gn.Input("x", ("N",))
    one, two = (make_plan(gn.Graph(y)) for y in (gn.Exp(x) + 1, gn.Exp(x) + x))
    assert fingerprint(one) != fingerprint(two)
    with pytest.raises(gn.GraphError, match="another plan"):
        demand_same_plan(one, lambda: two)
