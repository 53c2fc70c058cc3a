"""Schedules: factors by the step, followed inside a loop without recompiling."""

import numpy as np
import pytest

import graphnn as gn

CURVES = {
    "steps": (gn.schedules.steps(3, 0.1), lambda t: 0.1 ** (t // 3)),
    "exponential": (gn.schedules.exponential(0.9, every=2), lambda t: 0.9 ** (t / 2)),
    "cosine": (gn.schedules.cosine(7, floor=0.1), lambda t: 0.1 + 0.45 * (1 + np.cos(np.pi * min(t / 7, 1)))),
    "warm_up": (gn.schedules.warm_up(4), lambda t: min((t + 1) / 4, 1)),
    "tabulated": (gn.schedules.tabulated([0.5, 0.25]), lambda t: [0.5, 0.25][min(t, 1)]),
    "own": (lambda t: 1 / (1 + t), lambda t: 1 / (1 + t)),
}


@pytest.mark.parametrize("name", CURVES)
def test_each_schedule_is_its_formula(name):
    schedule, formula = CURVES[name]
    np.testing.assert_allclose(gn.schedules.preview(schedule, 10), [formula(t) for t in range(10)], rtol=1e-12)


def test_one_cycle_rises_and_falls_between_its_ends():
    factors = gn.schedules.preview(gn.schedules.one_cycle(20, rise=0.25, first=0.1, last=0.01), 21)
    assert factors[0] == pytest.approx(0.1) and factors[5] == pytest.approx(1) and factors[20] == pytest.approx(0.01)
    assert (np.diff(factors[:6]) > 0).all() and (np.diff(factors[5:]) < 0).all()


def test_a_loop_follows_its_schedule():
    w, x = gn.Parameter("w", 0.0, dtype="float64"), gn.Input("x", ("N",), dtype="float64")
    loss = gn.Sum(w * x)  # a gradient of 1 at every step: w goes down by the rates alone
    schedule = gn.schedules.cosine(8)
    f = gn.compile(loss, gn.SGD(lr=0.5, schedule=schedule).updates(loss))
    f.loop({"x": np.ones(10)}, 1)
    assert w.value == pytest.approx(-0.5 * gn.schedules.preview(schedule, 10).sum())
    f.set("lr", 0.0)
    before = w.value
    f.loop({"x": np.ones(2)}, 1)
    assert w.value == before


@pytest.mark.parametrize(
    "make",
    [lambda: gn.schedules.steps(0), lambda: gn.schedules.cosine(-1), lambda: gn.schedules.one_cycle(5, rise=1.0),
     lambda: gn.schedules.tabulated(lambda t: t), lambda: gn.schedules.tabulated([])],
)  # fmt: skip
def test_what_makes_no_schedule_is_refused(make):
    with pytest.raises(gn.GraphError):
        make()
