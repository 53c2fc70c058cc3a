"""Linear algebra: equations and products against NumPy, wherever operands lie, and one product where one will do."""

import numpy as np
import pytest

import graphnn as gn

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _double():
    gn.default_dtype("float64")


EQUATIONS = {
    "ij,jk->ik": [(3, 4), (4, 2)],
    "ij,jk->ki": [(3, 4), (4, 2)],
    "ji,kj->ik": [(4, 3), (2, 4)],
    "bij,bjk->bik": [(2, 3, 4), (2, 4, 5)],
    "bhqd,bhkd->bhqk": [(2, 3, 4, 5), (2, 3, 6, 5)],
    "bqhd,bkhd->bhqk": [(2, 4, 3, 5), (2, 6, 3, 5)],
    "abk,abm->km": [(2, 3, 4), (2, 3, 5)],
    "iab,jab->ij": [(2, 3, 4), (5, 3, 4)],
    "iab,jba->ij": [(2, 3, 4), (5, 4, 3)],
    "ij,kl->ijkl": [(2, 3), (4, 2)],
    "ij,ij->": [(3, 4), (3, 4)],
    "ij,ij->ij": [(3, 4), (3, 4)],
    "i,ij,j->": [(3,), (3, 4), (4,)],
    "ij,jk,kl->il": [(2, 3), (3, 4), (4, 2)],
    "ii->": [(3, 3)],
    "iij->ji": [(3, 3, 2)],
    "ij->": [(3, 4)],
    "ij,k->i": [(3, 4), (2,)],
    "ji": [(3, 4)],
    "ij,jk": [(3, 4), (4, 2)],
    "...ij,...jk->...ik": [(5, 1, 2, 3), (4, 3, 2)],
    "...,...": [(3, 1), (4,)],
    "i...,i...->...": [(3, 2, 4), (3, 2, 4)],
    "aB,Bc->ac": [(3, 4), (4, 2)],
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_is_that_of_numpy_and_so_are_its_slopes(equation):
    arrays = [RNG.normal(size=shape) for shape in EQUATIONS[equation]]
    inputs = [gn.Input(f"x{i}", a.shape) for i, a in enumerate(arrays)]
    feeds = {f"x{i}": a for i, a in enumerate(arrays)}
    y = gn.Einsum(equation, *inputs)
    np.testing.assert_allclose(gn.compile(y)(**feeds), np.einsum(equation, *arrays), rtol=1e-12, atol=1e-14)
    gn.testing.check_grad(gn.Sum(y * y), inputs, feeds)


def test_the_slope_of_an_einsum_is_an_einsum():
    x, y = gn.Input("x", ("N", "K")), gn.Input("y", ("K", "M"))
    [dx, _] = gn.grad(gn.Sum(gn.Einsum("nk,km->nm", x, y)), [x, y])
    assert isinstance(dx, gn.Einsum) and dx.equation == "nm,km->nk"


@pytest.mark.parametrize("equation", ["bqhd,bkhd->bhqk", "ij,jk->ki", "abk,abm->km"])
def test_a_product_that_views_can_make_is_made_by_blas_without_a_copy(equation):
    """Heads of attention lie between others: they are multiplied where they lie."""
    arrays = [RNG.normal(size=shape) for shape in EQUATIONS[equation]]
    inputs = [gn.Input(f"x{i}", a.shape) for i, a in enumerate(arrays)]
    node = gn.Einsum(equation, *inputs)
    out = np.empty(node.shape)
    [call] = node.bind(np, tuple(arrays), out, ())
    assert call.func in (np.dot, np.matmul)
    call()
    np.testing.assert_allclose(out, np.einsum(equation, *arrays), rtol=1e-12)


def test_einsum_refuses_what_is_no_equation():
    x, y = gn.Input("x", ("N", 2)), gn.Input("y", (3, 2))
    for equation, says in {
        "nk->nn": "has a letter twice",
        "nk;k->n": "holds more than letters",
        "nk,k->n": "is for 2 operands, but there are 1",
        "...->": "write '...' there too",
    }.items():
        with pytest.raises(gn.GraphError, match=says):
            gn.Einsum(equation, x)
    with pytest.raises(gn.ShapeError, match=r"the letter a is N in 'x' f64\[N, 2\] .* but 3 in 'y' f64\[3, 2\]"):
        gn.Einsum("ab,ab->ab", x, y)


def test_one_matrix_for_all_batches_is_one_product_forward_and_backward():
    """A layer applied to sequences: its weights are not repeated for every sample, nor is their gradient."""
    x, W = gn.Input("x", ("N", "T", 4)), gn.Parameter("W", RNG.normal(size=(4, 3)))
    y = gn.MatMul(x, W)
    f = gn.compile([y, gn.grad(gn.Sum(y * y), W)])
    assert not any(isinstance(step.node, (gn.Repeat, gn.Sum)) for step in f.plan.steps)
    given = RNG.normal(size=(2, 5, 4))
    value, slope = f(x=given)
    np.testing.assert_allclose(value, given @ W.value, rtol=1e-12)
    np.testing.assert_allclose(slope, np.einsum("ntk,ntm->km", given, 2 * value), rtol=1e-12)
    gn.testing.check_grad(gn.Sum(y * y), [x, W], {"x": given})


def test_gemm_takes_a_learning_rate_and_updates_in_place():
    """What a fused update is: W - lr * x.T @ g, with lr a parameter, in the memory of W."""
    x, g = gn.Input("x", ("N", 3)), gn.Input("g", ("N", 2))
    W, lr = gn.Parameter("W", RNG.normal(size=(3, 2))), gn.Parameter("lr", 0.1, trainable=False)
    loss = gn.Sum(x)
    before = W.value
    f = gn.compile(loss, {W: gn.Gemm(x, g, W, -lr, transA=True)})
    assert any(step.into is W for step in f.plan.steps if isinstance(step.node, gn.Gemm))
    given = {"x": RNG.normal(size=(4, 3)), "g": RNG.normal(size=(4, 2))}
    f(**given)
    np.testing.assert_allclose(W.value, before - 0.1 * given["x"].T @ given["g"], rtol=1e-12)


def test_misfits_are_named():
    x, y = gn.Input("x", ("N", 2)), gn.Input("y", (3, 2))
    with pytest.raises(gn.ShapeError, match=r"'x' f64\[N, 2\] .* @ 'y' f64\[3, 2\] .*: 2 columns meet 3 rows"):
        gn.Gemm(x, y)
    with pytest.raises(gn.ShapeError, match=r"Constant f64\[2\] .* does not broadcast to the product's \[N, 3\]"):
        gn.Gemm(x, y, [1.0, 2.0], transB=True)
    with pytest.raises(gn.ShapeError, match=r"Outer: 'x' .* both must be vectors"):
        gn.Outer(x, [1.0])


@pytest.mark.parametrize("shapes", [((1, 1), (1, 3)), ((3, 1), (1, 1)), ((2, 1), (1, 3))])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_infinity_times_zero_is_nan_where_the_inner_size_is_one(shapes, backend):
    left, right = shapes
    x, W = gn.Input("x", left, dtype="float64"), gn.Input("W", right, dtype="float64")
    f = gn.compile(x @ W, backend=backend)
    for a, b in ((0.0, np.inf), (np.inf, 0.0)):
        assert np.isnan(f(x=np.full(left, a), W=np.full(right, b))).all()
