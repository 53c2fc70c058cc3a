"""Optimisers: rules that build graphs. `updates` maps each parameter to the node of its next value.

The learning rate is a runtime scalar, a parameter of the program, so changing it never recompiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import GraphError
from ..ir.differentiate import grad
from ..ir.leaf import Constant, Parameter
from ..ir.node import Node, describe
from ..ir.walk import ordered, walk
from ..ops.functions import Minimum, Sqrt
from ..ops.reductions import Sum

__all__ = ["SGD", "Optimizer", "clip_by_global_norm", "trainable_parameters"]


class Optimizer:
    """The base of update rules: a subclass answers `step`, how one parameter moves.

    >>> import graphnn as gn
    >>> class SignSGD(gn.Optimizer):
    ...     def step(self, parameter, gradient, lr):
    ...         return {parameter: parameter - lr * gradient / (gn.Abs(gradient) + 1e-12)}
    >>> w = gn.Parameter("w", 3.0)
    >>> loss = w * w
    >>> step = gn.compile(loss, SignSGD(lr=0.5).updates(loss))
    >>> _ = step(); print(w.value.round(3))
    2.5
    """

    def __init__(self, lr: float = 0.01) -> None:
        self._initial_lr = float(lr)
        self._lr: Parameter | None = None

    @property
    def lr(self) -> float:
        """The learning rate; assigning changes it in every program compiled from this optimiser."""
        return self._initial_lr if self._lr is None else float(self._lr.value)

    @lr.setter
    def lr(self, value: float) -> None:
        self._initial_lr = float(value)
        if self._lr is not None:
            self._lr.value = value

    def step(self, parameter: Parameter, gradient: Node, lr: Node) -> Mapping[Parameter, Node]:
        """The next value of a parameter, and of the state that its rule keeps."""
        raise NotImplementedError(f"{type(self).__name__} does not say how a parameter moves: define step(...).")

    def updates(
        self, loss: Node, params: Sequence[Parameter] | None = None, max_grad: float | None = None
    ) -> dict[Parameter, Node]:
        """The updates that lower a scalar loss: a mapping from parameters and state to their next values.

        `params` are by default the trainable parameters that the loss depends on. `max_grad` clips the gradients
        by their global norm.

        Raises:
            ShapeError: when the loss is not a scalar.
            GraphError: when it depends on no trainable parameter, or not on one given.
        """
        targets = trainable_parameters(loss) if params is None else list(params)
        if not targets:
            raise GraphError(f"the loss {describe(loss)} depends on no trainable parameter: there is nothing to learn.")
        gradients = grad(loss, targets)
        if max_grad is not None:
            gradients = clip_by_global_norm(gradients, max_grad)
        lr = self._learning_rate(targets)
        updates: dict[Parameter, Node] = {}
        for parameter, gradient in zip(targets, gradients, strict=True):
            updates.update(self.step(parameter, gradient, lr.cast(parameter.dtype)))
        for node in walk([loss]):
            updates.update(node.state_updates())
        return updates

    def _learning_rate(self, targets: Sequence[Parameter]) -> Parameter:
        if self._lr is None:
            dtype = np.result_type(*(p.dtype for p in targets))
            self._lr = Parameter("lr", self._initial_lr, dtype=dtype, trainable=False)
        return self._lr


class SGD(Optimizer):
    """Stochastic gradient descent: `W <- W - lr * dL/dW`; `SGD(lr=0.01)`.

    Source: H. Robbins and S. Monro, A Stochastic Approximation Method, 1951.

    >>> import graphnn as gn
    >>> w = gn.Parameter("w", 3.0)
    >>> loss = w * w
    >>> step = gn.compile(loss, gn.SGD(lr=0.25).updates(loss))
    >>> float(step()), float(w.value)
    (9.0, 1.5)
    """

    def step(self, parameter: Parameter, gradient: Node, lr: Node) -> Mapping[Parameter, Node]:
        """A step against the gradient."""
        return {parameter: parameter - lr * gradient}


def trainable_parameters(loss: Node) -> list[Parameter]:
    """The trainable parameters that a node depends on, in order of declaration."""
    return [node for node in ordered(walk([loss])) if isinstance(node, Parameter) and node.trainable]


def clip_by_global_norm(gradients: Sequence[Node], max_grad: float) -> list[Node]:
    """Gradients scaled so that the norm over all of them is at most `max_grad`.

    `rate = max_grad / (norm + 1e-6)`, applied when below 1.
    Source: R. Pascanu, T. Mikolov and Y. Bengio, On the difficulty of training recurrent neural networks, 2013.

    Raises:
        GraphError: when `max_grad` is not positive.
    """
    if not max_grad > 0:
        raise GraphError(f"max_grad is {max_grad!r}; a norm to clip by is positive.")
    total: Node = Sum(gradients[0] * gradients[0])
    for gradient in gradients[1:]:
        total = total + Sum(gradient * gradient)
    rate = Minimum(max_grad / (Sqrt(total) + 1e-6), Constant(1.0, dtype=total.dtype))
    return [gradient * rate.cast(gradient.dtype) for gradient in gradients]
