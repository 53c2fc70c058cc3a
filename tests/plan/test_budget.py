"""A budget is met with the same bits, or refused with the smallest that was found, which then works."""

import re

import networkx as nx
import numpy as np
import pytest

import graphnn as gn
from graphnn.plan.budget import lean_order
from graphnn.plan.memory import make_plan
from graphnn.plan.schedule import in_order


def chain(length):
    """A deep chain of elementwise layers, each with a scale to learn."""
    rng = np.random.default_rng(0)
    x = gn.Input("x", ("N", 50))
    h = x
    for i in range(length):
        h = gn.Tanh(h * gn.Parameter(f"w{i}", rng.uniform(0.9, 1.1, 50)))
    return gn.Mean(h**2), {"x": rng.normal(size=(64, 50)).astype("float32")}


def net(layers):
    """Fifty layers and more, as they come: affine and a smooth activation."""
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", 32)), gn.Input("t", ("N",), dtype="int64")
    h = x
    for i in range(layers):
        W, b = gn.Parameter(f"W{i}", rng.normal(0, 0.2, (32, 32))), gn.Parameter(f"b{i}", np.zeros(32))
        z = gn.Affine(h, W, b)
        h = z * gn.Sigmoid(z)
    return gn.SoftmaxCE(h, t), {"x": rng.normal(size=(96, 32)).astype("float32"), "t": rng.integers(0, 32, 96)}


def trained(make, budget=None, steps=2):
    loss, feeds = make()
    f = gn.compile(loss, gn.SGD(lr=0.01).updates(loss), memory_budget=budget)
    return f, [f(**feeds) for _ in range(steps)], f.state, {"N": len(feeds["x"])}


def of_a_call(f, sizes):
    memory = f.memory(**sizes)
    return memory.total - memory.loop


def smallest(make, sizes=None):
    with pytest.raises(gn.BackendError, match=r"1000 bytes do not hold the program for N=\d+, .*largest values") as e:
        trained(make, 1000 if sizes is None else (1000, sizes))
    return int(re.search(r"the smallest budget found is (\d+) bytes", str(e.value))[1])


@pytest.mark.parametrize(
    ("make", "share"),
    [
        (lambda: chain(25), 0.5),
        (lambda: net(12), 0.6),
        pytest.param(lambda: chain(100), 0.3, marks=pytest.mark.slow),
        pytest.param(lambda: net(50), 0.4, marks=pytest.mark.slow),
    ],
    ids=["chain of 25", "net of 12", "chain of 100", "net of 50"],
)
def test_a_budget_is_met_with_the_same_bits_or_refused(make, share):
    plain, losses, state, sizes = trained(make)
    least, needed = smallest(make), of_a_call(plain, sizes)
    assert least - plain.memory(**sizes).state < share * (needed - plain.memory(**sizes).state)
    with pytest.raises(gn.BackendError, match=f"smallest budget found is {least} bytes"):
        trained(make, least - 1)
    for budget in (least, (least + needed) // 2, needed - 1):
        f, again, after, _ = trained(make, budget)
        assert of_a_call(f, sizes) <= budget
        np.testing.assert_array_equal(again, losses)
        for name in state:
            np.testing.assert_array_equal(after[name], state[name])


def test_a_budget_that_holds_the_plan_changes_nothing():
    plain, _, _, sizes = trained(lambda: net(3))
    f, *_ = trained(lambda: net(3), of_a_call(plain, sizes))
    assert str(f.plan) == str(plain.plan)
    assert "fit the budget" not in f.explain()


def test_a_budget_is_met_when_sizes_are_first_fed_and_kept_when_they_change():
    loss, feeds = net(8)
    f = gn.compile(loss, gn.SGD(lr=0.0).updates(loss), memory_budget="200KiB")
    small = {name: array[:8] for name, array in feeds.items()}
    expected = f(**small)
    steps = len(f.plan.steps)
    f(**feeds)
    assert len(f.plan.steps) > steps and "fit the budget" in f.explain()
    assert f(**small) == expected
    with pytest.raises(gn.BackendError, match="memory_budget"):
        f(x=np.zeros((10**5, 32)), t=np.zeros(10**5, int))
    assert f(**small) == expected


def test_sizes_given_with_the_budget_are_planned_for_at_once():
    loss, _ = net(8)
    updates = gn.SGD().updates(loss)
    with pytest.raises(gn.BackendError, match="smallest budget found"):
        gn.compile(loss, updates, memory_budget=("10KiB", {"N": 96}))
    f = gn.compile(loss, updates, memory_budget=("200KiB", {"N": 96}))
    assert of_a_call(f, {"N": 96}) <= 200 * 1024
    with pytest.raises(gn.FeedError, match="sizes missing: N"):
        gn.compile(loss, updates, memory_budget=("200KiB", {}))
    with pytest.raises(gn.GraphError, match="memory_budget: sizes are a mapping"):
        gn.compile(loss, updates, memory_budget=("200KiB", 96))
    with pytest.raises(gn.GraphError, match=r"memory_budget is 'little'; it must be a number of bytes"):
        gn.compile(loss, updates, memory_budget="little")


def test_a_loop_keeps_its_buffers_within_the_budget_too():
    loss, feeds = net(8)
    f = gn.compile(loss, gn.SGD(lr=0.01).updates(loss))
    expected = f.loop(feeds, batch_size=32, epochs=2, shuffle=0)
    budget = f.memory(N=32, samples=96).total - 1
    loss, feeds = net(8)
    g = gn.compile(loss, gn.SGD(lr=0.01).updates(loss), memory_budget=budget)
    np.testing.assert_array_equal(g.loop(feeds, batch_size=32, epochs=2, shuffle=0), expected)
    assert g.memory(N=32, samples=96).total <= budget
    with pytest.raises(gn.BackendError, match="smallest budget found"):
        g.loop(feeds, batch_size=96, epochs=1, shuffle=0)


def test_a_program_without_named_sizes_is_planned_at_once():
    x = gn.Input("x", (1000,))
    y = gn.Exp(x)
    with pytest.raises(gn.BackendError, match="100 bytes do not hold the program, with any order"):
        gn.compile(gn.Sum(y * y.reshape((1000,))), memory_budget=100)


def test_the_lean_order_is_a_topological_order_that_keeps_less():
    x = gn.Input("x", ("N", 100))
    wide = [gn.Exp(x * float(i)) for i in range(20)]  # declared first, needed one by one
    sums = [gn.Sum(gn.Tanh(w), axis=1) for w in wide]
    plan = make_plan(gn.Graph(gn.AddN(tuple(sums))))
    order = lean_order(plan, {"N": 50})
    assert sorted(order, key=id) == sorted(plan.graph.schedule, key=id)
    place = {node: i for i, node in enumerate(order)}
    assert all(place[a] < place[b] for a, b in plan.graph.digraph.edges)
    assert nx.is_directed_acyclic_graph(plan.graph.digraph)
    lean = make_plan(in_order(plan.graph, order))
    assert lean.arena_bytes(N=50) < plan.arena_bytes(N=50) / 3
    f = gn.compile(gn.AddN(tuple(sums)), memory_budget=(lean.arena_bytes(N=50) + 5000, {"N": 50}))
    np.testing.assert_array_equal(f(x=np.ones((50, 100))), gn.compile(gn.AddN(tuple(sums)))(x=np.ones((50, 100))))
