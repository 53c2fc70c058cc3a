"""Comparing gradients with central differences, and programs across backends and passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..compile import compile
from ..errors import GraphError
from ..executable import Executable
from ..ir.differentiate import grad
from ..ir.graph import Outputs, name_outputs
from ..ir.leaf import Input, Parameter
from ..ir.node import Node, describe

__all__ = ["agree", "check_grad", "sizes_unsaid"]

EPS, ATOL, RTOL = 1e-6, 1e-5, 1e-3


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

    `wrt` are inputs or parameters, preferably of float64. Parameters keep their values. Feeds on which the loss does
    not depend are ignored.

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
    """The feeds for a program, chosen from those of a larger one, and the named sizes that its inputs do not tell."""
    sizes: dict[str, int] = {}
    for name, node in whole.graph.inputs.items():
        node.spec.unify(np.shape(feeds[name]), sizes, name, dict.fromkeys(node.spec.sizes, name))
    return {name: feeds[name] for name in f.graph.inputs} | {size: sizes[size] for size in sizes_unsaid(f)}


def sizes_unsaid(f: Executable) -> list[str]:
    """The named sizes that no input of a program has. They are fed by name, as numbers."""
    said = {name for x in f.graph.inputs.values() for name in x.spec.sizes}
    return [name for name in f.graph.sizes if name not in said]


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
