"""The plan: lifetimes, views, in-place reuse, landings, and bytes before the run."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.plan.memory import make_plan


def plan_of(*outputs, updates=None):
    return make_plan(gn.Graph(list(outputs), updates))


def step(plan, op):
    return next(s for s in plan.steps if s.node.op == op)


def test_a_chain_runs_in_one_buffer():
    x = gn.Input("x", ("N", 4))
    plan = plan_of(gn.Sum(gn.Exp(gn.Tanh(gn.Exp(x)))))
    slots = {plan.values[s.node].slots for s in plan.steps if s.node.op != "Sum"}
    assert len(slots) == 1
    assert [s.over.op if s.over is not None else None for s in plan.steps] == [None, "Exp", "Tanh", None]


def test_views_cost_nothing_and_keep_their_base_alive():
    x = gn.Input("x", ("N", 3))
    y = gn.Exp(x)
    late = gn.Sum(y.T, axis=1)  # the base is read through a view long after its last direct use
    plan = plan_of(gn.Tanh(gn.Exp(gn.Sum(y, axis=0))) + late)
    assert "Transpose" not in [s.node.op for s in plan.steps]
    slot = plan.values[y].slots
    until = [s.node for s in plan.steps].index(late)
    written = [plan.values[s.node].slots for s in plan.steps[1:until]]
    assert slot not in written


def test_a_step_never_writes_over_memory_it_reads_through_a_view():
    x = gn.Input("x", (3, 3))
    y = gn.Exp(x)
    product = y * y.T
    plan = plan_of(product)
    assert step(plan, "Mul").over is None
    value = np.arange(9.0).reshape(3, 3)
    np.testing.assert_allclose(gn.compile(product)(x=value), np.exp(value) * np.exp(value).T, rtol=1e-5)


def test_an_operand_that_stands_twice_is_overwritten_only_where_both_may_be():
    x = gn.Input("x", (2,))
    y = gn.Exp(x)
    total = gn.AddN((x, y, y))  # the second y is read after the first write
    assert step(plan_of(total), "AddN").over is None
    np.testing.assert_array_equal(gn.compile(total)(x=[0, 0]), [2, 2])


def test_updates_land_at_once_when_nobody_reads_the_old_value():
    w = gn.Parameter("w", [1.0, 2.0])
    loss = gn.Sum(w * w)
    plan = plan_of(loss, updates={w: w - 0.1 * gn.grad(loss, w)})
    assert not plan.landings and plan.steps[-1].into is w


def test_updates_that_read_each_other_wait():
    a, b = gn.Parameter("a", 1.0), gn.Parameter("b", 2.0)
    f = gn.compile(a + b, {a: b, b: a})
    f()
    assert (a.value, b.value) == (2.0, 1.0)
    c, d = gn.Parameter("c", 1.0), gn.Parameter("d", 2.0)
    gn.compile(c + d, {c: c + d, d: c - d})()
    assert (c.value, d.value) == (3.0, -1.0)


def test_an_output_of_a_parameter_is_its_old_value():
    w = gn.Parameter("w", [1.0, 2.0])
    old, new = gn.compile([w, w + 1], {w: w + 1})()
    np.testing.assert_array_equal(old, [1, 2])
    np.testing.assert_array_equal(new, [2, 3])
    np.testing.assert_array_equal(w.value, [2, 3])


def test_a_transposed_parameter_can_be_its_own_update():
    w = gn.Parameter("w", [[1.0, 2.0], [3.0, 4.0]])
    gn.compile(gn.Sum(w), {w: w.T})()
    np.testing.assert_array_equal(w.value, [[1, 3], [2, 4]])


def test_bytes_are_a_formula_of_the_sizes():
    x = gn.Input("x", ("N", 10), dtype="float64")
    f = gn.compile(gn.Sum(gn.Exp(x), axis=1))
    assert f.plan.arena_bytes(N=30) == 2 * 2432 + 256  # 2400 and 240, rounded up to cache lines
    assert f.memory(N=30).arena == f.plan.arena_bytes(N=30)
    with pytest.raises(gn.FeedError, match="sizes missing: N"):
        f.plan.arena_bytes()
    with pytest.raises(gn.FeedError, match="unknown: M"):
        f.memory(N=30, M=2)


def test_memory_without_sizes_prints_the_formula(capsys):
    x = gn.Input("x", ("N", 10))
    assert gn.compile(gn.Exp(x)).memory() is None
    assert "⌈40·N⌉" in capsys.readouterr().out


@pytest.mark.parametrize("size", [-3, 2.5, True])
def test_a_size_is_a_number(size):
    with pytest.raises(gn.FeedError, match=f"size N is {size}; it must be a number, 0 or more"):
        gn.compile(gn.Exp(gn.Input("x", ("N",)))).memory(N=size)


def test_the_arena_is_what_was_foretold():
    x = gn.Input("x", ("N", 7))
    f = gn.compile(gn.Sum(gn.Exp(x) * gn.Tanh(x)))
    for n in (1, 5, 64):
        f(x=np.ones((n, 7)))
        assert f._program._bindings.block.memory.nbytes == f.plan.arena_bytes(N=n)


def test_static_values_are_computed_once():
    x = gn.Input("x", ("N", 2))
    f = gn.compile(gn.Mean(x, axis=0))
    assert [s.node.op for s in f.plan.steps] == ["Sum", "Div"]
    assert "Count" in [node.op for node in f.plan.static]
