"""What every op and every program must satisfy, for the suite and for users' own ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .backends.registry import backends
from .compile import compile
from .errors import GraphError, GraphNNError
from .executable import Executable
from .ir.differentiate import grad
from .ir.dtype import default_dtype
from .ir.graph import Outputs, name_outputs
from .ir.leaf import Input, Parameter
from .ir.node import Node, describe
from .ir.spec import Size, as_shape
from .ir.walk import walk
from .ops.elementwise import Elementwise
from .ops.reductions import Sum
from .ops.sample import Sample, sample

__all__ = ["agree", "build", "check_grad", "check_op", "check_sample", "feeds_for"]

EPS, ATOL, RTOL = 1e-6, 1e-5, 1e-3
_SIZES = ({"N": 3, "M": 2, "K": 4, "B": 2}, {"N": 1, "M": 1, "K": 1, "B": 1}, {"N": 0, "M": 2, "K": 0, "B": 1})


def check_grad(
    loss: Node,
    wrt: Node | Sequence[Node],
    feeds: Mapping[str, Any] | None = None,
    *,
    eps: float = EPS,
    atol: float = ATOL,
    rtol: float = RTOL,
    passes: str = "default",
) -> None:
    """Compare the gradients of a scalar loss with central differences, element by element.

    `wrt` are inputs or parameters, best in float64; parameters get their values back. Feeds that the loss does
    not depend on are left aside.

    Raises:
        AssertionError: naming the node, the element and both numbers.
        GraphError: when a wrt is neither an input nor a parameter.

    >>> import graphnn as gn
    >>> x = gn.Input("x", (3,), dtype="float64")
    >>> gn.testing.check_grad(gn.Sum(gn.Tanh(x)), x, {"x": [0.1, 0.2, 0.3]})
    """
    targets = [wrt] if isinstance(wrt, Node) else list(wrt)
    given = {name: np.array(value) for name, value in (feeds or {}).items()}
    f = compile({"loss": loss}, passes=passes)
    given = {name: value for name, value in given.items() if name in f.graph.inputs}
    slopes = compile(grad(loss, targets), passes=passes)
    gradients = slopes(**_needed(slopes, f, given))
    for target, analytic in zip(targets, gradients, strict=True):
        numeric = _central_differences(f, target, given, eps)
        if not np.allclose(analytic, numeric, atol=atol, rtol=rtol):
            at = np.unravel_index(int(np.argmax(np.abs(analytic - numeric))), analytic.shape)
            place = tuple(map(int, at))
            raise AssertionError(
                f"the gradient of {describe(loss)} by {describe(target)} is {analytic[at]} at {place}, "
                f"but central differences give {numeric[at]}."
            )


def _needed(f: Executable, whole: Executable, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """The feeds that a program takes, of those of a larger one; and the sizes that only its inputs say."""
    sizes: dict[str, int] = {}
    for name, node in whole.graph.inputs.items():
        node.spec.unify(np.shape(feeds[name]), sizes, name, dict.fromkeys(node.spec.sizes, name))
    return {name: feeds[name] for name in f.graph.inputs} | {
        size: sizes[size] for size in f.graph.sizes if not any(size in x.spec.sizes for x in f.graph.inputs.values())
    }


def _central_differences(f: Any, target: Node, feeds: dict[str, np.ndarray], eps: float) -> np.ndarray:
    if isinstance(target, Parameter):
        array = target.storage
    elif isinstance(target, Input):
        array = feeds[target.name] = np.array(feeds[target.name], dtype=target.dtype)
    else:
        raise GraphError(f"check_grad: {describe(target)} is neither an input nor a parameter.")
    numeric = np.zeros(array.shape)
    for at in np.ndindex(array.shape):
        kept = array[at]
        array[at] = kept + eps
        above = float(f(**feeds)["loss"])
        array[at] = kept - eps
        below = float(f(**feeds)["loss"])
        array[at] = kept
        numeric[at] = (above - below) / (2 * eps)
    return numeric


def agree(
    outputs: Outputs,
    feeds: Mapping[str, Any] | None = None,
    backends: Sequence[str] = ("numpy",),
    *,
    passes: Sequence[str] = ("none", "exact", "default"),
    atol: float = 1e-6,
    rtol: float = 1e-5,
) -> None:
    """Compile outputs for several backends and passes, run each on the same feeds, and compare with the first.

    `passes="exact"` must give the bits of `passes="none"` on the same backend; the rest agrees within tolerance.

    Raises:
        AssertionError: naming the output, the backend and the passes.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", 3))
    >>> gn.testing.agree(gn.Softmax(x), {"x": [[1.0, 2.0, 3.0]]})
    """
    given = dict(feeds or {})
    reference: dict[str, np.ndarray] | None = None
    for backend in backends:
        plain: dict[str, np.ndarray] | None = None
        for chosen in passes:
            results = compile(name_outputs(outputs), backend=backend, passes=chosen)(**given)
            plain = results if chosen == "none" else plain
            reference = reference or results
            for name, value in results.items():
                where = f"output '{name}' on {backend} with passes={chosen!r}"
                np.testing.assert_allclose(value, reference[name], rtol, atol, err_msg=where)
                if chosen == "exact" and plain is not None:
                    np.testing.assert_array_equal(value, plain[name], err_msg=f"{where}: not the bits of passes='none'")


def check_op(op: type[Node]) -> None:
    """Check an op on its samples: spec, value, first and second derivative, every available backend; and refusals.

    An `Elementwise` op without samples is tested on values in (-2, 2).

    Raises:
        AssertionError: naming the sample and what differs.

    >>> import graphnn as gn
    >>> class Swish(gn.Elementwise):
    ...     x: gn.Node
    ...     formula = "x / (1 + exp(-x))"
    >>> gn.testing.check_op(Swish)
    """
    for one in samples_of(op):
        for sizes in _SIZES:
            check_sample(op, one, {name: max(n, one.least.get(name, 0)) for name, n in sizes.items()})


def samples_of(op: type[Node]) -> tuple[Sample, ...]:
    """The samples that an op declares; for an elementwise one without any, some that suit it."""
    if op.samples:
        return op.samples
    if issubclass(op, Elementwise):
        count = len(op.node_fields)
        return (sample(*((),) * count), sample(*(("N", "M"),) * count))
    raise AssertionError(f"{op.__name__} declares no samples: say on which operands it is to be tested.")


def check_sample(op: type[Node], one: Sample, sizes: Mapping[str, int], seed: int = 0) -> None:
    """Check an op on one sample with numbers for its named sizes."""
    with default_dtype("float64"):
        if one.error is not None:
            _check_refusal(op, one)
            return
        feeds = feeds_for(one, sizes, seed)
        inputs, node = build(op, one)
        _check_values(op, one, node, feeds, sizes, seed)
        floats = [x for x in inputs if x.dtype.kind == "f"]
        if one.differentiable and floats and all(out.dtype.kind == "f" for out in _results(node)):
            _check_derivatives(node, floats, feeds, sizes, seed)


def build(op: type[Node], one: Sample) -> tuple[list[Input], Node]:
    """The op over inputs of the sample's shapes."""
    inputs = [
        Input(f"x{i}", shape, dtype=one.dtypes[i] if i < len(one.dtypes) else None)
        for i, shape in enumerate(one.shapes)
    ]
    operands: tuple[Any, ...] = (tuple(inputs),) if one.packed else tuple(inputs)
    return inputs, op(*operands, **one.attributes)


