"""Loops and branches on the CuPy backend: in kernels, captured with the rest, and honest where they are not."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.cupy import captured, loops

from .host_only import Shifted

BOTH = ("numpy", "cupy")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5, 3)).astype("float32")
T = RNG.integers(0, 2, 40)


def recurrent(backend, choose=False):
    """A loop over five places with a branch in it or not, its scores trained by SGD."""
    x, t = gn.Input("x", ("N", 5, 3)), gn.Input("t", ("N",), dtype="int64")
    rng = np.random.default_rng(1)
    u, w = gn.Parameter("u", rng.normal(size=(3, 4))), gn.Parameter("w", 0.5 * rng.normal(size=(4, 4)))
    v = gn.Parameter("v", rng.normal(size=(4, 2)))

    def turn(h, xt):
        z = xt @ u + h @ w
        h = gn.Cond(gn.Sum(xt) > 0, lambda: gn.Tanh(z), lambda: z * 0.5) if choose else gn.Tanh(z)
        return h, None

    (last,) = gn.Scan(turn, x[:, 0] @ np.zeros((3, 4), "float32"), gn.Transpose(x, (1, 0, 2)))
    loss = gn.SoftmaxCE(last @ v, t)
    return gn.compile(loss, gn.SGD(lr=0.2).updates(loss), backend=backend)


@pytest.fixture
def _not_tiny(monkeypatch):
    """These nets are so small that one kernel would run their loops."""
    monkeypatch.setattr(loops, "make_tiny", lambda *arguments: None)


@pytest.mark.parametrize("choose", [False, True])
@pytest.mark.parametrize("tiny", [False, True])
def test_a_recurrent_net_is_trained_on_the_device_alone(cupy, request, tiny, choose):
    if not tiny:
        request.getfixturevalue("_not_tiny")
    losses, state = {}, {}
    for backend in BOTH:
        f = recurrent(backend, choose)
        losses[backend] = f.loop({"x": X, "t": T}, 16, epochs=3, shuffle=0)
        state[backend] = f.state
    assert all(bound.whole for bound in f._program._bindings)
    np.testing.assert_allclose(losses["cupy"], losses["numpy"], rtol=1e-4)
    for name, value in state["numpy"].items():
        np.testing.assert_allclose(state["cupy"][name], value, 1e-4, 1e-6, err_msg=name)
    said = f.explain().split("== cupy")[1]
    assert "every step has a kernel" in said and "its turns are launched one after the other" in said


@pytest.mark.usefixtures("_not_tiny")
def test_captured_turns_have_the_bits_of_single_steps(cupy):
    looped, called = recurrent("cupy", True), recurrent("cupy", True)
    losses = looped.loop({"x": X, "t": T}, 20, epochs=2)
    by_hand = [[called(x=X[part], t=T[part]) for part in (slice(20), slice(20, 40))] for _ in range(2)]
    np.testing.assert_array_equal(losses, by_hand)


@pytest.mark.usefixtures("_not_tiny")
def test_steps_with_many_launches_are_captured_in_shorter_rows(world, monkeypatch):
    f = recurrent("cupy")
    launches = []
    capture = captured.Captured._capture

    def note(self, full, odd):
        found = capture(self, full, odd)
        launches.append((len(full), max(count for _, count in found.values())))
        return found

    monkeypatch.setattr(captured.Captured, "_capture", note)
    monkeypatch.setattr(captured, "NODES", 400)
    f.loop({"x": X, "t": T}, 4)
    [(of_one, steps)] = launches
    assert of_one > 40 and steps == 400 // of_one < 10


@pytest.mark.parametrize("taken", [True, False])
def test_only_the_branch_taken_is_checked(cupy, taken):
    """The other one would take what is not there; choices within choices keep their gates apart."""
    x, i = gn.Input("x", (3,)), gn.Input("i", (1,), dtype="int64")

    def inner():
        return gn.Cond(gn.Sum(x) > 5, lambda: gn.Gather(x, i + 1), lambda: gn.Gather(x, i + 2))

    y = gn.Cond(gn.Sum(x) > 0, inner, lambda: gn.Gather(x, i - 1))
    f = gn.compile(y, backend="cupy")
    for _ in range(2):
        assert f(x=[1, 2, 7] if taken else [-1, -2, -7], i=[1])[0] == (7 if taken else -1)
        assert f(x=[1, 2, 0], i=[0])[0] == 0
    with pytest.raises(gn.LabelError, match="row 0 of Add is 3, but an axis of 3"):
        f(x=[1, 2, 7], i=[2])
    with pytest.raises(gn.LabelError, match="row 0 of Sub is -1, but an axis of 3"):
        f(x=[-1, 2, -7], i=[0])
    assert f(x=[1, 2, 7], i=[0])[0] == 2


def test_what_is_not_finite_inside_a_loop_is_named(cupy):
    x = gn.Input("x", ("N",))
    _, y = gn.Scan(lambda c, v: (c + v, gn.Log(v)), 0.0, x)
    f = gn.compile(y, backend="cupy", check_finite="all")
    assert f(x=[1.0, 1.0]).tolist() == [0, 0]
    with pytest.raises(gn.NonFiniteError, match="Log"):
        f(x=[1.0, -1.0, 2.0])


def test_a_body_with_a_step_on_numpy_runs_there_as_a_whole_and_says_so(cupy):
    x = gn.Input("x", ("N", 2))
    _, y = gn.Scan(lambda c, v: (gn.Tanh(c + v), Shifted(c) * 2), np.zeros(2, "float32"), x)
    results = [gn.compile(y, backend=backend) for backend in BOTH]
    given = RNG.normal(size=(4, 2))
    np.testing.assert_allclose(*(f(x=given) for f in results), rtol=1e-6)
    said = results[1].explain().split("== cupy")[1]
    assert "1 steps run on NumPy" in said and "inside, Shifted" in said and "loops come from Python" in said
