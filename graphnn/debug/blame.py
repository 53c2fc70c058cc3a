"""Blame: which node of a failed step made the first NaN or infinity, found by computing the nodes one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import NonFiniteError
from ..ir.graph import Graph
from ..ir.leaf import Input, Parameter
from ..ir.node import Node, describe
from ..ir.walk import evaluate, walk
from .repro import Evidence

__all__ = ["blame"]


def blame(
    graph: Graph, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int], where: str = ""
) -> NonFiniteError | None:
    """The error that names the first node to become non-finite on these feeds; None when all results are finite.

    `where` is the beginning of the message. A node is blamed only if an output or update that is not finite depends on
    it: the infinities of a mask are meant, as long as their users make finite values of them.

    The first node that makes a non-finite value from finite operands is blamed. If there is none, the blame goes to an
    input or parameter that was not finite to begin with, or else to the first node that makes a NaN.
    """
    values: Mapping[Node, Any] = _values(graph, feeds, sizes)
    found = _culprit(graph.nodes, (*graph.outputs.values(), *graph.updates.values()), values)
    if found is None:
        return None
    direction = graph.roles[found]
    leaves = {leaf: np.array(values[leaf]) for leaf in (*graph.inputs.values(), *graph.parameters.values())}
    evidence = Evidence(found, leaves, sizes)
    found, values, inside = _inside(found, values, sizes)
    error = NonFiniteError(where + _message(found, direction, values, inside))
    error.node, error.direction, error.evidence = found, direction, evidence
    return error


def _culprit(nodes: Sequence[Node], roots: Sequence[Node], values: Mapping[Node, Any]) -> Node | None:
    bad_roots = [node for node in roots if _is_bad(values[node])]
    if not bad_roots:
        return None
    behind = set(walk(bad_roots))
    suspects = [n for n in nodes if n in behind and n.operands and _is_bad(values[n])]
    first_bad = [n for n in suspects if not any(_is_bad(values[op]) for op in n.operands)]
    leaves = [n for n in nodes if n in behind and isinstance(n, (Input, Parameter)) and _is_bad(values[n])]
    first_nan = [n for n in suspects if _holds_nan(values[n]) and not any(_holds_nan(values[op]) for op in n.operands)]
    return next(iter(first_bad or leaves or first_nan or suspects or bad_roots))


def _inside(node: Node, values: Mapping[Node, Any], sizes: Mapping[str, int]) -> tuple[Node, Mapping[Node, Any], str]:
    """If the culprit is a loop or branch: the culprit within its body, the values there, and words for where it is."""
    inside = ""
    while node.operands and node.bodies():
        for body, given, when in node.at(sizes).body_runs(np, *(values[operand] for operand in node.operands)):
            held = _computed(body.graph.nodes, given, sizes)
            found = _culprit(body.graph.nodes, body.results, held)
            if found is not None and found.operands:
                inside += f", in {when} of {describe(node)}"
                node, values = found, held
                break
        else:
            break
    return node, values, inside


def _values(graph: Graph, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> dict[Node, Any]:
    """The value of every node."""
    leaves = {node: feeds[node.name] for node in graph.inputs.values()}
    return _computed(graph.nodes, leaves | {p: p.storage for p in graph.parameters.values()}, sizes)


def _computed(nodes: Sequence[Node], given: Mapping[Any, Any], sizes: Mapping[str, int]) -> dict[Node, Any]:
    """The values of nodes, computed one by one with `forward`."""
    with np.errstate(all="ignore"):
        return dict(zip(nodes, evaluate(nodes, given, np, sizes), strict=True))


def _arrays(value: Any) -> tuple[np.ndarray, ...]:
    arrays = value if isinstance(value, tuple) else (value,)
    return tuple(a for a in map(np.asarray, arrays) if a.dtype.kind == "f")


def _is_bad(value: Any) -> bool:
    return not all(np.isfinite(a).all() for a in _arrays(value))


def _holds_nan(value: Any) -> bool:
    return any(np.isnan(a).any() for a in _arrays(value))


def _message(node: Node, direction: str, values: Mapping[Node, Any], inside: str) -> str:
    array = next(a for a in _arrays(values[node]) if not np.isfinite(a).all())
    at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    place = f" at {at}" if at else ""
    if not node.operands:
        return f"{describe(node)} is {array[at]}{place} already when the step begins."
    ranges = "; ".join(f"{describe(operand)} is {_range(values[operand])}" for operand in dict.fromkeys(node.operands))
    return (
        f"{describe(node)}{inside}, in the {direction} half, makes the first value that is not finite: "
        f"{array[at]}{place}. Its operands: {ranges}. The parameters stand as before this step. "
        "Likely causes: a learning rate too large, or a logarithm, root or division near zero."
    )


def _range(value: Any) -> str:
    arrays = [np.asarray(a) for a in (value if isinstance(value, tuple) else (value,))]
    parts = []
    for array in arrays:
        if not array.size:
            parts.append("empty")
            continue
        whole = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        lies = f"in {whole.min():.6g}..{whole.max():.6g}" if whole.size else "nowhere finite"
        bad = array.size - whole.size
        parts.append(f"{lies}, {bad} of {array.size} elements not finite" if bad and whole.size else lies)
    return ", ".join(parts)
