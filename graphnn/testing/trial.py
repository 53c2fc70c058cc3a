"""Trials: an op on one sample, compiled once with its first and second derivatives, and run on feed after feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..compile import compile
from ..executable import Executable
from ..ir.differentiate import grad
from ..ir.dtype import default_dtype
from ..ir.leaf import Input
from ..ir.node import Node
from ..ir.walk import walk
from ..ops.reductions import Sum
from ..ops.sample import Sample
from .compare import ATOL, EPS, RTOL, sizes_unsaid
from .sampling import build, feeds_for, show

__all__ = ["Trial"]


class Trial:
    """An op on one sample, with its results and derivatives as the outputs of one program.

    `out0`... are the results; `loss` is their sum, weighted at random so that no two elements can stand in for
    each other; `d x0`... are its gradients; `slope` is their sum, weighted again, and `dd x0`... its gradients.
    """

    def __init__(self, op: type[Node], one: Sample, dtype: str = "float64") -> None:
        self.op, self.one, self.dtype = op, one, dtype
        with default_dtype(dtype):
            self.inputs, self.node = build(op, one)
            self.results = list(self.node) if isinstance(self.node.spec, tuple) else [self.node]
            self.outputs: dict[str, Node] = {f"out{i}": result for i, result in enumerate(self.results)}
            self.weights: list[Input] = []
            if one.differentiable:
                self._differentiate()
        self._programs: dict[tuple[str, str], Executable] = {}

    def _differentiate(self) -> None:
        results = [x for x in self.results if x.dtype.kind == "f"]
        wrt = [x for x in self.inputs if x.dtype.kind == "f"]
        if not (results and wrt):
            return
        loss = self.outputs["loss"] = self._weighted(results, "w")
        slopes = grad(loss, wrt)
        self.outputs.update({f"d {x.name}": slope for x, slope in zip(wrt, slopes, strict=True)})
        slope = self._weighted(slopes, "v")
        reached = set(walk([slope]))
        again = [x for x in wrt if x in reached]
        if again:
            self.outputs["slope"] = slope
            curves = grad(slope, again)
            self.outputs.update({f"dd {x.name}": curve for x, curve in zip(again, curves, strict=True)})

    def _weighted(self, nodes: Sequence[Node], letter: str) -> Node:
        total: Node | None = None
        for i, node in enumerate(nodes):
            weight = Input(f"{letter}{i}", node.shape, dtype=node.dtype)
            self.weights.append(weight)
            term = Sum(node * weight)
            total = term if total is None else total + term
        assert total is not None
        return total

    # Running -----------------------------------------------------------------------------------------------------

    def program(self, backend: str = "numpy", passes: str = "default") -> Executable:
        """The program, compiled when it is first asked for."""
        key = backend, passes
        if key not in self._programs:
            self._programs[key] = compile(self.outputs, backend=backend, passes=passes)
        return self._programs[key]

    def feeds(self, sizes: Mapping[str, int], seed: int = 0) -> dict[str, Any]:
        """Arrays for operands and weights, and numbers for the sizes that no input has."""
        rng = np.random.default_rng(seed + 1)
        given: dict[str, Any] = dict(feeds_for(self.one, sizes, seed, self.dtype))
        graph = self.program().graph
        for weight in self.weights:
            if weight.name in graph.inputs:  # a second derivative that does not exist needs no weights
                given[weight.name] = rng.uniform(-1, 1, weight.spec.concrete(sizes)).astype(weight.dtype)
        return given | {name: sizes[name] for name in sizes_unsaid(self.program())}

    def run(self, feeds: Mapping[str, Any], backend: str = "numpy", passes: str = "default") -> dict[str, np.ndarray]:
        """The outputs by name."""
        results: dict[str, np.ndarray] = self.program(backend, passes)(**feeds)
        return results

    def numeric(self, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The derivatives by central differences, element by element: `d x0`..., `dd x0`..."""
        found = {name: np.zeros(node.spec.concrete(self._sizes(feeds))) for name, node in self.derivatives.items()}
        for x in self.inputs:
            if f"d {x.name}" not in found:
                continue
            array = np.array(feeds[x.name])
            nudged = {**feeds, x.name: array}
            for at in np.ndindex(array.shape):
                kept = array[at]
                array[at] = kept + EPS
                above = self.run(nudged)
                array[at] = kept - EPS
                below = self.run(nudged)
                array[at] = kept
                found[f"d {x.name}"][at] = (above["loss"] - below["loss"]) / (2 * EPS)
                if f"dd {x.name}" in found:
                    found[f"dd {x.name}"][at] = (above["slope"] - below["slope"]) / (2 * EPS)
        return found

    @property
    def slopes(self) -> list[Node]:
        """The first derivatives."""
        return [node for name, node in self.outputs.items() if name.startswith("d ")]

    @property
    def derivatives(self) -> dict[str, Node]:
        """The outputs that are derivatives, first and second."""
        return {name: node for name, node in self.outputs.items() if name.startswith(("d ", "dd "))}

    def _sizes(self, feeds: Mapping[str, Any]) -> dict[str, int]:
        sizes = {name: n for name, n in feeds.items() if isinstance(n, int)}
        for x in self.program().graph.inputs.values():
            x.spec.unify(np.shape(feeds[x.name]), sizes, x.name, dict.fromkeys(sizes, "by name"))
        return sizes

    # Checking ----------------------------------------------------------------------------------------------------

    def check_derivatives(self, feeds: Mapping[str, Any], results: Mapping[str, np.ndarray]) -> None:
        """Compare `d` and `dd` with central differences.

        Raises:
            AssertionError: naming the sample, the operand, the element and both numbers.
        """
        for name, numeric in self.numeric(feeds).items():
            if np.allclose(results[name], numeric, atol=ATOL, rtol=RTOL):
                continue
            at = np.unravel_index(int(np.argmax(np.abs(results[name] - numeric))), numeric.shape)
            order, operand = name.split()
            raise AssertionError(
                f"{show(self.op, self.one, self._sizes(feeds))}: the {'first' if order == 'd' else 'second'} "
                f"derivative by '{operand}' is {results[name][at]} at {tuple(map(int, at))}, "
                f"but central differences give {numeric[at]}."
            )
