"""Einsums of many operands in pairs: which are contracted first, and the same values."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.transform.pairs import pairs

SIZES = {"a": 3, "b": 4, "c": 5, "d": 2, "n": 6}


def equations(node):
    graph, _ = pairs.run(gn.Graph(node))
    return [made.equation for made in graph.nodes if made.op == "Einsum"]


def of(equation):
    terms = equation.split("->")[0].split(",")
    shapes = [tuple("N" if a == "n" else SIZES[a] for a in term) for term in terms]
    return gn.Einsum(equation, *(gn.Input(f"x{i}", shape, dtype="float64") for i, shape in enumerate(shapes)))


def test_the_cheapest_pair_comes_first():
    assert equations(of("ab,bc,cd->ad")) == ["bc,cd->bd", "ab,bd->ad"]
    assert equations(of("na,nb,n->ab")) == ["na,n->na", "nb,na->ab"]
    assert equations(of("ab,bc->ac")) == ["ab,bc->ac"]


@pytest.mark.parametrize("equation", ["ab,bc,cd->ad", "na,nb,n->ab", "a,b,c,d->dbca", "aan,nb,nb,c->", "ab,ab,ab->a"])
@pytest.mark.parametrize("backend", [name for name, state in gn.backends().items() if state == "ok"])
def test_values_and_gradients(backend, equation):
    y = of(equation)
    outputs = [y, *gn.grad(gn.Sum(y * y), list(y.values))]
    rng = np.random.default_rng(0)
    terms = equation.split("->")[0].split(",")
    feeds = {f"x{i}": rng.normal(size=[SIZES[a] for a in term]) for i, term in enumerate(terms)}
    whole = gn.compile(outputs, passes="none")(**feeds)
    for passes in ([pairs], "default"):
        for a, b in zip(gn.compile(outputs, backend=backend, passes=passes)(**feeds), whole, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
