"""What tests of passes have: a graph after a pass, written as its ops, or with operands."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.view.text import apply, names


@pytest.fixture
def after():
    """`after(p, *outputs)`: the graph of these outputs after the pass."""
    return lambda p, *outputs: p.run(gn.Graph(list(outputs)))[0]


@pytest.fixture
def written(after):
    """`written(p, *outputs)`: the lines of that graph that compute, such as `%0 = Sub(x, y)`; one line as a string."""

    def write(p, *outputs):
        graph = after(p, *outputs)
        called = names(graph.nodes)
        lines = [f"{called[node]} = {apply(node, called)}" for node in graph.nodes if node.operands]
        return lines[0].partition(" = ")[2] if len(lines) == 1 else lines

    return write


@pytest.fixture
def numbers_agree():
    """`numbers_agree(p, outputs, feeds)`: with and without it, within a tolerance; an exact pass to the bit."""

    def check(p, outputs, feeds, rtol=1e-6):
        plain = gn.compile(outputs, passes="none")(**feeds)
        passed = gn.compile(outputs, passes=[p])(**feeds)
        for one, other in zip(plain, passed, strict=True):
            if p.numerics == "exact":
                np.testing.assert_array_equal(one, other)
            else:
                np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)

    return check
