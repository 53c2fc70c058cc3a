"""Elementwise ops: Python numbers among arrays, operators, refusals, and steps that allocate nothing."""

import textwrap
import tracemalloc

import numpy as np
import pytest

import graphnn as gn


def declared(dtype, name="x"):
    return gn.Input(name, ("N",), dtype=dtype)


@pytest.mark.parametrize(
    ("ask", "dtype", "gives"),
    [
        (lambda x: x * 2.5, "int32", "float64"),
        (lambda x: x + 1, "uint8", "uint8"),
        (lambda x: x + 1, "bool", "int64"),
        (lambda x: x + 1e3, "float16", "float16"),
        (lambda x: 2 * x, "float32", "float32"),
        (lambda x: x % 3, "int32", "int32"),
        (lambda x: 7 % x, "int8", "int8"),
        (lambda x: x.clip(-1, 2.5), "int32", "float64"),
        (lambda x: x.round(), "int32", "int32"),
        (lambda x: abs(x), "int8", "int8"),
        (lambda x: gn.Where(x > 1, x, 7), "uint8", "uint8"),
        (lambda x: x < -1, "uint8", "bool"),
        (lambda x: x > 2**63, "int8", "bool"),
        (lambda x: x & 3, "int32", "int32"),
    ],
)
def test_python_numbers_never_promote(ask, dtype, gives):
    at = np.array([1, 1, 0] if dtype == "bool" else [1, 2, 3], dtype)
    value = gn.compile(ask(declared(dtype)))(x=at)
    assert value.dtype == gives
    if not ask.__code__.co_names:  # operators alone, which NumPy's arrays have as well
        np.testing.assert_array_equal(value, ask(at))


def test_a_comparison_with_a_number_out_of_range_is_true_or_false():
    x = declared("uint8")
    f = gn.compile([x < -1, x > -1, gn.NotEqual(x, 300), x < 300])
    np.testing.assert_array_equal(f(x=[0, 255]), [[False] * 2, [True] * 2, [True] * 2, [True] * 2])


def test_operators_of_truth():
    x, y = declared("bool"), declared("bool", "y")
    f = gn.compile([x & y, x | y, x ^ y, ~x, True & x, gn.Where(~(x & y), 1.0, 0.0)])
    at = np.array([False, False, True, True]), np.array([False, True, False, True])
    found = f(x=at[0], y=at[1])
    for value, expected in zip(found, [at[0] & at[1], at[0] | at[1], at[0] ^ at[1], ~at[0], at[0]], strict=False):
        np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(found[-1], [1, 1, 1, 0])


def test_integers_become_floats_in_sight():
    x = declared("int64")
    root = gn.Sqrt(x)
    assert root.dtype == np.float64 and root.operands[0].op == "Cast"


def test_infinities_on_one_side():
    x = declared("float32")
    sides = [(True, True), (True, False), (False, True), (False, False)]
    f = gn.compile([gn.IsInf(x, detect_negative=low, detect_positive=high) for low, high in sides])
    found = np.array(f(x=[-np.inf, 0, np.inf, np.nan]))
    np.testing.assert_array_equal(found[:, [0, 2]], sides)
    assert not found[:, [1, 3]].any()


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (
            lambda: declared("uint8") + (-1),
            r"Add: operand 'y': -1 is no uint8, and a Python number never promotes .* x\.astype\('int64'\)",
        ),
        (lambda: gn.Where(declared("bool"), declared("uint8", "y"), -1), "Where: operand 'y': -1 is no uint8"),
        (lambda: declared("int32") ** -1, r"Power: 'x' i32\[N\] \(test_elementwise.py:\d+\) is of integers"),
        (lambda: gn.Where(declared("float32"), 1.0, 0.0), r"Where: the condition 'x' f32\[N\] .* is not of bools"),
        (lambda: declared("float32") & declared("float32", "y"), r"And: 'x' f32\[N\] .* and 'y' f32\[N\] .* x & y"),
        (lambda: gn.Sign(declared("bool")), r"Sign: 'x' bool\[N\]"),
        (lambda: declared("uint8") > 2**70, "Greater: operand 'y': int cannot be a value"),
    ],
)
def test_refusals(ask, says):
    with pytest.raises(gn.DTypeError, match=says):
        ask()


def test_gelu_has_two_forms():
    with pytest.raises(
        gn.GraphError, match=r"GELU: approximate 'sigmoid' of 'x' f32\[N\] .* neither 'none' nor 'tanh'"
    ):
        gn.GELU(declared("float32"), approximate="sigmoid")


OPS = [gn.Erf, gn.GELU, gn.Softplus, gn.Mish, gn.SiLU, gn.ELU, gn.HardSwish, gn.Clip, gn.Sqrt, gn.Arctan]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_a_step_allocates_nothing(op, dtype):
    x = gn.Input("x", ("N",), dtype=dtype)
    node = op(x, -1.0, 1.0) if op is gn.Clip else op(x)
    loss = gn.Sum(node)
    f = gn.compile([loss, gn.Sum(gn.grad(loss, x))])
    at = np.linspace(0.1, 0.9, 20_000).astype(dtype)
    f(x=at)
    f(x=at)
    tracemalloc.start()
    f(x=at)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000  # an array of one bool for each element would take 20,000


def test_scipy_is_loaded_by_the_first_error_function(run_python):
    code = """
        import sys, graphnn as gn
        f = gn.compile(gn.Erf(gn.Input("x", ())))
        before = "scipy.special" in sys.modules
        f(x=1.0)
        print(before, "scipy.special" in sys.modules)
    """
    assert run_python(textwrap.dedent(code)).split() == ["False", "True"]
