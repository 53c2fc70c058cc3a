"""Tests of dtypes: an op takes and returns the dtypes that NumPy does; its derivatives hold in single precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..compile import compile
from ..errors import DTypeError
from ..ir.node import Node
from ..ops.sample import Sample
from .compare import sizes_unsaid
from .sampling import attributes_in_numbers, build, feeds_for, fixed_dtype, show
from .trial import Trial

__all__ = ["DTYPES", "check_dtypes", "check_single_precision"]

DTYPES = ("float16", "float32", "float64", "bool", "uint8", "int32", "int64")
MIXED = (("float32", "float64"), ("int32", "float32"), ("float16", "int8"), ("uint8", "int8"), ("bool", "int32"))
SIZES = {"N": 3, "M": 2, "K": 4, "B": 2}
CLOSE = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-9}
SINGLE = 2e-3


def check_dtypes(
    trials: Sequence[Trial], reference: Callable[..., Any], exceptions: Mapping[str, str] | None = None
) -> None:
    """Compare dtype and value of the result with the reference, for operands of each dtype, and of two dtypes.

    The op must refuse a dtype exactly if NumPy does. `exceptions` maps a dtype (`"bool"`, or `"int32 float32"` for two)
    to the reason why the op differs from the reference there; it must differ then.

    Raises:
        AssertionError: naming the sample, the dtypes and what differs.
    """
    trial = next((t for t in trials if any(t.one.shapes)), None) or next(iter(trials), None)
    if trial is None:
        return
    known = dict(exceptions or {})
    open_slots = sum(fixed_dtype(trial.one, i) is None for i in range(len(trial.one.shapes)))
    pairs = MIXED if open_slots == 2 and not trial.one.packed else ()
    for dtypes in [(name,) for name in DTYPES] + list(pairs):
        key = " ".join(dtypes)
        problem = _difference(trial.op, _with_dtypes(trial.one, dtypes), reference)
        if key in known:
            assert problem, f"{trial.op.__name__}: {key} is listed as an exception ({known.pop(key)}), but is none."
            known.pop(key)
        else:
            assert not problem, f"{show(trial.op, trial.one, SIZES)} of {key}: {problem}"
    assert not known, f"{trial.op.__name__}: exceptions for dtypes that are not tested: {', '.join(known)}."


def _with_dtypes(one: Sample, dtypes: tuple[str, ...]) -> Sample:
    """The sample with its open operands of these dtypes, the last for all that remain."""
    given = list(dtypes)
    chosen = [fixed_dtype(one, i) or (given.pop(0) if len(given) > 1 else given[0]) for i in range(len(one.shapes))]
    fields = {name: getattr(one, name) for name in Sample.__dataclass_fields__}
    return Sample(**{**fields, "dtypes": tuple(chosen)})


def _difference(op: type[Node], one: Sample, reference: Callable[..., Any]) -> str:
    """What differs between op and reference; empty when nothing does."""
    sizes = {name: max(n, one.least.get(name, 0)) for name, n in SIZES.items()}
    feeds = feeds_for(one, sizes, seed=0)
    arrays = [feeds[f"x{i}"] if shape is not None else None for i, shape in enumerate(one.shapes)]
    try:
        with np.errstate(all="ignore"):
            parts = reference(*arrays, **attributes_in_numbers(one, sizes))
        expected: list[Any] | None = list(parts) if isinstance(parts, (tuple, list)) else [parts]
    except TypeError:
        expected = None
    try:
        node = build(op, one)[1]
    except DTypeError as error:
        return "" if expected is None else f"refused ({error}), but NumPy gives {np.asarray(expected[0]).dtype}."
    if expected is None:
        return "accepted, but NumPy refuses it."
    results = list(node) if isinstance(node.spec, tuple) else [node]
    f = compile(results)
    values = f(**feeds, **{name: sizes[name] for name in sizes_unsaid(f)})
    for value, part in zip(values, expected, strict=True):
        wanted = np.asarray(part)
        if value.dtype != wanted.dtype:
            return f"the result is {value.dtype}, but NumPy gives {wanted.dtype}."
        if value.dtype.kind == "f" and any(x.dtype.kind == "u" for x in arrays if x is not None):
            continue  # NumPy negates unsigned numbers before they become floats, and so wraps
        close = CLOSE.get(value.dtype.name, 0.0)
        if not np.allclose(value.astype(float), wanted.astype(float), close, close, equal_nan=True):
            return f"the value is {value}, but NumPy gives {wanted}."
    return ""


def check_single_precision(trials: Sequence[Trial]) -> None:
    """Check values and derivatives in float32 against those in float64, within 2e-3.

    Raises:
        AssertionError: naming the sample and the output.
    """
    for double in trials[:1]:
        sizes = {name: max(n, double.one.least.get(name, 0)) for name, n in SIZES.items()}
        feeds = double.feeds(sizes)
        single = Trial(double.op, double.one, "float32").run(feeds)
        for name, value in double.run(feeds).items():
            where = f"{show(double.op, double.one, sizes)}: '{name}' in float32 against float64"
            np.testing.assert_allclose(single[name], value, SINGLE, SINGLE, err_msg=where)
