"""Nodes alike are checked once, and only nodes that are alike in all that their checks look at."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.checks import check_key

x = gn.Input("x", ("N", 3))
y = gn.Input("y", ("N", 3))


def counted(op):
    """A subclass that counts how often it is checked, and says that its checks look at specs alone."""
    seen = []

    def prepare(self):
        seen.append(self)
        op.prepare(self)

    return type("Counted" + op.__name__, (op,), {"prepare": prepare, "by_specs": True}), seen


def test_the_second_of_two_alike_is_not_checked():
    Counted, seen = counted(gn.Transpose)
    first, second, other = Counted(x), Counted(y), Counted(x, (0, 1))
    assert len(seen) == 2 and second.axes == first.axes == (1, 0) and second.spec == first.spec
    assert other.axes == (0, 1) and other.spec == x.spec


def test_a_subclass_that_checks_in_its_own_way_is_checked_each_time():
    class Picky(gn.Transpose):
        def prepare(self):
            super().prepare()

    assert gn.Transpose.by_specs and not Picky.by_specs


def test_attributes_that_are_equal_but_not_the_same_are_told_apart():
    assert check_key(gn.Sum(x, 1, True)) != check_key(gn.Sum(x, 1, False))
    assert gn.Sum(x, 1, True).shape != gn.Sum(x, 1, False).shape
    with pytest.raises(gn.ShapeError, match="is not a number"):
        gn.Sum(x, True)  # after Sum(x, 1) was found in order
    one = gn.Input("one", (1, 3))
    assert gn.Repeat(one, 2).shape == (2, 3) and gn.Repeat(one, "N").shape[0] != 2


def test_a_missing_operand_is_told_from_another_missing_one():
    low, high = gn.Clip(x, 0.0, None), gn.Clip(x, None, 0.0)
    assert low.spec == high.spec and check_key(low) != check_key(high)
    f = gn.compile([gn.Sum(low), gn.Sum(high)])
    assert [float(v) for v in f(x=[[-1.0, 2.0, 3.0]])] == [5.0, -1.0]


def test_operands_that_need_a_cast_or_a_repeat_are_brought_together_each_time():
    b = gn.Parameter("b", np.zeros(3))
    for _ in range(2):
        assert (x + b).operands[1].op == "Repeat"
        assert (x + gn.Input("n", ("N", 3), dtype="int64")).operands[1].op == "Cast"


def test_a_wrong_declaration_fails_again():
    for _ in range(2):
        with pytest.raises(gn.ShapeError, match="sizes differ"):
            x + gn.Input("z", ("N", 4))


def test_one_formula_over_the_same_names_in_another_order_is_another_agreement():
    class First(gn.Elementwise):
        c: gn.Node
        x: gn.Node
        y: gn.Node
        formula = "where(c, x, y)"

    class Second(gn.Elementwise):
        x: gn.Node
        c: gn.Node
        y: gn.Node
        formula = "where(c, x, y)"

    a, b = gn.Input("a", ("N",), dtype="bool"), gn.Input("b", ("N",), dtype="bool")
    y = gn.Input("y", ("N",), dtype="float64")
    assert [node.dtype.name for node in First(a, b, y).operands] == ["bool", "float64", "float64"]
    assert [node.dtype.name for node in Second(a, b, y).operands] == ["float64", "bool", "float64"]


def test_nodes_whose_operands_were_brought_together_share_what_is_known_of_them():
    row = gn.Input("row", (3,))
    first, second, other = gn.Mul(x, row), gn.Mul(y, row), gn.Add(x, row)
    assert first.shared is second.shared and first.shared is not other.shared
