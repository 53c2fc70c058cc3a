"""Optimisers: update rules as graphs. `updates` maps each parameter, and each state, to the node of its next value.

The learning rate is a runtime scalar, and the number of steps taken is a state. So neither a new rate nor a schedule
recompiles anything, and a whole training loop runs inside the compiled program.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..errors import GraphError
from ..ir.broadcast import repeating_once
from ..ir.collector import collector_paused
from ..ir.differentiate import grad
from ..ir.leaf import Constant, Parameter
from ..ir.node import Node, describe
from ..ir.walk import ordered, walk
from ..ops.choice import Where
from ..ops.compare import Equal
from .clipping import clip_by_global_norm, clip_by_value
from .scaling import LossScaling

__all__ = ["SGD", "Group", "Momentum", "Nesterov", "Optimizer", "Schedule", "trainable_parameters"]

Schedule: TypeAlias = Callable[[Node], Node]
"""A function from the number of steps taken, a float64 scalar node, to the factor for the learning rate."""


@dataclass(frozen=True)
class Group:
    """Parameters with options of their own: `Group(params, lr_scale=1.0, **options)`.

    `lr_scale` multiplies the learning rate. Other options, such as `weight_decay=0.0` for biases, replace those of the
    optimiser.

    >>> import graphnn as gn
    >>> W, b = gn.Parameter("W", 1.0), gn.Parameter("b", 1.0)
    >>> loss = W * W + b * b
    >>> opt = gn.SGD(lr=0.1, weight_decay=0.5, groups=[gn.Group([b], lr_scale=2.0, weight_decay=0.0)])
    >>> _ = gn.compile(loss, opt.updates(loss))()
    >>> print(W.value.round(3), b.value.round(3))
    0.75 0.6
    """

    params: Sequence[Parameter]
    lr_scale: float
    options: Mapping[str, Any]

    def __init__(self, params: Sequence[Parameter], lr_scale: float = 1.0, **options: Any) -> None:
        object.__setattr__(self, "params", tuple(params))
        object.__setattr__(self, "lr_scale", float(lr_scale))
        object.__setattr__(self, "options", options)


class Optimizer:
    """The base of optimisers: a subclass defines `step`, the update of one parameter.

    `lr` is the learning rate. `schedule` is a function from the number of steps taken to a factor for the learning
    rate, such as those of `gn.schedules`. `groups` are parameters with options of their own. With `accumulate`, the
    gradients of so many batches are added up, and one step is taken with their mean. `name` is a prefix for the names
    of the state, so that two optimisers can be in one program.

    In `step`, `self.state(parameter, "velocity")` is a value that is carried from step to step, and `self.taken()` is
    the number of steps taken.

    Raises:
        GraphError: when an option makes no sense.

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

    def __init__(
        self,
        lr: float = 0.01,
        *,
        schedule: Schedule | None = None,
        groups: Sequence[Group] = (),
        accumulate: int = 1,
        name: str = "",
    ) -> None:
        if accumulate < 1:
            raise GraphError(f"accumulate is {accumulate!r}; it must be 1 or more batches.")
        self.schedule, self.groups, self.accumulate, self.name = schedule, tuple(groups), accumulate, name
        try:
            self._initial_lr = float(lr)
        except (TypeError, ValueError):
            raise GraphError(
                f"{type(self).__name__}: lr is {lr!r}; it is a number. What changes it is schedule=, and "
                "parameters are given to updates(loss, params=[...])."
            ) from None
        self._states: dict[tuple[Parameter | None, str], Parameter] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(lr={self.lr:g})"

    # What a rule may use -----------------------------------------------------------------------------------------

    def step(self, parameter: Parameter, gradient: Node, lr: Node) -> Mapping[Parameter, Node]:
        """The next values of a parameter and of its state."""
        raise NotImplementedError(f"{type(self).__name__} does not say how a parameter moves: define step(...).")

    def state(self, parameter: Parameter, name: str) -> Parameter:
        """A state of the parameter: an array of its shape and dtype, zero at first, carried from step to step."""
        return self._remembered(
            parameter, f"{parameter.name}.{name}", np.zeros(parameter.storage.shape, parameter.dtype)
        )

    def taken(self) -> Node:
        """The number of steps taken before this one, as a float64 scalar."""
        return self._remembered(None, "steps", np.int64(0)).cast(np.dtype(np.float64))

    def _remembered(self, parameter: Parameter | None, name: str, value: Any) -> Parameter:
        known = self._states.get((parameter, name))
        if known is None:
            full = f"{self.name}.{name}" if self.name else name
            dtype = np.asarray(value).dtype
            known = self._states[parameter, name] = Parameter(full, value, dtype=dtype, trainable=False)
        return known

    # The learning rate -------------------------------------------------------------------------------------------

    @property
    def lr(self) -> float:
        """The learning rate. Assigning changes it in every program that is compiled from this optimiser."""
        held = self._states.get((None, "lr"))
        return self._initial_lr if held is None else float(held.value)

    @lr.setter
    def lr(self, value: float) -> None:
        self._initial_lr = float(value)
        held = self._states.get((None, "lr"))
        if held is not None:
            held.value = np.asarray(value)

    @property
    def rate(self) -> Parameter:
        """The parameter that holds the learning rate, once `updates` was called.

        Raises:
            GraphError: when `updates` was not called yet.
        """
        held = self._states.get((None, "lr"))
        if held is None:
            raise GraphError(f"{type(self).__name__} has no parameter for its rate yet: ask for its updates first.")
        return held

    def _learning_rate(self, targets: Sequence[Parameter]) -> Node:
        dtype = np.result_type(*(p.dtype for p in targets))
        lr = self._remembered(None, "lr", np.asarray(self._initial_lr, dtype))
        return lr if self.schedule is None else lr * self.schedule(self.taken()).cast(lr.dtype)

    # Updates -----------------------------------------------------------------------------------------------------

    def updates(
        self,
        loss: Node,
        params: Sequence[Parameter] | None = None,
        max_grad: float | None = None,
        max_value: float | None = None,
        scaling: LossScaling | None = None,
    ) -> dict[Parameter, Node]:
        """The updates that lower a scalar loss: a mapping from parameters and state to their next values.

        `params` are by default the trainable parameters that the loss depends on. `max_value` clips each element of the
        gradients; then `max_grad` clips the gradients by their global norm. `scaling` is for mixed precision: it scales
        the loss that is differentiated, and skips steps whose gradients overflow.

        Raises:
            ShapeError: when the loss is not a scalar.
            GraphError: when it depends on no trainable parameter, or not on one of `params`.
        """
        targets = trainable_parameters(loss) if params is None else list(params)
        if not targets:
            raise GraphError(f"the loss {describe(loss)} depends on no trainable parameter: there is nothing to learn.")
        derived = grad(loss if scaling is None else scaling.scaled(loss), targets)
        gradients, waiting = self._accumulated(targets, derived if scaling is None else scaling.unscaled(derived))
        if max_value is not None:
            gradients = clip_by_value(gradients, max_value)
        if max_grad is not None:
            gradients = clip_by_global_norm(gradients, max_grad)
        lr = self._learning_rate(targets)
        rules = self._rules(targets)
        moves: dict[Parameter, Node] = {}
        with collector_paused(), repeating_once():
            for parameter, gradient in zip(targets, gradients, strict=True):
                rule, scale = rules.get(parameter, (self, 1.0))
                rate = lr if scale == 1.0 else lr * scale
                moves.update(rule.step(parameter, gradient, rate.cast(parameter.dtype)))
        steps = self._states.get((None, "steps"))
        if steps is not None:
            moves[steps] = steps + 1
        updates = waiting(moves) if scaling is None else scaling.guarded(waiting(moves), derived)
        for node in walk([loss]):
            updates.update(node.state_updates())
        return updates

    def _rules(self, targets: Sequence[Parameter]) -> dict[Parameter, tuple[Optimizer, float]]:
        """For each parameter in a group: this optimiser with the options of the group, and the factor for the rate."""
        rules: dict[Parameter, tuple[Optimizer, float]] = {}
        known = set(targets)
        for group in self.groups:
            rule = copy.copy(self)  # it shares the mapping that holds the state
            for option, value in group.options.items():
                if not hasattr(rule, option):
                    raise GraphError(f"{type(self).__name__} has no option '{option}', which a group sets.")
                setattr(rule, option, value)
            for parameter in group.params:
                if parameter not in known:
                    raise GraphError(
                        f"a group holds {describe(parameter)}, which is not among the parameters to train."
                    )
                if parameter in rules:
                    raise GraphError(f"{describe(parameter)} stands in two groups.")
                rules[parameter] = rule, group.lr_scale
        return rules

    def _accumulated(
        self, targets: Sequence[Parameter], gradients: list[Node]
    ) -> tuple[list[Node], Callable[[dict[Parameter, Node]], dict[Parameter, Node]]]:
        """The gradients for a step, and a function that makes updates wait until enough batches are added up."""
        if self.accumulate == 1:
            return gradients, lambda moves: moves
        batch = self._remembered(None, "batches", np.int64(0))
        due = Equal(batch, Constant(self.accumulate - 1))
        sums = [self.state(p, "gradients") for p in targets]
        totals = [held + g for held, g in zip(sums, gradients, strict=True)]
        gathered: dict[Parameter, Node] = {
            held: Where(due, Constant(0.0, dtype=held.dtype), total) for held, total in zip(sums, totals, strict=True)
        }
        gathered[batch] = Where(due, Constant(0), batch + 1)

        def waiting(moves: dict[Parameter, Node]) -> dict[Parameter, Node]:
            return {p: Where(due, node, p) for p, node in moves.items()} | gathered

        return [total / self.accumulate for total in totals], waiting


