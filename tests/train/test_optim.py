"""Optimisers against their rules written out in NumPy, and what all of them share."""

import numpy as np
import pytest

import graphnn as gn

START = np.array([1.0, -2.0, 0.5])
TARGETS = np.random.default_rng(0).normal(size=(40, 3))


def momentum(p, g, s, t, lr=0.05, m=0.9):
    s["v"] = m * s.get("v", 0) - lr * g
    return p + s["v"]


def nesterov(p, g, s, t, lr=0.05, m=0.9):
    s["v"] = m * s.get("v", 0) - lr * g
    return p + m * m * s["v"] - (1 + m) * lr * g


def adagrad(p, g, s, t, lr=0.05):
    s["h"] = s.get("h", 0) + g * g
    return p - lr * g / (np.sqrt(s["h"]) + 1e-7)


def rmsprop(p, g, s, t, lr=0.05, d=0.99):
    s["h"] = d * s.get("h", 0) + (1 - d) * g * g
    return p - lr * g / (np.sqrt(s["h"]) + 1e-7)


def adam(p, g, s, t, lr=0.05, b1=0.9, b2=0.999):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    return p - lr * np.sqrt(1 - b2**t) / (1 - b1**t) * s["m"] / (np.sqrt(s["v"]) + 1e-7)


def adamw(p, g, s, t, lr=0.05, wd=0.1):
    return adam(p, g, s, t, lr) - lr * wd * p


def heavy_ball(p, g, s, t, lr=0.05, m=0.9, wd=0.1):
    s["v"] = m * s.get("v", 0) + g + wd * p
    return p - lr * s["v"]


def sgd_nesterov(p, g, s, t, lr=0.05, m=0.9):
    s["v"] = m * s.get("v", 0) + g
    return p - lr * (g + m * s["v"])


RULES = [
    (gn.SGD, {"lr": 0.05}, lambda p, g, s, t: p - 0.05 * g),
    (gn.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}, heavy_ball),
    (gn.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}, sgd_nesterov),
    (gn.Momentum, {"lr": 0.05}, momentum),
    (gn.Nesterov, {"lr": 0.05}, nesterov),
    (gn.AdaGrad, {"lr": 0.05}, adagrad),
    (gn.RMSprop, {"lr": 0.05}, rmsprop),
    (gn.Adam, {"lr": 0.05}, adam),
    (gn.AdamW, {"lr": 0.05, "weight_decay": 0.1}, adamw),
]
AVAILABLE = [name for name, state in gn.backends().items() if state == "ok"]


def problem(dtype="float64"):
    """The squared distance of p from a target that changes every step."""
    p, target = gn.Parameter("p", START, dtype=dtype), gn.Input("target", ("N", 3), dtype=dtype)
    return p, gn.Sum((p - target) ** 2)


@pytest.mark.parametrize("backend", AVAILABLE)
@pytest.mark.parametrize(
    ("optimizer", "options", "rule"), RULES, ids=lambda x: x.__name__ if isinstance(x, type) else ""
)
def test_forty_steps_are_those_of_the_rule(optimizer, options, rule, backend):
    p, loss = problem()
    step = gn.compile(loss, optimizer(**options).updates(loss), backend=backend)
    expected, state = START, {}
    for t, target in enumerate(TARGETS, start=1):
        step(target=target[None])
        expected = rule(expected, 2 * (expected - target), state, t)
        np.testing.assert_allclose(p.value, expected, rtol=1e-10)


def test_adam_in_single_precision_is_as_good_as_in_double():
    p, loss = problem("float32")
    step = gn.compile(loss, gn.Adam(lr=0.05).updates(loss))
    expected, state = START, {}
    for t, target in enumerate(TARGETS, start=1):
        step(target=target[None])
        expected = adam(expected, 2 * (expected - target), state, t)
    np.testing.assert_allclose(p.value, expected, rtol=1e-5)


def test_a_loop_carries_the_state_as_calls_do():
    p, loss = problem()
    looped = gn.compile(loss, gn.Adam(lr=0.05).updates(loss))
    looped.loop({"target": TARGETS}, batch_size=4)
    by_loop = p.value
    p.value = START
    called = gn.compile(loss, gn.Adam(lr=0.05).updates(loss))
    for i in range(0, 40, 4):
        called(target=TARGETS[i : i + 4])
    np.testing.assert_array_equal(by_loop, p.value)


def test_accumulating_four_batches_is_one_step_by_their_mean():
    p, loss = problem()
    step = gn.compile(loss, gn.Adam(lr=0.05, accumulate=4).updates(loss))
    q, whole = problem()
    once = gn.compile(whole / 4, gn.Adam(lr=0.05).updates(whole / 4))
    for i in range(0, 40, 4):
        for target in TARGETS[i : i + 4]:
            before = p.value
            step(target=target[None])
            moved = not np.array_equal(p.value, before)
        assert moved  # at the fourth batch only
        once(target=TARGETS[i : i + 4])
    np.testing.assert_allclose(p.value, q.value, rtol=1e-12)


