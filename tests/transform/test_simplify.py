"""Simplify: what does nothing goes, bit for bit."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.transform.simplify import simplify

SAME = {
    "times one": lambda x: x * 1,
    "one times": lambda x: 1 * x,
    "over one": lambda x: x / 1,
    "to the first": lambda x: x**1,
    "minus zero": lambda x: x - 0,
    "plus negative zero": lambda x: x + -0.0,
    "negative of a negative": lambda x: gn.Neg(gn.Neg(x)),
    "times minus one, twice": lambda x: x * -1 * -1,
    "double transpose": lambda x: x.T.T,
    "three transposes in a ring": lambda x: gn.Transpose(x, (1, 0)).transpose((1, 0)),
    "stop_gradient": gn.stop_gradient,
    "reshape to its own shape": lambda x: gn.Reshape(x, ("N", 3)),
    "there and back": lambda x: x.reshape((3, "N")).reshape(("N", 3)),
    "a sum of one": lambda x: gn.AddN((x,)),
    "a sum over no axis": lambda x: gn.Sum(x, ()),
    "repeated once": lambda x: gn.Repeat(x.reshape((1, "N", 3)), 1).reshape(("N", 3)),
    "the larger of itself": lambda x: gn.Maximum(x, x),
    "where true": lambda x: gn.Where(True, x, x * 2),
    "where either way": lambda x: gn.Where(x > 0, x, x),
    "cast to what it is": lambda x: gn.Cast(x, "float32"),
    "cast wider and back": lambda x: x.astype("float64").astype("float32"),
    "a branch": lambda x: next(iter(gn.Branch(x, 2))),
}


@pytest.mark.parametrize("name", SAME)
def test_what_does_nothing_is_gone(after, name):
    x = gn.Input("x", ("N", 3))
    assert after(simplify, SAME[name](x)).outputs["out0"] is x


def test_signs_move_into_sums_and_products(written):
    x, y = gn.Input("x", ("N",)), gn.Input("y", ("N",))
    assert written(simplify, x + (-y)) == "Sub(x, y)"
    assert written(simplify, (-y) + x) == "Sub(x, y)"
    assert written(simplify, x - (-y)) == "Add(x, y)"
    assert written(simplify, (-x) * (-y)) == "Mul(x, y)"
    assert written(simplify, x * -1) == "Neg(x)"
    assert written(simplify, -(x / 2)) == ["%0 = Neg(2.0)", "%1 = Div(x, %0)"]
    assert written(simplify, -(3 * x)) == ["%0 = Neg(3.0)", "%1 = Mul(%0, x)"]


def test_shapes_come_together(written):
    x = gn.Input("x", (2, 3, 4))
    assert written(simplify, x.reshape((6, 4)).reshape((24,))) == "Reshape(x, to=(24,))"
    assert written(simplify, x.transpose((1, 2, 0)).transpose((1, 2, 0))) == "Transpose(x, axes=(2, 0, 1))"
    assert written(simplify, x.astype("float64").astype("float16")) == "Cast(x, to=f16)"


def test_repeated_scalars_become_scalars_again(written):
    x = gn.Input("x", ("N", 3))
    scalar = gn.Repeat(gn.Repeat(gn.Reshape(gn.Constant(2.0), (1, 1)), "N", 0), 3, 1)
    assert written(simplify, x * scalar) == "Mul(x, 2.0)"


KEPT = {
    "the sign of zero": lambda x: x + 0.0,
    "what infinity becomes": lambda x: x * 0,
    "a change of dtype": lambda x: x.astype("float64"),
    "a narrowing between": lambda x: x.astype("float16").astype("float32"),
    "a change of shape": lambda x: x.T,
    "what a float out of range becomes": lambda x: x.astype("float64").astype("int32"),
    "the negative of a difference": lambda x: -(x - x * 2),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_changes_bits_stays(name):
    graph = gn.Graph(KEPT[name](gn.Input("x", ("N", 3))))
    assert simplify.run(graph)[0] is graph


def test_an_integer_may_add_zero_away(after):
    i = gn.Input("i", ("N",), dtype="int64")
    assert after(simplify, i + 0).outputs["out0"] is i
    wide = i.astype("float64").astype("int64")  # 2**53 + 1 is no float64
    assert [n.op for n in after(simplify, wide).nodes] == ["Input", "Cast", "Cast"]


def test_nothing_to_do_is_the_same_graph():
    graph = gn.Graph(gn.Exp(gn.Input("x", (3,))))
    assert simplify.run(graph)[0] is graph


def test_extreme_numbers_keep_their_bits():
    x = gn.Input("x", ("N",), dtype="float64")
    outputs = [x * 1, x / 1, x - 0, x + -0.0, gn.Neg(-x), x * -1, x + (-(x * 3)), gn.Maximum(x, x), x**1]
    feed = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -1.7e308, 1.0])
    for plain, passed in zip(
        gn.compile(outputs, passes="none")(x=feed), gn.compile(outputs, passes=[simplify])(x=feed), strict=True
    ):
        np.testing.assert_array_equal(plain, passed)
        finite = ~np.isnan(plain)
        np.testing.assert_array_equal(np.signbit(plain)[finite], np.signbit(passed)[finite])