class SGD(Optimizer):
    """Stochastic gradient descent: `W <- W - lr * dL/dW`.

    `SGD(lr=0.01, momentum=0.0, nesterov=False, weight_decay=0.0)`.

    With `momentum`, `v <- momentum * v + g` and `W <- W - lr * v`; with `nesterov`, `W <- W - lr * (g + momentum * v)`.
    `weight_decay` adds `weight_decay * W` to the gradient.
    Sources: H. Robbins and S. Monro, A Stochastic Approximation Method, 1951; I. Sutskever, J. Martens, G. Dahl and
    G. Hinton, On the importance of initialization and momentum in deep learning, 2013.

    >>> import graphnn as gn
    >>> w = gn.Parameter("w", 3.0)
    >>> loss = w * w
    >>> step = gn.compile(loss, gn.SGD(lr=0.25).updates(loss))
    >>> float(step()), float(w.value)
    (9.0, 1.5)
    """

    def __init__(
        self, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0, **options: Any
    ) -> None:
        super().__init__(lr, **options)
        if nesterov and not momentum:
            raise GraphError("SGD: nesterov looks ahead along the momentum, which is 0.")
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay

    def step(self, parameter: Parameter, gradient: Node, lr: Node) -> Mapping[Parameter, Node]:
        """A step against the gradient, or with momentum, along the velocity."""
        g = gradient + self.weight_decay * parameter if self.weight_decay else gradient
        if not self.momentum:
            return {parameter: parameter - lr * g}
        v = self.state(parameter, "velocity")
        new_v = self.momentum * v + g
        direction = g + self.momentum * new_v if self.nesterov else new_v
        return {parameter: parameter - lr * direction, v: new_v}


