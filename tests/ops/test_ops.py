"""Every op against what it declares: samples accepted and refused, values, first and second derivatives."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import graphnn as gn
from graphnn.ir.node import Node
from graphnn.testing import build, check_sample, feeds_for

LEAVES = {"Input", "Parameter", "Constant", "Count", "Item"}
BASES = {"Elementwise", "Composite", "Reduction", "Map"}
OPS = {name: op for name, op in Node.ops.items() if op.__module__.startswith("graphnn.") and name not in LEAVES | BASES}
CASES = [pytest.param(op, one, id=f"{name}-{i}") for name, op in OPS.items() for i, one in enumerate(op.samples)]
ACCEPTED = [case for case in CASES if case.values[1].error is None]
NAMES = ("N", "M", "K", "B")


def test_every_op_declares_samples_and_has_a_docstring_with_an_example():
    for name, op in OPS.items():
        assert op.samples, f"{name} declares no samples"
        assert op.__doc__ and ">>>" in op.__doc__, f"{name} shows no example"
        assert getattr(gn, name) is op, f"{name} is not public"


@pytest.mark.parametrize(("op", "one"), CASES)
def test_samples_as_declared(op, one):
    for sizes in ({"N": 3, "M": 2, "K": 4, "B": 2}, {"N": 1, "M": 1, "K": 1, "B": 1}, {"N": 0, "M": 2, "K": 0, "B": 1}):
        check_sample(op, one, {name: max(n, one.least.get(name, 0)) for name, n in sizes.items()})


@pytest.mark.slow
@pytest.mark.parametrize(("op", "one"), ACCEPTED)
@given(data=st.data())
def test_samples_of_any_size(op, one, data):
    sizes = {name: data.draw(st.integers(one.least.get(name, 0), 4), name) for name in NAMES}
    check_sample(op, one, sizes, seed=data.draw(st.integers(0, 2**16)))


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "negative": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1] if a.ndim else a,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "op", [gn.Add, gn.Sigmoid, gn.Sum, gn.MatMul, gn.Softmax, gn.Transpose], ids=lambda op: op.__name__
)
def test_a_feed_may_lie_in_memory_as_it_likes_and_is_never_written(op, layout):
    one = next(s for s in op.samples if s.error is None and any(s.shapes))
    sizes = {"N": 3, "M": 2, "K": 4, "B": 2}
    with gn.default_dtype("float64"):
        _, node = build(op, one)
    f = gn.compile(node)
    plain = feeds_for(one, sizes, seed=0)
    laid = {name: LAYOUTS[layout](array) for name, array in plain.items()}
    for array in laid.values():
        array.flags.writeable = False
    np.testing.assert_array_equal(f(**laid), f(**plain))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "op", [gn.Add, gn.Exp, gn.Sigmoid, gn.Tanh, gn.Sum, gn.MatMul, gn.Softmax], ids=lambda op: op.__name__
)
def test_float_dtypes_stay_and_come_close_to_float64(op, dtype):
    one = next(s for s in op.samples if s.error is None and any(s.shapes))
    sizes = {"N": 3, "M": 2, "K": 4, "B": 2}
    feeds = feeds_for(one, sizes, seed=0)
    results = {}
    for kind in (dtype, "float64"):
        inputs = [gn.Input(name, shape, dtype=kind) for name, shape in zip(feeds, one.shapes, strict=True)]
        results[kind] = gn.compile(op(*inputs, **one.attributes))(**feeds)
    assert results[dtype].dtype == dtype
    tolerance = {"float16": 1e-2, "float32": 1e-5, "float64": 0}[dtype]
    np.testing.assert_allclose(results[dtype], results["float64"], rtol=tolerance, atol=tolerance)


LINEAR = [
    (lambda x: gn.Repeat(x, 4, 0), (1, 3)),
    (lambda x: gn.Sum(x, axis=0), (4, 3)),
    (lambda x: gn.Sum(x, axis=(0, 1), keepdims=True), (4, 3)),
    (lambda x: gn.Reshape(x, (2, 6)), (4, 3)),
    (lambda x: gn.Transpose(x), (4, 3)),
    (lambda x: gn.AddN(tuple(gn.Branch(x, 3))), (4, 3)),
    (lambda x: gn.MatMul(x, np.arange(6.0).reshape(3, 2)), (4, 3)),
    (lambda x: gn.Pick(x, np.array([0, 2, 1, 1])), (4, 3)),
]


@pytest.mark.parametrize("linear", LINEAR, ids=range(len(LINEAR)))
def test_the_gradient_of_a_linear_op_is_its_adjoint(linear):
    apply, shape = linear
    rng = np.random.default_rng(0)
    gn.default_dtype("float64")
    x = gn.Input("x", shape)
    image = apply(x)
    y = gn.Input("y", image.shape)
    adjoint = gn.grad(gn.Sum(image * y), x)
    f = gn.compile({"image": image, "adjoint": adjoint})
    given = {"x": rng.normal(size=shape), "y": rng.normal(size=image.shape)}
    results = f(**given)
    np.testing.assert_allclose(np.sum(results["image"] * given["y"]), np.sum(given["x"] * results["adjoint"]))