def test_groups_have_rates_and_options_of_their_own():
    a, b = gn.Parameter("a", 1.0), gn.Parameter("b", 1.0)
    loss = a * a + b * b
    slow = gn.Group([b], lr_scale=0.1, momentum=0.0)
    gn.compile(loss, gn.SGD(lr=0.1, momentum=0.9, groups=[slow]).updates(loss))()
    np.testing.assert_allclose([a.value, b.value], [0.8, 0.98], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda a, b: gn.SGD(groups=[gn.Group([b])]).updates(a * a), "a group holds 'b' .* not among the parameters"),
        (lambda a, b: gn.SGD(groups=[gn.Group([a]), gn.Group([a])]).updates(a * a), "'a' .* stands in two groups"),
        (lambda a, b: gn.SGD(groups=[gn.Group([a], speed=3)]).updates(a * a), "SGD has no option 'speed'"),
        (lambda a, b: gn.SGD(nesterov=True), "looks ahead along the momentum, which is 0"),
        (lambda a, b: gn.SGD(accumulate=0), "accumulate is 0"),
        (lambda a, b: gn.Adam([a, b]), r"Adam: lr is \[<'a' f32\[\] .* given to updates\(loss, params="),
        (lambda a, b: gn.SGD(lr=lambda step: 0.1), "it is a number. What changes it is schedule="),
        (lambda a, b: gn.SGD().updates(a * a, max_value=0), "max_value is 0"),
        (lambda a, b: gn.Average(decay=1.0), "decay is 1.0"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, says):
    with pytest.raises(gn.GraphError, match=says):
        make(gn.Parameter("a", 1.0), gn.Parameter("b", 1.0))


def test_two_optimisers_in_one_program_have_names_of_their_own():
    a, b = gn.Parameter("a", 1.0), gn.Parameter("b", 1.0)
    loss = a * a + b * b
    updates = gn.SGD(lr=0.1).updates(loss, [a]) | gn.Adam(lr=0.5, name="adam").updates(loss, [b])
    step = gn.compile(loss, updates)
    step.set("adam.lr", 0.0)
    step()
    assert a.value < 1 and b.value == 1
    assert set(step.state) == {"a", "b", "lr", "adam.lr", "adam.b.mean", "adam.b.squares", "adam.steps"}


def test_clipping_by_value_bounds_each_element():
    p = gn.Parameter("p", [10.0, 0.1])
    loss = 0.5 * gn.Sum(p * p)
    gn.compile(loss, gn.SGD(lr=1.0).updates(loss, max_value=1.0))()
    np.testing.assert_allclose(p.value, [9.0, 0.0], atol=1e-7)


def test_averages_follow_the_weights_and_are_lent():
    p, loss = problem()
    average = gn.Average(decay=0.9)
    step = gn.compile(loss, average.updates(gn.SGD(lr=0.05).updates(loss)))
    expected = START
    for target in TARGETS:
        step(target=target[None])
        expected = 0.9 * expected + 0.1 * p.value
    own = p.value
    with average.applied():
        np.testing.assert_allclose(p.value, expected, rtol=1e-12)
    np.testing.assert_array_equal(p.value, own)


def test_a_rule_of_the_users_own_is_ten_lines():
    class Lion(gn.Optimizer):
        """Source: X. Chen et al., Symbolic Discovery of Optimization Algorithms, 2023."""

        def step(self, parameter, gradient, lr):
            m = self.state(parameter, "mean")
            direction = 0.9 * m + 0.1 * gradient
            sign = direction / (gn.Abs(direction) + 1e-12)
            return {parameter: parameter - lr * sign, m: 0.99 * m + 0.01 * gradient}

    p, loss = problem()
    step = gn.compile(loss, Lion(lr=0.1, schedule=lambda t: 1.0 / (t + 1)).updates(loss))
    for target in TARGETS[:2]:
        step(target=target[None])
    moved = np.abs(p.value - START)
    assert np.all((np.abs(moved - 0.15) < 1e-6) | (np.abs(moved - 0.05) < 1e-6))  # a step of 0.1, then one of 0.05


def test_updates_stand_on_the_line_that_asked_for_them():
    w = gn.Parameter("w", [1.0, 2.0])
    [moved] = gn.SGD().updates(gn.Sum(w * w)).values()
    assert moved.origin.file == __file__ and moved.adjoint_of is None


def test_the_rate_is_repeated_once_for_parameters_of_one_shape():
    ones = [gn.Parameter(f"w{i}", np.ones(3)) for i in range(5)]
    other = gn.Parameter("v", np.ones((2, 3)))
    loss = gn.Sum(gn.AddN(tuple(ones)) * other)
    graph = gn.Graph(loss, gn.SGD().updates(loss))
    rate = next(p for p in graph.parameters.values() if p.name == "lr")
    assert len([node for node in graph.nodes if node.op == "Reshape" and node.operands == (rate,)]) == 2