class Momentum(Optimizer):
    """Momentum: `v <- m * v - lr * g; p <- p + v`; `Momentum(lr=0.01, momentum=0.9)`.

    Source: B. Polyak, Some methods of speeding up the convergence of iteration methods, 1964.

    >>> import graphnn as gn
    >>> w = gn.Parameter("w", 1.0)
    >>> step = gn.compile(w * w, gn.Momentum(lr=0.1).updates(w * w))
    >>> _ = step(), step(); print(w.value.round(3))
    0.46
    """

    def __init__(self, lr: float = 0.01, momentum: float = 0.9, **options: Any) -> None:
        super().__init__(lr, **options)
        self.momentum = momentum

    def step(self, parameter: Parameter, gradient: Node, lr: Node) -> Mapping[Parameter, Node]:
        """A step along the velocity."""
        v = self.state(parameter, "velocity")
        new_v = self.momentum * v - lr * gradient
        return {v: new_v, parameter: parameter + new_v}


class Nesterov(Momentum):
    """Nesterov's momentum: `v <- m * v - lr * g; p <- p + m * m * v - (1 + m) * lr * g`, with the new v.

    `Nesterov(lr=0.01, momentum=0.9)`. Source: Y. Bengio, N. Boulanger-Lewandowski and R. Pascanu, Advances in
    Optimizing Recurrent Networks, 2012, section 3.5.

    >>> import graphnn as gn
    >>> w = gn.Parameter("w", 1.0)
    >>> step = gn.compile(w * w, gn.Nesterov(lr=0.1).updates(w * w))
    >>> _ = step(); print(w.value.round(3))
    0.458
    """

    def step(self, parameter: Parameter, gradient: Node, lr: Node) -> Mapping[Parameter, Node]:
        """A step along the velocity, with a look one step ahead."""
        m = self.momentum
        v = self.state(parameter, "velocity")
        new_v = m * v - lr * gradient
        return {v: new_v, parameter: parameter + m * m * new_v - (1 + m) * lr * gradient}


def trainable_parameters(loss: Node) -> list[Parameter]:
    """The trainable parameters that a node depends on, in order of declaration."""
    return [node for node in ordered(walk([loss])) if isinstance(node, Parameter) and node.trainable]
