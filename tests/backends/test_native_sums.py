"""Native joined values and sums of products: in kernels, and as on NumPy."""

import numpy as np
import pytest

import graphnn as gn

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

WHOLE = "every step has a kernel"


def both(node, **given):
    """The value on NumPy, once the native one is found to agree and to come from kernels alone."""
    native, numpy = (gn.compile(node, backend=backend) for backend in ("native", "numpy"))
    expected = numpy(**given)
    np.testing.assert_allclose(native(**given), expected, rtol=1e-5, atol=1e-6)
    assert WHOLE in native.explain()
    return expected


def test_values_of_named_and_fixed_sizes_are_joined():
    x, y = gn.Input("x", ("N", 3)), gn.Input("y", ("N", "M"))
    rng = np.random.default_rng(0)
    given = {"x": rng.normal(size=(2, 3)), "y": rng.normal(size=(2, 5))}
    both(gn.Concat((x, gn.Exp(x), x), axis=1), x=given["x"])
    both(gn.Concat((y, y), axis=0), y=given["y"])


EQUATIONS = {
    "nk,km->nm": ((4, 3), (3, 5)),
    "nk,km->mn": ((4, 3), (3, 5)),
    "abk,abm->km": ((2, 3, 4), (2, 3, 5)),
    "abk,bam->km": ((2, 3, 4), (3, 2, 5)),
    "bnk,bmk->bmn": ((2, 3, 4), (2, 5, 4)),
    "ni,nj->nij": ((3, 2), (3, 4)),
    "ni,nj,n->jni": ((3, 2), (3, 4), (3,)),
    "k,k->": ((7,), (7,)),
    "n->n": ((7,),),
}


@pytest.mark.parametrize("size", [1, 40])
@pytest.mark.parametrize("equation", EQUATIONS)
def test_sums_of_products_are_products_of_matrices(equation, size):
    letters = equation.split("->")[0].split(",")
    rng = np.random.default_rng(0)
    given, nodes = {}, []
    for i, (term, shape) in enumerate(zip(letters, EQUATIONS[equation], strict=True)):
        nodes.append(gn.Input(f"x{i}", tuple(a.upper() for a in term), dtype="float64"))
        given[f"x{i}"] = rng.normal(size=tuple(n * size if a in "ab" else n for a, n in zip(term, shape, strict=True)))
    found = both(gn.Einsum(equation, *nodes), **given)
    np.testing.assert_allclose(found, np.einsum(equation, *given.values()), rtol=1e-10, atol=1e-10)
