"""Composites: what follows from what an op is made of."""

import numpy as np

import graphnn as gn


def test_an_operand_that_stands_twice_is_differentiated_once_for_each_place():
    gn.default_dtype("float64")
    x = gn.Input("x", (3,))
    for node, slope in (
        (gn.Dot(x, x), [2.0, 4.0, 6.0]),
        (gn.Sum(gn.Stack((x, x)) ** 2), [4.0, 8.0, 12.0]),
    ):
        np.testing.assert_array_equal(gn.compile(gn.grad(node, x))(x=[1, 2, 3]), slope)


def test_a_composite_may_have_sizes_that_no_operand_tells():
    b = gn.Input("b", (1,))
    f = gn.compile(gn.Broadcast(b, ("N", 1)), passes="none")
    np.testing.assert_array_equal(f(b=[2.0], N=3), [[2], [2], [2]])
