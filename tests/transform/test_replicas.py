"""Replicas: every op that has a rule computes for each replica what it would compute alone."""

import numpy as np
import pytest
from random_graphs import N, random_program

import graphnn as gn
from graphnn.ir.node import Node
from graphnn.ir.walk import evaluate
from graphnn.testing.ops import SIZES
from graphnn.testing.sampling import apply, attributes_in_numbers, feeds_for, fixed_dtype
from graphnn.transform.replicas import replicate

COUNT = 3
LEAVES = {"Input", "Parameter", "Constant", "Count", "Item", "Placeholder"}


def floats(one):
    """The names of a sample's operands that are floats."""
    return [f"x{i}" for i, shape in enumerate(one.shapes) if shape is not None and fixed_dtype(one, i) is None]


SAMPLES = [
    pytest.param(op, one, id=f"{name}-{i}")
    for name, op in Node.ops.items()
    if op.__module__.startswith("graphnn.ops.") and name not in LEAVES
    for i, one in enumerate(op.samples)
    if one.error is None and floats(one)
]


def results(node, leaves):
    [found] = evaluate([node], leaves, np, {})
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("which", ["all", *(pytest.param(one, marks=pytest.mark.slow) for one in ("first", "last"))])
@pytest.mark.parametrize(("op", "one"), SAMPLES)
def test_each_replica_computes_what_it_would_alone(op, one, which):
    feeds = [feeds_for(one, SIZES[0], seed) for seed in range(COUNT)]
    names = floats(one)
    chosen = {"all": names, "first": names[:1], "last": names[-1:]}[which]
    operands = [
        None if shape is None else gn.Parameter(f"x{i}", feeds[0][f"x{i}"], feeds[0][f"x{i}"].dtype, trainable=False)
        for i, shape in enumerate(one.shapes)
    ]
    in_numbers = gn.Sample(one.shapes, attributes_in_numbers(one, SIZES[0]), packed=one.packed, call=one.call)
    node = apply(op, in_numbers, operands)
    outputs = {f"out{i}": part for i, part in enumerate(node)} if isinstance(node.spec, tuple) else {"out0": node}
    values = {p: np.stack([feed[p.name] for feed in feeds]) for p in operands if p is not None and p.name in chosen}
    graph, stacked = replicate(gn.Graph(outputs), values, COUNT)
    leaves = {p: p.value for g in (gn.Graph(outputs), graph) for p in g.parameters.values()}
    for name, alone in outputs.items():
        [together] = results(graph.outputs[name], leaves)
        for i in range(COUNT):
            own = leaves | {p: np.asarray(feeds[i if p in stacked else 0][p.name]) for p in operands if p is not None}
            [expected] = results(alone, own)
            mine = together[i] if graph.outputs[name].ndim > alone.ndim else together  # what differs may not be in it
            np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-12)


def values_of(program, graph, parameters=()):
    """What a program's outputs and updated parameters are, once, by name; the parameters have these values before."""
    for parameter, value in parameters:
        parameter.value = value
    f = gn.compile(graph.outputs, graph.updates, check_finite=None, passes="none")
    sizes = {size: N for size in f.graph.sizes if not any(size in x.spec.sizes for x in f.graph.inputs.values())}
    found = f(**{name: program.feeds[name] for name in f.graph.inputs}, **sizes)
    return found | {p.name: p.value for p in f.graph.updates}


@pytest.mark.parametrize("seed", [*range(20), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 60))])
def test_random_programs_are_many_in_one(seed):
    program = random_program(seed)
    graph = gn.Graph(program.outputs, program.updates)
    start = {p: p.value for p in graph.parameters.values()}
    values = {p: np.stack([v, 0.9 * v, 1.1 * v]).astype(p.dtype) for p, v in start.items() if p.trainable}
    many, _ = replicate(graph, values, COUNT)
    together = values_of(program, many)
    for i in range(COUNT):
        alone = values_of(program, graph, [(p, values[p][i] if p in values else v) for p, v in start.items()])
        for name, value in alone.items():
            mine = together[name][i] if together[name].ndim > value.ndim else together[name]
            scale = np.abs(value[np.isfinite(value)]).max(initial=0.0) if value.dtype.kind == "f" else 0
            tolerance = scale * (1e-3 if value.dtype.itemsize < 8 else 1e-9)
            np.testing.assert_allclose(mine, value, rtol=0, atol=tolerance, err_msg=name)


