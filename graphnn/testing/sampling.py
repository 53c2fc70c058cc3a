"""Sampling: from a sample, build the op over inputs, random arrays for these, and attributes in numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from math import ceil, floor
from typing import Any

import numpy as np

from ..ir.leaf import Input
from ..ir.node import Node
from ..ir.spec import Size, as_shape
from ..ops.sample import Sample

__all__ = ["apply", "attributes_in_numbers", "build", "feeds_for", "fixed_dtype", "in_numbers", "operands_for", "show"]


def build(op: type[Node], one: Sample, dtype: Any = None) -> tuple[list[Input], Node]:
    """The op over inputs `x0`, `x1`... of the sample's shapes; those that the sample leaves open are of `dtype`."""
    operands = operands_for(one, dtype)
    return [x for x in operands if x is not None], apply(op, one, operands)


def operands_for(one: Sample, dtype: Any = None) -> list[Input | None]:
    """The inputs; None for an operand that is left out."""
    return [
        None if shape is None else Input(f"x{i}", shape, dtype=fixed_dtype(one, i) or dtype)
        for i, shape in enumerate(one.shapes)
    ]


def apply(op: type[Node], one: Sample, operands: list[Input | None]) -> Node:
    """The op on them."""
    if one.call is not None:
        return one.call(*operands, **one.attributes)
    if one.packed:
        return op(**{_tuple_field(op): tuple(operands)}, **one.attributes)
    return op(*operands, **one.attributes)


def _tuple_field(op: type[Node]) -> str:
    fields = dataclasses.fields(op)  # type: ignore[arg-type]  # every subclass of Node is a dataclass
    return next(f.name for f in fields if "tuple" in str(f.type) and "Node" in str(f.type))


def fixed_dtype(one: Sample, i: int) -> str | None:
    """The dtype that operand i has whatever the dtype under test."""
    return one.dtypes[i] if i < len(one.dtypes) else None


def feeds_for(one: Sample, sizes: Mapping[str, int], seed: int, dtype: Any = "float64") -> dict[str, np.ndarray]:
    """Random values in the sample's domains, for given sizes; open operands are of `dtype`."""
    rng = np.random.default_rng(seed)
    feeds: dict[str, np.ndarray] = {}
    for i, shape in enumerate(one.shapes):
        if shape is not None:
            low, high = (one.domains[i] if i < len(one.domains) else None) or one.domain
            kind = np.dtype(fixed_dtype(one, i) or dtype)
            feeds[f"x{i}"] = _draw(rng, kind, low, high, in_numbers(as_shape(shape), sizes))
    return feeds


def _draw(rng: Any, dtype: np.dtype[Any], low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
    if dtype.kind == "f":
        drawn = rng.uniform(low, high, shape)
    elif dtype.kind == "b":
        drawn = rng.integers(0, 2, shape)
    else:
        first = max(ceil(low), 0) if dtype.kind == "u" else ceil(low)
        drawn = rng.integers(first, max(floor(high), first) + 1, shape)
    return np.asarray(drawn).astype(dtype)


def in_numbers(value: Any, sizes: Mapping[str, int]) -> Any:
    """A shape, or an attribute that holds sizes, with numbers for the named ones."""
    if isinstance(value, tuple):
        return tuple(in_numbers(part, sizes) for part in value)
    if isinstance(value, Size):
        return value(sizes)
    return sizes.get(value, value) if isinstance(value, str) else value


def attributes_in_numbers(one: Sample, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The sample's attributes, as a reference is given them."""
    return {name: in_numbers(value, sizes) for name, value in one.attributes.items()}


def show(op: type[Node], one: Sample, sizes: Mapping[str, int] | None = None) -> str:
    """How messages speak of a sample: `Sum((N, M), axis=0) with N=3, M=2`."""
    parts = ["None" if s is None else f"({', '.join(map(str, s))}{',' * (len(s) == 1)})" for s in one.shapes]
    parts += [f"{name}={value!r}" for name, value in one.attributes.items()]
    used = {d.name for s in one.shapes if s is not None for d in as_shape(s) if isinstance(d, Size)}
    numbers = ", ".join(f"{name}={n}" for name, n in (sizes or {}).items() if name in used)
    return f"{op.__name__}({', '.join(parts)})" + (f" with {numbers}" if numbers else "")
