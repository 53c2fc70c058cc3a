"""Nodes: what a declaration checks, inserts and remembers."""

import numpy as np
import pytest

import graphnn as gn


def test_a_node_knows_the_line_that_declared_it():
    x = gn.Input("x", ("N", 2))
    y = x + 1  # this line
    assert y.origin.file == __file__
    with open(__file__) as source:
        assert "# this line" in source.read().splitlines()[y.origin.line - 1]


def test_broadcasting_is_visible():
    x, b = gn.Input("x", ("N", 3)), gn.Parameter("b", np.zeros(3))
    y = x + b
    assert [node.op for node in gn.Graph(y).nodes] == ["Input", "Parameter", "Reshape", "Repeat", "Add"]


def test_a_scalar_constant_needs_no_repeat():
    x = gn.Input("x", ("N", 3))
    assert [node.op for node in gn.Graph(1 - x).nodes] == ["Input", "Constant", "Sub"]


def test_promotion_is_visible_and_python_numbers_never_promote():
    x32, x64 = gn.Input("x", (2,), dtype="float32"), gn.Input("y", (2,), dtype="float64")
    assert (x32 + x64).x.op == "Cast" and (x32 + x64).dtype == np.float64
    assert (x32 * 2.5).dtype == np.float32
    assert (gn.Input("i", (2,), dtype="int32") * 2).dtype == np.int32
    assert (gn.Input("i", (2,), dtype="int64") / 2).dtype == np.float64
    assert (x32 + np.array([1.0, 2.0])).dtype == np.float32


def test_nodes_refuse_to_be_truths_or_sequences():
    x = gn.Input("x", ("N",))
    with pytest.raises(gn.GraphError, match=r"Greater bool\[N\] \(test_node.py:\d+\) has no value .*gn.Where"):
        bool(x > 0 and x)
    with pytest.raises(gn.GraphError, match="cannot be unpacked"):
        list(x)
    with pytest.raises(gn.GraphError, match="unpack them"):
        _ = gn.Branch(x, 2).shape


def test_sizes_and_axes_may_stand_one_by_one():
    x = gn.Input("x", ("N", 2, 3))
    assert (
        x.reshape(-1, 6).spec == x.reshape((-1, 6)).spec == x.reshape(to=(-1, 6)).spec == gn.Input("y", ("N", 6)).spec
    )
    assert x.transpose(1, 2, 0).spec == x.transpose((1, 2, 0)).spec == x.transpose(axes=(1, 2, 0)).spec
    assert x.reshape(-1).ndim == 1 and x.transpose().shape == x.T.shape


def test_scopes_name_parameters_and_nest():
    with gn.scope("net"), gn.scope("layer1"):
        W = gn.Parameter("W", np.zeros((2, 2)))
        h = gn.Input("x", ("N", 2)) @ W
    assert W.name == "net.layer1.W" and h.scope == ("net", "layer1")


def test_parameters_own_their_value():
    given = np.array([1.0, 2.0])
    p = gn.Parameter("p", given)
    given[:] = 0
    p.value[:] = 0  # a copy
    np.testing.assert_array_equal(p.value, [1, 2])
    with pytest.raises(
        gn.ShapeError, match=r"'p' is f32\[2\] \(test_node.py:\d+\) and cannot take a value of shape \(3,\)"
    ):
        p.value = [1, 2, 3]
    with pytest.raises(gn.DTypeError, match="cannot take a value of dtype <U1"):
        p.value = ["a", "b"]
    np.testing.assert_array_equal(p.value, [1, 2])
    with pytest.raises(gn.GraphError, match="only the value"):
        p.name = "q"
    with pytest.raises(gn.ShapeError, match="Parameter 'ragged': the value is not an array"):
        gn.Parameter("ragged", [[1.0, 2.0], [3.0]])


def test_integers_never_wrap_into_a_parameter():
    small, positive = gn.Parameter("small", np.int8(3)), gn.Parameter("positive", np.uint8(3))
    small.value, positive.value = -128, 200
    assert (small.value, positive.value) == (-128, 200)
    with pytest.raises(gn.DTypeError, match=r"'small' is i8\[\] .* from -128 to 127, and cannot take 300 to 300"):
        small.value = 300
    with pytest.raises(gn.DTypeError, match=r"'positive' is u8.* from 0 to 255, and cannot take -1"):
        positive.value = -1
    with pytest.raises(gn.DTypeError, match="cannot take a value of dtype float64"):
        positive.value = 2.5
    assert (small.value, positive.value) == (-128, 200)


