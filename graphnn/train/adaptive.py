"""Adaptive optimisers: a step size for every element, from the gradients it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ir.leaf import Parameter
from ..ir.node import Node
from ..ops.functions import Sqrt
from .optim import Optimizer

__all__ = ["AdaGrad", "Adam", "AdamW", "RMSprop"]

_EPSILON = 1e-7


class AdaGrad(Optimizer):
    """AdaGrad: `h <- h + g * g; p <- p - lr * g / (sqrt(h) + 1e-7)`; `AdaGrad(lr=0.01)`.

    Source: J. Duchi, E. Hazan and Y. Singer, Adaptive Subgradient Methods for Online Learning, 2011.

    >>> import graphnn as gn
    >>> w = gn.Parameter("w", 1.0)
    >>> step = gn.compile(w * w, gn.AdaGrad(lr=0.1).updates(w * w))
    >>> _ = step(); print(w.value.round(3))
    0.9
    """

    def step(self, parameter: Parameter, gradient: Node, lr: Node) -> Mapping[Parameter, Node]:
        """A step that shrinks with the squares gathered so far."""
        h = self.state(parameter, "squares")
        new_h = h + gradient * gradient
        return {h: new_h, parameter: parameter - lr * gradient / (Sqrt(new_h) + _EPSILON)}


class RMSprop(Optimizer):
    """RMSprop: `h <- d * h + (1 - d) * g * g; p <- p - lr * g / (sqrt(h) + 1e-7)`; `RMSprop(lr=0.01, decay=0.99)`.

    Source: T. Tieleman and G. Hinton, Lecture 6.5 of Neural Networks for Machine Learning, 2012.

    >>> import graphnn as gn
    >>> w = gn.Parameter("w", 1.0)
    >>> step = gn.compile(w * w, gn.RMSprop(lr=0.01).updates(w * w))
    >>> _ = step(); print(w.value.round(3))
    0.9
    """

    def __init__(self, lr: float = 0.01, decay: float = 0.99, **options: Any) -> None:
        super().__init__(lr, **options)
        self.decay = decay

    def step(self, parameter: Parameter, gradient: Node, lr: Node) -> Mapping[Parameter, Node]:
        """A step divided by the running size of the gradient."""
        h = self.state(parameter, "squares")
        new_h = self.decay * h + (1 - self.decay) * gradient * gradient
        return {h: new_h, parameter: parameter - lr * gradient / (Sqrt(new_h) + _EPSILON)}


class Adam(Optimizer):
    """Adam: running means m of the gradient and v of its square, both corrected for their start at zero.

    `lr_t = lr * sqrt(1 - b2**t) / (1 - b1**t)` at step t = 1, 2, ..., and `p <- p - lr_t * m / (sqrt(v) + 1e-7)`;
    `Adam(lr=0.001, beta1=0.9, beta2=0.999)`. Source: D. Kingma and J. Ba, Adam: A Method for Stochastic Optimization,
    2015, the last lines of section 2.

    >>> import graphnn as gn
    >>> w = gn.Parameter("w", 1.0)
    >>> step = gn.compile(w * w, gn.Adam(lr=0.1).updates(w * w))
    >>> _ = step(); print(w.value.round(3))
    0.9
    """

    def __init__(self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, **options: Any) -> None:
        super().__init__(lr, **options)
        self.beta1, self.beta2 = beta1, beta2

    def step(self, parameter: Parameter, gradient: Node, lr: Node) -> Mapping[Parameter, Node]:
        """A step along the mean gradient, divided by its running size."""
        m, v = self.state(parameter, "mean"), self.state(parameter, "squares")
        new_m = m + (1 - self.beta1) * (gradient - m)
        new_v = v + (1 - self.beta2) * (gradient * gradient - v)
        t = self.taken() + 1
        # In float64 whatever the parameter's dtype: 1 - b2**t loses half its digits in float32 at first.
        correction = Sqrt(1 - self.beta2**t) / (1 - self.beta1**t)
        moved = parameter - lr * correction.cast(parameter.dtype) * new_m / (Sqrt(new_v) + _EPSILON)
        return {m: new_m, v: new_v, parameter: self.decayed(parameter, moved, lr)}

    def decayed(self, parameter: Parameter, moved: Node, lr: Node) -> Node:
        """What becomes of the moved parameter: itself."""
        return moved


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: after Adam's step, `p <- p - lr * weight_decay * p`, the old p.

    `AdamW(lr=0.001, beta1=0.9, beta2=0.999, weight_decay=0.01)`.
    Source: I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, 2019, algorithm 2.

    >>> import graphnn as gn
    >>> w = gn.Parameter("w", 1.0)
    >>> step = gn.compile(w * w, gn.AdamW(lr=0.1, weight_decay=0.5).updates(w * w))
    >>> _ = step(); print(w.value.round(3))
    0.85
    """

    def __init__(
        self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, weight_decay: float = 0.01, **options: Any
    ) -> None:
        super().__init__(lr, beta1, beta2, **options)
        self.weight_decay = weight_decay

    def decayed(self, parameter: Parameter, moved: Node, lr: Node) -> Node:
        """The moved parameter, less a part of the old one."""
        return moved - lr * self.weight_decay * parameter