def test_what_differs_spreads_through_updates_and_nothing_else_is_repeated():
    x, w = gn.Input("x", ("N", 2)), gn.Parameter("w", [[0.0], [0.0]])
    kept, steps = gn.Parameter("kept", [[1.0], [1.0]]), gn.Parameter("steps", 0)
    graph = gn.Graph({"y": gn.Exp(x) @ w}, {kept: 0.5 * kept + w, steps: steps + 1})
    many, stacked = replicate(graph, {w: np.ones((COUNT, 2, 1))}, COUNT)
    assert {p.name for p in stacked} == {"w", "kept"}
    assert many.parameters["kept"].shape == (COUNT, 2, 1) and many.parameters["steps"].shape == ()
    assert [node.shape for node in many.nodes if node.op == "Exp"] == [(gn.Size("N"), 2)]


@pytest.mark.parametrize("differ", ["x", "W", "b", "xW", "xb", "Wb", "xWb"])
@pytest.mark.parametrize(
    ("op", "filters", "channels"), [(gn.Conv, (4, 1, 2, 2), 4), (gn.ConvTranspose, (2, 3, 2, 2), 6)]
)
def test_images_filters_and_biases_differ_in_any_combination(op, filters, channels, differ):
    shapes = {"x": (3, 2, 4, 4), "W": filters, "b": (channels,)}
    rng = np.random.default_rng(0)
    many = {name: rng.normal(size=(COUNT, *shape)) for name, shape in shapes.items()}
    leaves = {name: gn.Parameter(name, value[0], dtype="float64") for name, value in many.items()}
    node = op(*leaves.values(), groups=2)
    together, _ = replicate(gn.Graph(node), {leaves[name]: many[name] for name in differ}, COUNT)
    found, alone = gn.compile(together.outputs["out"])(), gn.compile(node)
    for i in range(COUNT):
        for name in differ:
            leaves[name].value = many[name][i]
        np.testing.assert_allclose(found[i], alone(), rtol=0, atol=1e-12)


def test_filters_that_differ_see_the_same_images_as_one_convolution():
    x = gn.Input("x", ("N", 1, 5, 5))
    W, b = gn.Parameter("W", np.ones((2, 1, 3, 3))), gn.Parameter("b", np.zeros(2))
    V = gn.Parameter("V", np.ones((2, 2, 3, 3)))
    values = {p: np.repeat(p.value[None], COUNT, 0) for p in (W, b, V)}
    many, _ = replicate(gn.Graph(gn.Conv(gn.Conv(x, W, b), V)), values, COUNT)
    first, second = (node for node in many.nodes if node.op == "Conv")
    assert first.x is x and first.W.shape == (2 * COUNT, 1, 3, 3) and first.groups == 1
    assert second.x.shape[1] == 2 * COUNT and second.groups == COUNT  # behind it each replica has images of its own
    assert many.outputs["out"].shape == (COUNT, gn.Size("N"), 2, 1, 1)


def test_a_loop_carries_replicas_only_where_they_differ():
    x, w = gn.Input("x", ("T", 2)), gn.Parameter("w", np.ones(2))

    def turn(carry, x):
        total, turns = carry
        return (total + x * w, turns + 1.0), turns

    (total, turns, counted) = gn.Scan(turn, (np.zeros(2), 0.0), x)
    many, _ = replicate(gn.Graph([total, turns, counted]), {w: np.ones((COUNT, 2))}, COUNT)
    [loop] = {node for node in many.nodes if node.op == "Scan"}
    assert [spec.shape for spec in loop.spec[:3]] == [(COUNT, 2), (), (gn.Size("T"),)]
    assert [node.shape for node in many.outputs.values()] == [(COUNT, 2), (COUNT,), (COUNT, gn.Size("T"))]


def test_a_branch_is_taken_once_for_all_or_by_each_replica():
    x, w = gn.Input("x", (2,)), gn.Parameter("w", np.ones(2))

    def ops(condition):
        chosen = gn.Cond(condition, lambda: x * w, lambda: x)
        many, _ = replicate(gn.Graph(chosen), {w: np.ones((COUNT, 2))}, COUNT)
        return {node.op for node in many.nodes} & {"Cond", "Scan"}

    assert ops(gn.Sum(x) > 0) == {"Cond"} and ops(gn.Sum(w) > 0) == {"Scan"}


class Halved(gn.Node):
    """A user's own op, which knows of no replicas."""

    x: gn.Node

    def infer(self):
        return self.x.spec

    def forward(self, xp, x):
        assert x.shape == (2,)
        return x / 2


def test_an_op_without_a_rule_runs_once_for_each_replica():
    w = gn.Parameter("w", np.ones(2))
    values = np.arange(2.0 * COUNT).reshape(COUNT, 2)
    many, _ = replicate(gn.Graph(Halved(w)), {w: values}, COUNT)
    np.testing.assert_array_equal(gn.compile(many.outputs["out"])(), values / 2)
