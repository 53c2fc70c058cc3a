"""Contractions in kernels: every form of Einsum and Gemm, of any layout and dtype, as NumPy has them."""

import numpy as np
import pytest
from same_bits import same_bits, turned, without_numpy

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)
SIZES = {"b": 3, "h": 2, "t": 5, "s": 6, "d": 4}
EQUATIONS = (
    "td,sd->ts", "td,sd->st", "bthd,bshd->bhts", "bhts,bshd->bthd",  # attention
    "bt,bs->bts", "bt,bs->tsb", "b,b->b", "t,t->", "bts,bts->b", "td,td->dt",  # products that are no matrix product
    "bbt->bt", "tt->", "bts->", "bts->sb", "ttb->b",  # of one operand
    "bt,bs,b->ts", "bt,ts,sd->bd", "bt,ts,sd,dh->bh",  # of many
    "bts,sd,th->bdh",
)  # fmt: skip


def operands(equation, dtype):
    """Inputs, some sizes of which are named, and values."""
    terms = equation.split("->")[0].split(",")
    named = [tuple(a if a in "bt" else SIZES[a] for a in term) for term in terms]
    inputs = [gn.Input(f"x{i}", shape, dtype=dtype) for i, shape in enumerate(named)]
    values = {f"x{i}": RNG.normal(size=[SIZES[a] for a in term]).astype(dtype) for i, term in enumerate(terms)}
    return inputs, values


@pytest.mark.parametrize("equation", EQUATIONS)
def test_values_and_gradients(equation):
    inputs, feeds = operands(equation, "float64")
    y = gn.Einsum(equation, *inputs)
    outputs = [y, *gn.grad(gn.Sum(gn.Exp(y * 0.1)), inputs)]
    expected, found = gn.compile(outputs)(**feeds), without_numpy(outputs)(**feeds)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int16", "bool"])
@pytest.mark.parametrize("equation", EQUATIONS)
def test_other_dtypes_and_layouts(equation, dtype):
    inputs, feeds = operands(equation, dtype)
    outputs = [gn.Einsum(equation, *inputs), gn.Einsum(equation, *(gn.Flip(x) for x in inputs))]
    expected, found = gn.compile(outputs)(**feeds), without_numpy(outputs)(**feeds)
    rtol = {"float16": 1e-2, "float32": 1e-5}.get(dtype, 0)
    for a, b in zip(expected, found, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol)


def test_zeros_have_the_sign_that_numpy_gives_them():
    x = gn.Input("x", ("N", "N"))
    same_bits([gn.Einsum("ii->i", x), gn.Einsum("ij->j", x)], x=np.full((3, 3), -0.0))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("sizes", [(3, 4, 5), (40, 50, 60)], ids=["loops", "BLAS"])
def test_gemm(sizes, dtype):
    n, k, m = sizes
    alpha, beta = (gn.Input(name, (), dtype=dtype) for name in ("alpha", "beta"))
    C = gn.Input("C", ("M",), dtype=dtype)
    left = [gn.Input("A0", ("N", "K"), dtype=dtype), gn.Input("A1", ("K", "N"), dtype=dtype)]
    right = [gn.Input("B0", ("K", "M"), dtype=dtype), gn.Input("B1", ("M", "K"), dtype=dtype)]
    outputs = []
    for a, b in ((False, False), (True, False), (False, True), (True, True)):
        outputs += [gn.Gemm(left[a], right[b], None, alpha, 1, a, b), gn.Gemm(left[a], right[b], C, alpha, beta, a, b)]
    shapes = {"A0": (n, k), "A1": (k, n), "B0": (k, m), "B1": (m, k), "C": (m,), "alpha": (), "beta": ()}
    feeds = {name: np.asarray(RNG.normal(size=shape) * 3).astype(dtype) for name, shape in shapes.items()}
    numpy, native = gn.compile(outputs, passes="none"), without_numpy(outputs, passes="none")
    for a, b in zip(numpy(**feeds), native(**feeds), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4 if dtype == "float32" else 1e-11, atol=1e-4)


def test_large_products_of_what_blas_cannot_read():
    x, w = gn.Input("x", ("N", 80), dtype="float64"), gn.Input("w", (40, 60), dtype="float64")
    outputs = [x[:, ::2] @ w[:, ::2], x[::-1, ::-2] @ w, gn.Transpose(x[:, ::2] @ w)]
    feeds = {"x": RNG.normal(size=(50, 80)), "w": RNG.normal(size=(40, 60))}
    for a, b in zip(gn.compile(outputs)(**feeds), without_numpy(outputs)(**feeds), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)


def test_products_and_folds_of_bools():
    x, y = gn.Input("x", ("N", 7), dtype="bool"), gn.Input("y", (7, "M"), dtype="bool")
    outputs = [x @ y, gn.Abs(x), gn.All(y), gn.Any(turned(x))]
    outputs += [fold(seen, axis) for fold in (gn.All, gn.Any, gn.Max, gn.Min) for seen in (y, y.T) for axis in (0, 1)]
    for n, m in ((5, 37), (1, 1), (2, 16)):
        for least in (0, -1, -20):
            same_bits(outputs, x=RNG.integers(least, 2, (n, 7)) != 0, y=RNG.integers(least, 2, (7, m)) != 0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8"])
def test_logic_folded_over_numbers(dtype):
    x = gn.Input("x", ("N", "M"), dtype=dtype)
    outputs = [fold(x, axis) for fold in (gn.All, gn.Any) for axis in (None, 0, 1)]
    for shape in ((3, 37), (1, 1), (0, 5), (40, 3)):
        for high in (1, 2, 40):
            same_bits(outputs, x=RNG.integers(0, high, shape).astype(dtype))


def test_attention_learns_in_a_loop_without_numpy():
    x, t = gn.Input("x", ("N", 5, 8)), gn.Input("t", ("N",), dtype="int64")
    weights = [RNG.normal(size=(8, 2, 4)) / 3 for _ in range(3)]
    data = {"x": RNG.normal(size=(30, 5, 8)), "t": RNG.integers(0, 4, 30)}
    losses = {}
    for backend in ("numpy", "native"):
        q, k, v = (gn.Einsum("ntc,chd->nthd", x, gn.Parameter(f"W{i}", W)) for i, W in enumerate(weights))
        seen = gn.Softmax(gn.Einsum("nthd,nshd->nhts", q, k) * 0.5)
        mixed = gn.Reshape(gn.Einsum("nhts,nshd->nthd", seen, v), (-1, 40))
        loss = gn.SoftmaxCE(gn.Reshape(mixed, ("N", 4, 10)).sum(axis=2), t)
        f = gn.compile(loss, gn.SGD(lr=0.1).updates(loss), backend=backend)
        losses[backend] = f.loop(data, batch_size=8, epochs=3, shuffle=0)
    assert "every step has a kernel" in f.explain()
    np.testing.assert_allclose(losses["native"], losses["numpy"], rtol=1e-4)
