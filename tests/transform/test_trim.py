"""Results that nobody reads are neither computed nor kept: of the best few; of loops and branches see test_control."""

import numpy as np
import pytest

import graphnn as gn

BACKENDS = [name for name, state in gn.backends().items() if state == "ok"]
X = np.random.default_rng(0).normal(size=(5, 9)).astype("float32")


def steps(f):
    return [step.node for step in f.plan.steps if step.node.op == "TopK"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("wanted", [(0,), (1,), (0, 1)])
def test_the_best_few_lose_the_result_that_nobody_reads(wanted, backend):
    x = gn.Input("x", ("N", 9))
    both = list(gn.TopK(x, 3))
    f = gn.compile([both[i] for i in wanted], backend=backend)
    [node] = steps(f)
    assert node.results == wanted and len(f.plan.values[node].slots) == len(wanted)
    whole = gn.compile(both)(x=X)
    for i, found in zip(wanted, f(x=X), strict=True):
        np.testing.assert_array_equal(found, whole[i])


def test_its_memory_goes_too():
    x = gn.Input("x", (64, 9))
    values, places = gn.TopK(x, 4)
    outputs = {"x": x * 2, "values": values, "places": places}
    arena = {name: gn.compile(node).memory().arena for name, node in outputs.items()}
    order = 64  # the words of one line's best, from one cache line to the next
    assert arena["values"] == arena["x"] - 64 * 9 * 4 + 64 * 4 * 4 + order
    assert arena["places"] == arena["x"] - 64 * 9 * 4 + 64 * 4 * 8 + order


def test_a_gradient_reads_the_places_and_a_prediction_does_not():
    x, W = gn.Input("x", ("N", 4)), gn.Parameter("W", np.ones((4, 9)))
    values, _ = gn.TopK(x @ W, 2)
    loss = gn.Sum(values * values)
    [learning] = steps(gn.compile(gn.grad(loss, W)))
    [predicting] = steps(gn.compile(values))
    assert (learning.results, predicting.results) == ((0, 1), (0,))


def test_what_was_trimmed_can_be_differentiated():
    x = gn.Parameter("x", X)
    [values] = gn.TopK(x, 3, results=(0,))
    both = next(iter(gn.TopK(x, 3)))
    slopes = [gn.grad(gn.Sum(gn.Exp(v)), x) for v in (values, both)]
    np.testing.assert_array_equal(*gn.compile(slopes)())
