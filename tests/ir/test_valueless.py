"""What a node refuses, having no value yet: each refusal names the node, its line, and what to write instead."""

import copy
import math
import pickle

import numpy as np
import pytest

import graphnn as gn


def read(act):
    x = gn.Input("x", ("N", 2))
    with pytest.raises(gn.GraphError) as refused:
        act(x)
    message = str(refused.value)
    assert message.startswith("'x' f32[N, 2] (test_valueless.py:")
    return message


@pytest.mark.parametrize(
    ("act", "who"),
    [
        (np.exp, "np.exp"),
        (np.sum, "np.sum"),
        (np.mean, "np.mean"),
        (np.add.reduce, "np.add"),
        (lambda x: np.maximum(x, 0), "np.maximum"),
        (lambda x: np.concatenate([x, x]), "np.concatenate"),
        (lambda x: np.dot(x, np.eye(2)), "np.dot"),
        (np.asarray, "functions of NumPy"),
        (lambda x: np.array([x, x]), "functions of NumPy"),
    ],
)
def test_functions_of_numpy_cannot_read_it(act, who):
    assert f"so {who} cannot read it. Use ops, such as gn.Exp(x)" in read(act)


@pytest.mark.parametrize(
    "act",
    [
        lambda x: x == 1,
        lambda x: x != 1.0,
        lambda x: np.ones((1, 2)) == x,
        lambda x: np.float64(1) != x,
        lambda x: x in [1, 2],
    ],
)
def test_it_is_not_compared_with_numbers(act):
    assert "Use gn.Equal or gn.NotEqual" in read(act)


def test_nodes_are_equal_when_they_are_the_same():
    x, y = gn.Input("x", ("N",)), gn.Input("x", ("N",))
    assert x == x and x != y and x in [y, x] and {x: 1}[x] == 1 and (x == None) is False  # noqa: E711


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda x: x(x=np.ones((3, 2))), r"f = gn.compile\(node\)"),
        (lambda x: x.__setitem__(0, 1.0), "never changes: .*gn.Where"),
        (float, "run it by gn.compile"),
        (math.exp, "run it by gn.compile"),
        (copy.copy, "neither copied nor pickled: .* gn.save and gn.load"),
        (copy.deepcopy, "neither copied nor pickled"),
        (pickle.dumps, "neither copied nor pickled"),
    ],
)
def test_it_is_no_function_and_no_container(act, says):
    with pytest.raises(gn.GraphError, match=says):
        act(gn.Input("x", ("N", 2)))


@pytest.mark.parametrize("array", [np.ones((1, 2)), np.ones(2, int), np.float64(2), np.int64(2), np.array(3.0)])
def test_arrays_leave_operators_to_the_node(array):
    x = gn.Input("x", ("N", 2))
    assert (array * x).op == "Mul" and (array * x).spec == (x * array).spec
    assert (array - x).op == "Sub" and (array - x).x.op in ("Constant", "Reshape", "Repeat", "Cast")
    assert (array < x).op == "Less" and np.subtract(x, array).op == "Sub"


def test_an_operand_that_is_none_is_named():
    with pytest.raises(gn.GraphError, match="Add: operand 'y' is None: a node or a number is needed"):
        gn.Input("x", ()) + None