def test_a_parameter_of_integers_cannot_learn():
    W = gn.Parameter("W", [[1, 2], [3, 4]])
    with pytest.raises(gn.DTypeError, match=r"'W' i64.* no gradient. Declare it with a float dtype, or with trainable"):
        gn.SGD().updates(gn.Sum(gn.Input("x", ("N", 2)) @ W))


def test_a_scope_has_a_name():
    with pytest.raises(gn.GraphError, match=r"as in gn.scope\('layer1'\); got 3"):
        gn.scope(3)


def test_integer_parameters_stay_integers():
    assert gn.Parameter("n", 3).dtype == np.int64
    assert gn.Parameter("on", True).dtype == np.bool_
    with pytest.raises(gn.DTypeError):
        gn.Parameter("n", 3).value = 1.5


def test_default_dtype_sets_and_restores():
    assert gn.default_dtype() == "float32"
    with gn.default_dtype("float64"):
        assert gn.Constant(1.0).dtype == np.float64
    assert gn.default_dtype() == "float32"
    gn.default_dtype("float16")
    assert gn.Input("x", ()).dtype == np.float16
    with pytest.raises(gn.DTypeError, match="int32 is not a float dtype"):
        gn.default_dtype("int32")


@pytest.mark.parametrize(
    ("declare", "error", "says"),
    [
        (
            lambda: gn.MatMul(gn.Input("x", ("N", 2)), gn.Parameter("W1", np.zeros((3, 10)))),
            gn.ShapeError,
            r"MatMul: inner sizes differ: 'x' f32\[N, 2\] \(test_node.py:\d+\) @ 'W1' f32\[3, 10\] "
            r"\(test_node.py:\d+\). 'W1' should have 2 rows.",
        ),
        (
            lambda: gn.Input("x", ("N", 2)) + gn.Input("y", ("M", 2)),
            gn.ShapeError,
            r"Add: sizes differ at axis 0: 'x' f32\[N, 2\] .* has N, 'y' f32\[M, 2\] .* has M. "
            r"If 'N' and 'M' are the same size, declare both with one name.",
        ),
        (lambda: gn.Input("x", ("N",)) + gn.Input("y", (3,)), gn.ShapeError, "'N' is a named size and 3 a fixed one"),
        (lambda: -gn.Input("m", ("N",), dtype="bool"), gn.DTypeError, r"Neg: 'm' bool\[N\]"),
        (lambda: gn.Add(gn.Input("x", ()), "one"), gn.DTypeError, "Add: operand 'y'"),
        (lambda: gn.Input("x", (2, -1)), gn.ShapeError, "negative"),
        (lambda: gn.Input("two words", ()), gn.GraphError, "cannot be passed by name"),
        (lambda: gn.Input(3, ()), gn.GraphError, "the name comes first"),
        (lambda: gn.Constant(1j), gn.DTypeError, "complex"),
        (lambda: gn.Sum(gn.Input("x", ("N",)), axis=1), gn.ShapeError, r"there is no axis 1 in 'x' f32\[N\]"),
        (
            lambda: gn.Affine(gn.Input("x", ("N", 2)), np.ones((2, 3)), np.ones(2)),
            gn.ShapeError,
            "one value a column, 3",
        ),
        (lambda: gn.Input("x", ("N", 4)).reshape(("N", 3)), gn.ShapeError, "the same number of elements"),
        (lambda: gn.Size("N") * gn.Size("M"), gn.ShapeError, "products are not supported"),
        (lambda: gn.Size("N") + gn.Size("M"), gn.ShapeError, "use one name"),
    ],
)
def test_errors_name_both_culprits_and_the_mend(declare, error, says):
    with pytest.raises(error, match=says):
        declare()


def test_an_op_of_the_users_own_may_not_shadow_what_nodes_have():
    with pytest.raises(gn.GraphError, match="may not be called 'shape'"):

        class Wrong(gn.Node):
            x: gn.Node
            shape: int


def test_item_projects_one_result():
    a, b = gn.Branch(gn.Input("x", ("N",)), 2)
    assert a.op == "Item" and a.spec == b.spec