def feeds_for(one: Sample, sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Random values in the sample's domain, for given sizes."""
    rng = np.random.default_rng(seed)
    low, high = one.domain
    feeds: dict[str, np.ndarray] = {}
    for i, shape in enumerate(one.shapes):
        numbers = tuple(dim(sizes) if isinstance(dim, Size) else dim for dim in as_shape(shape))
        dtype = np.dtype((one.dtypes[i] if i < len(one.dtypes) else None) or "float64")
        if dtype.kind == "f":
            feeds[f"x{i}"] = rng.uniform(low, high, numbers)
        else:
            feeds[f"x{i}"] = rng.integers(int(low), int(high) + 1, numbers).astype(dtype)
    return feeds


def _results(node: Node) -> list[Node]:
    return list(node) if isinstance(node.spec, tuple) else [node]


def _check_refusal(op: type[Node], one: Sample) -> None:
    assert one.error is not None
    try:
        build(op, one)
    except one.error:
        return
    except GraphNNError as other:
        raise AssertionError(f"{op.__name__}{one.shapes} raised {other!r}, not {one.error.__name__}.") from other
    raise AssertionError(f"{op.__name__}{one.shapes} with {dict(one.attributes)} was not refused.")


def _check_values(
    op: type[Node], one: Sample, node: Node, feeds: dict[str, np.ndarray], sizes: Mapping[str, int], seed: int
) -> None:
    outputs = {f"out{i}": out for i, out in enumerate(_results(node))}
    carriers, carried = _weights("s", list(outputs.values()), sizes, seed)  # inputs that hold the results' named sizes
    everything = {**outputs, **{w.name: w for w in carriers}}
    working = [name for name, state in backends().items() if state == "ok"]
    agree(everything, {**feeds, **carried}, working, atol=1e-9, rtol=1e-9)
    results = compile(everything)(**feeds, **carried)
    for name, out in outputs.items():
        expected = out.spec.concrete(sizes)
        assert results[name].shape == expected and results[name].dtype == out.dtype, (
            f"{op.__name__}{one.shapes}: inferred {out.spec}, "
            f"but the value is {results[name].dtype} {results[name].shape}."
        )


def _check_derivatives(
    node: Node, wrt: list[Input], feeds: dict[str, np.ndarray], sizes: Mapping[str, int], seed: int
) -> None:
    """First and second derivatives, of sums weighted at random so that no two elements can stand in for each other."""
    weights, given = _weights("w", _results(node), sizes, seed + 1)
    loss = _total([Sum(out * w) for out, w in zip(_results(node), weights, strict=True)])
    feeds = {**feeds, **given}
    check_grad(loss, wrt, feeds)
    slopes = grad(loss, wrt)
    more, given = _weights("v", slopes, sizes, seed + 2)
    second = _total([Sum(g * v) for g, v in zip(slopes, more, strict=True)])
    reached = set(walk([second]))
    again = [x for x in wrt if x in reached]
    if again:
        check_grad(second, again, {**feeds, **given})


def _weights(
    letter: str, nodes: Sequence[Node], sizes: Mapping[str, int], seed: int
) -> tuple[list[Input], dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    inputs = [Input(f"{letter}{i}", node.shape) for i, node in enumerate(nodes)]
    return inputs, {x.name: rng.uniform(-1, 1, x.spec.concrete(sizes)) for x in inputs}


def _total(terms: Sequence[Node]) -> Node:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
