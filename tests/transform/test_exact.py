"""`passes="exact"` gives the bits of `passes="none"`: on random programs, all passes together and each alone."""

import numpy as np
import pytest
from random_graphs import random_program

import graphnn as gn
from graphnn.backends.numpy import PASSES

EXACT = [p for p in dict.fromkeys(PASSES) if p.numerics == "exact"]
REASSOCIATED = tuple(p for p in PASSES if p.numerics != "stabilising")
"""What the default does beside computing better what was written badly."""
TOLERANCES = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-9}
"""How far the default may be from none, relatively and absolutely, on these programs: see docs/passes.md."""


def same_bits(a, b):
    """Equal to the sign of zero; NaN is NaN."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.tobytes() == b.tobytes():
        return True
    if a.dtype.kind != "f" or not np.array_equal(a, b, equal_nan=True):
        return False
    numbers = ~np.isnan(a)
    return bool((np.signbit(a) == np.signbit(b))[numbers].all())


def check(seed, ways):
    program = random_program(seed)
    _, plain = program.run(2, passes="none")
    for passes in ways:
        _, passed = program.run(2, passes=passes)
        how = passes if isinstance(passes, str) else [p.name for p in passes]
        for name, value in plain.items():
            if passes is REASSOCIATED:
                if value.dtype.kind == "f" and np.isfinite(value).all():
                    tolerance = TOLERANCES[value.dtype.name]
                    np.testing.assert_allclose(passed[name], value, tolerance, tolerance, err_msg=f"{seed}, {name}")
            else:
                assert same_bits(value, passed[name]), f"program {seed}, {name}, passes {how}"


@pytest.mark.parametrize("seed", range(30))
def test_random_programs(seed):
    check(seed, ["exact", REASSOCIATED])


@pytest.mark.parametrize("seed", range(60, 66))
def test_random_programs_with_each_exact_pass_alone(seed):
    check(seed, [[p] for p in EXACT])


@pytest.mark.parametrize("seed", range(75, 95))
def test_after_every_pass_operands_stand_before_their_users(seed):
    program = random_program(seed)
    graph = gn.Graph(program.outputs, program.updates)
    for p in PASSES:
        graph, _ = p.run(graph)
        position = {node: i for i, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            assert all(position[operand] < position[node] for operand in node.operands), (p.name, node)
            assert all(operand.serial <= node.serial for operand in node.operands), (p.name, node)


@pytest.fixture
def unchecked(monkeypatch):
    """Many programs, each compiled several times: without the self-checks of plans, which have tests of their own."""
    monkeypatch.setenv("GRAPHNN_CHECK", "0")


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_two_thousand_random_programs(block, unchecked):
    for seed in range(1_000 + 100 * block, 1_100 + 100 * block):
        check(seed, ["exact", REASSOCIATED])


@pytest.mark.slow
@pytest.mark.parametrize("p", EXACT, ids=lambda p: p.name)
def test_random_programs_with_one_exact_pass(p, unchecked):
    for seed in range(5_000, 5_050):
        check(seed, [[p]])


def cases_of_layout():
    """Where removing what does nothing would hand a product or a sum other memory than it had."""
    gn.default_dtype("float32")
    x = gn.Input("x", (70, 50))
    return {
        "a sum over a transposed view": gn.Sum(x.T * 1, 0),
        "a sum over a copy": gn.Sum(x.T.reshape((50, 7, 10)).reshape((50, 70)), 0),
        "a product of one buffer with itself": (x * 1) @ x.T,
        "two that became one": gn.Exp(x * 0.1) @ gn.Exp(x * 0.1).T,
        "behind a view": gn.Sum((x.T * 1).reshape((50, 70, 1)), (0, 2)),
        "an argument of Maximum": gn.Sum(gn.Maximum(x.T, x.T), 0),
        "a repeated value": gn.Exp(gn.Repeat(x.reshape((1, 70, 50)), 3)) @ x.T,
    }


@pytest.mark.parametrize("name", cases_of_layout())
def test_products_and_sums_go_on_reading_memory_that_lies_as_before(name):
    feed = np.random.default_rng(0).normal(size=(70, 50))
    node = cases_of_layout()[name]
    assert same_bits(gn.compile(node, passes="none")(x=feed), gn.compile(node, passes="exact")(x=feed))


def test_without_the_guard_bits_differ(monkeypatch):
    monkeypatch.setattr("graphnn.transform.rewrite.reads_alike", lambda before, after: True)
    feed = np.random.default_rng(0).normal(size=(70, 50))
    different = [
        name
        for name, node in cases_of_layout().items()
        if not same_bits(gn.compile(node, passes="none")(x=feed), gn.compile(node, passes="exact")(x=feed))
    ]
    assert "a sum over a transposed view" in different


def test_a_program_covers_the_vocabulary():
    seen = set()
    for seed in range(150):
        seen |= {node.op for node in gn.Graph(random_program(seed).outputs).nodes}
    known = {name for name, op in gn.Node.ops.items() if op.samples and op.__module__.startswith("graphnn.")}
    assert len(known - seen) < 0.2 * len(known), sorted(known - seen)
