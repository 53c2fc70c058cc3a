"""Testing ops: every rule of an op, on every sample that it declares, on every backend that works here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..backends.registry import backends
from ..compile import compile
from ..errors import DTypeError, GraphNNError, ShapeError
from ..ir.dtype import default_dtype
from ..ir.leaf import Input
from ..ir.node import Node, describe
from ..ir.walk import walk
from ..ops.elementwise import Elementwise
from ..ops.sample import Sample, sample
from .dtypes import check_dtypes, check_single_precision
from .sampling import apply, attributes_in_numbers, build, feeds_for, in_numbers, operands_for, show
from .trial import Trial

__all__ = ["SIZES", "check_adjoint", "check_op", "check_refusal", "check_sample", "samples_of"]

Reference: TypeAlias = Callable[..., Any]
SIZES = ({"N": 3, "M": 2, "K": 4, "B": 2}, {"N": 1, "M": 1, "K": 1, "B": 1}, {"N": 0, "M": 2, "K": 0, "B": 1})
EXACT = 1e-9
"""How far float64 results may lie apart, relatively and absolutely."""


def check_op(op: type[Node], reference: Reference | None = None) -> None:
    """Test an op on its samples: spec, value, first and second derivative, adjoint and refusals, on every backend.

    `reference(*arrays, **attributes)` computes the result with NumPy; values and dtypes are compared with it. An
    `Elementwise` op without samples is tested on values in (-2, 2). Derivatives are compared with central
    differences in float64 (eps 1e-6, atol 1e-5, rtol 1e-3), and with those in float32 (2e-3).

    Raises:
        AssertionError: naming the sample and what differs.

    >>> import graphnn as gn, numpy as np
    >>> class Swish(gn.Elementwise):
    ...     x: gn.Node
    ...     formula = "x / (1 + exp(-x))"
    ...     samples = (gn.sample(("N", 2)), gn.sample((), domain=(-9, 9)))
    >>> gn.testing.check_op(Swish, lambda x: x / (1 + np.exp(-x)))
    """
    trials: list[Trial] = []
    for one in samples_of(op):
        if one.error is not None:
            check_refusal(op, one)
            continue
        trial = Trial(op, one)
        trials.append(trial)
        for sizes in SIZES:
            check_sample(trial, sizes, reference=reference)
    check_adjoint(trials)
    check_single_precision(trials)
    if reference is not None:
        check_dtypes(trials, reference)


def samples_of(op: type[Node]) -> tuple[Sample, ...]:
    """The samples of an op; for an elementwise op that declares none, some that suit it."""
    if op.samples:
        return op.samples
    if issubclass(op, Elementwise):
        count = len(op.node_fields)
        return (sample(*((),) * count), sample(*(("N", "M"),) * count))
    raise AssertionError(f"{op.__name__} declares no samples: say on which operands it is to be tested.")


def check_sample(
    trial: Trial,
    sizes: Mapping[str, int],
    seed: int = 0,
    *,
    reference: Reference | None = None,
    layout: Callable[[np.ndarray], np.ndarray] | None = None,
    everywhere: bool = True,
) -> None:
    """Check an op on one accepted sample, with numbers for its named sizes (raised to the least it allows).

    `layout` lays the feeds out in memory in another way; `everywhere` asks every backend that works here, and
    NumPy's other passes, for the same results.

    Raises:
        AssertionError: naming the sample and what differs.
    """
    op, one = trial.op, trial.one
    sizes = {name: max(n, one.least.get(name, 0)) for name, n in sizes.items()}
    feeds = trial.feeds(sizes, seed)
    if layout is not None:
        feeds = {name: layout(value) if isinstance(value, np.ndarray) else value for name, value in feeds.items()}
    before = {name: np.array(value) for name, value in feeds.items()}
    results = trial.run(feeds)
    for name, value in feeds.items():
        assert np.array_equal(value, before[name]), f"{show(op, one, sizes)}: the feed '{name}' was written to."
    _check_specs(trial, sizes, results)
    if reference is not None:
        arrays = [feeds[f"x{i}"] if shape is not None else None for i, shape in enumerate(one.shapes)]
        _check_reference(trial, sizes, results, reference(*arrays, **attributes_in_numbers(one, sizes)))
    if everywhere:
        _check_agreement(trial, sizes, feeds, results)
    _check_linear(trial, sizes, feeds, results)
    trial.check_derivatives(feeds, results)


def _check_specs(trial: Trial, sizes: Mapping[str, int], results: Mapping[str, np.ndarray]) -> None:
    """What was inferred, with names and with numbers for the sizes, is what came out."""
    op, one = trial.op, trial.one
    for name, node in trial.outputs.items():
        value = results[name]
        assert value.shape == node.spec.concrete(sizes) and value.dtype == node.dtype, (
            f"{show(op, one, sizes)}: '{name}' is inferred as {node.spec}, but is {value.dtype} {value.shape}."
        )
    if one.call is None:
        shapes = tuple(None if s is None else in_numbers(tuple(s), sizes) for s in one.shapes)
        numbers = Sample(shapes, attributes_in_numbers(one, sizes), dtypes=one.dtypes, packed=one.packed)
        with default_dtype(trial.dtype):
            again = build(op, numbers)[1].spec
        for spec, node in zip(again if isinstance(again, tuple) else (again,), trial.results, strict=True):
            assert spec.shape == node.spec.concrete(sizes), (
                f"{show(op, one, sizes)}: with names for the sizes {node.spec} is inferred, with numbers {spec}."
            )


def _check_reference(trial: Trial, sizes: Mapping[str, int], results: Mapping[str, np.ndarray], expected: Any) -> None:
    parts = expected if isinstance(expected, (tuple, list)) else [expected]
    assert len(parts) == len(trial.results), f"{trial.op.__name__}: the reference has {len(parts)} results."
    for i, part in enumerate(parts):
        where = f"{show(trial.op, trial.one, sizes)}: result {i} against the reference"
        assert np.shape(part) == results[f"out{i}"].shape, (
            f"{where}: shape {np.shape(part)}, not {results[f'out{i}'].shape}"
        )
        _check_close(results[f"out{i}"], part, where)


def _check_agreement(
    trial: Trial, sizes: Mapping[str, int], feeds: Mapping[str, Any], results: Mapping[str, np.ndarray]
) -> None:
    """Check that other backends and passes agree, and that `exact` passes give the bits of none."""
    runs = [(name, "default") for name, state in backends().items() if state == "ok" and name != "numpy"]
    if all(n > 1 for n in sizes.values()):  # on sizes 0 and 1 there is little for a pass to change
        runs += [("numpy", "none"), ("numpy", "exact")]
    plain: Mapping[str, np.ndarray] = {}
    for backend, passes in runs:
        found = trial.run(feeds, backend, passes)
        plain = found if passes == "none" else plain
        for name, value in found.items():
            where = f"{show(trial.op, trial.one, sizes)}: '{name}' on {backend} with passes={passes!r}"
            _check_close(value, results[name], where)
            if passes == "exact":
                np.testing.assert_array_equal(value, plain[name], err_msg=f"{where}: not the bits of passes='none'")


def _check_close(value: Any, expected: Any, where: str) -> None:
    if not np.allclose(value, expected, EXACT, EXACT, equal_nan=True):
        np.testing.assert_allclose(value, expected, EXACT, EXACT, err_msg=where)  # which says at length what differs


def check_refusal(op: type[Node], one: Sample) -> None:
    """Check that a sample is refused with its error, whose message names the guilty operands with their lines.

    Raises:
        AssertionError: when it is accepted, raises something else, or leaves a culprit out.
    """
    assert one.error is not None
    what = f"{show(op, one)}, which must raise {one.error.__name__},"
    operands: list[Input | None] = []
    try:
        with default_dtype("float64"):
            operands = operands_for(one)
            node = apply(op, one, operands)
        outputs = list(node) if isinstance(node.spec, tuple) else [node]
        compile(outputs)(**feeds_for(one, SIZES[0], seed=0))
    except one.error as error:
        _check_culprits(what, one, [x for x in operands if x is not None], str(error))
    except GraphNNError as other:
        raise AssertionError(f"{what} raised {other!r}.") from other
    else:
        raise AssertionError(f"{what} was not refused.")


def _check_culprits(what: str, one: Sample, inputs: Sequence[Input], message: str) -> None:
    named = [x.name for x in inputs if describe(x) in message]
    if one.culprits is not None:
        missing = sorted(set(one.culprits) - set(named))
        assert not missing, f"{what} does not name {', '.join(missing)} with spec and line: {message}"
        return
    wanted = 2 if one.error is ShapeError else 1 if one.error is DTypeError else 0
    assert len(named) >= min(wanted, len(inputs)), f"{what} names {named or 'no operand'} with spec and line: {message}"


def check_adjoint(trials: Sequence[Trial]) -> None:
    """Check that the gradient of an op that names its adjoint is built of that adjoint, in one sample at least.

    Raises:
        AssertionError: naming what the gradients are built of instead.
    """
    partner = trials[0].op.adjoint if trials else None
    if partner is None:
        return
    used: set[str] = set()
    for dtype in ("float64", "float32"):  # a cast is seen only where it casts
        for trial in trials:
            slopes = (trial if dtype == trial.dtype else Trial(trial.op, trial.one, dtype)).slopes
            used |= {node.op for node in set(walk(slopes)) - set(walk(trial.results))}
            if len(slopes) > 1 and len(set(slopes)) == 1:
                used.add("Branch")  # one gradient sent to several operands forks without a node of its own
        if partner in used:
            return
    raise AssertionError(
        f"{trials[0].op.__name__} names {partner} as its adjoint, but its gradient is of {', '.join(sorted(used))}."
    )


def _check_linear(trial: Trial, sizes: Mapping[str, int], feeds: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """`<A x, y> = <x, A* y>`, where y are the weights of the loss, and `A* y` is therefore its gradient by x."""
    if trial.op.adjoint is None or not trial.slopes:
        return
    linear = trial.inputs if trial.one.packed else trial.inputs[:1]
    right = sum(float(np.sum(feeds[x.name] * results[f"d {x.name}"])) for x in linear)
    assert np.isclose(results["loss"], right, EXACT, EXACT), (
        f"{show(trial.op, trial.one, sizes)}: <A x, y> is {results['loss']}, but <x, A* y> is {right}, "
        f"so its gradient is not the adjoint of a linear op."
    )
