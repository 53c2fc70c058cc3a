"""Golden listings of the spiral: what is printed and drawn stays as it is until somebody means to change it."""

import numpy as np
import pytest

import graphnn as gn


@pytest.fixture
def spiral():
    """The two-layer net with its nodes spelled out, as a graph, and as a compiled training step."""
    gn.default_dtype("float64")
    rng = np.random.RandomState(0)
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W1, b1 = gn.Parameter("W1", rng.randn(2, 10)), gn.Parameter("b1", np.zeros((1, 10)))
    W2, b2 = gn.Parameter("W2", rng.randn(10, 3)), gn.Parameter("b2", np.zeros((1, 3)))
    a = gn.Add(gn.MatMul(x, W1), gn.Repeat(b1, "N", axis=0))
    scores = gn.Affine(gn.Sigmoid(a), W2, b2)
    loss = gn.SoftmaxCE(scores, t)
    return gn.Graph(loss), lambda: gn.compile(loss, gn.SGD(lr=1.0).updates(loss))


def test_listing_of_the_forward_graph(spiral, golden):
    golden("spiral_forward.txt", str(spiral[0]))


def test_listing_of_the_backward_graph(spiral, golden):
    golden("spiral_backward.txt", str(spiral[0].with_gradients()))


def test_plan(spiral, golden):
    golden("spiral_plan.txt", str(spiral[1]().plan))


@pytest.mark.parametrize("view", ["forward", "backward", "both"])
def test_dot(spiral, golden, view):
    golden(f"spiral_{view}.dot", spiral[0].to_dot(view))


def test_mermaid(spiral, golden):
    golden("spiral_both.mmd", spiral[0].to_mermaid("both"))


def test_the_same_bytes_whatever_the_hash_seed(run_python):
    code = (
        "import numpy as np, graphnn as gn\n"
        "x, t = gn.Input('x', ('N', 2)), gn.Input('t', ('N',), dtype='int64')\n"
        "scores = gn.Affine(gn.Sigmoid(gn.Affine(x, np.ones((2, 4)), np.ones(4))), gn.Parameter('W', np.ones((4, 3))),"
        " gn.Parameter('b', np.ones(3)))\n"
        "loss = gn.SoftmaxCE(scores, t)\n"
        "f = gn.compile(loss, gn.SGD().updates(loss))\n"
        "print(gn.Graph(loss).with_gradients(), f.plan, f.explain(), gn.Graph(loss).to_dot('both'))\n"
    )
    first, second = (run_python(code, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first == second
