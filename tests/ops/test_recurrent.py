"""Recurrent cells: steps in a row, and learning through them."""

import numpy as np
import pytest
from scipy.special import expit

import graphnn as gn

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _double():
    gn.default_dtype("float64")


def test_an_lstm_unrolled_over_a_sequence_is_its_equations_and_learns():
    """Four steps by hand: the cell's two states go on, and the gradient comes back through both."""
    x = gn.Input("x", ("N", 4, 3))
    W, R, b = (gn.Parameter(n, RNG.normal(size=s) * 0.5) for n, s in (("W", (3, 8)), ("R", (2, 8)), ("b", 8)))
    h = c = gn.Repeat(gn.Constant(np.zeros((1, 2))), "N")
    for t in range(4):
        h, c = gn.LSTMCell(x[:, t], h, c, W, R, b)
    given = RNG.normal(size=(5, 4, 3))
    state, cell = np.zeros((5, 2)), np.zeros((5, 2))
    for t in range(4):
        i, f, g, o = np.split(given[:, t] @ W.value + state @ R.value + b.value, 4, axis=1)
        cell = expit(f) * cell + expit(i) * np.tanh(g)
        state = expit(o) * np.tanh(cell)
    np.testing.assert_allclose(gn.compile(h)(x=given), state, rtol=1e-12)
    gn.testing.check_grad(gn.Sum(h * h) + gn.Sum(c), [x, W, R, b], {"x": given})


def test_one_of_several_results_may_be_left_unused():
    x, h, c = (gn.Input(n, ("N", 2)) for n in "xhc")
    W = gn.Parameter("W", RNG.normal(size=(2, 8)))
    new_h, _ = gn.LSTMCell(x, h, c, W, RNG.normal(size=(2, 8)))
    given = {n: RNG.normal(size=(3, 2)) for n in "xhc"}
    gn.testing.check_grad(gn.Sum(new_h), [W, x, h, c], given)
    gn.testing.agree(new_h, given)


def test_gates_of_a_cell_that_forgets_nothing_pass_the_state_on():
    """A GRU whose update gate is shut keeps its state; an LSTM that only forgets loses it."""
    h = gn.Input("h", ("N", 2))
    x = gn.Input("x", ("N", 1))
    shut = np.concatenate([np.zeros(2), np.full(2, 1e4), np.zeros(2)])
    kept = gn.GRUCell(x, h, np.zeros((1, 6)), np.zeros((2, 6)), shut)
    closed = np.concatenate([np.full(4, -1e4), np.zeros(4)])
    _, lost = gn.LSTMCell(x, h, h, np.zeros((1, 8)), np.zeros((2, 8)), closed)
    given = {"x": np.ones((3, 1)), "h": RNG.normal(size=(3, 2))}
    np.testing.assert_array_equal(gn.compile(kept)(**given), given["h"])
    np.testing.assert_array_equal(gn.compile(lost)(**given), np.zeros((3, 2)))


def test_misfits_are_named():
    x, h = gn.Input("x", ("N", 3)), gn.Input("h", ("N", 2))
    with pytest.raises(gn.ShapeError, match=r"W 'W' f64\[3, 2\] .* does not fit 'x' .* \[3, 6\], 3 of"):
        gn.GRUCell(x, h, gn.Parameter("W", np.zeros((3, 2))), np.zeros((2, 6)))
    with pytest.raises(gn.ShapeError, match=r"the states 'h' f64\[N, 2\] .* and 'x' f64\[N, 3\]"):
        gn.LSTMCell(x, h, x, np.zeros((3, 8)), np.zeros((2, 8)))
