"""Reverse-mode differentiation, graph to graph.

The backward pass visits the forward nodes in reverse order. The gradient of a node is the sum (AddN) of the
contributions from its users, and its rule `vjp` turns that into contributions to its operands. The results are
ordinary nodes, so a gradient can be printed, drawn, optimised and differentiated again. A value that a choice (`Where`,
`Maximum`) did not take gets the gradient 0, and so does all that it was made of: see `graphnn.ir.branches`.

Source: A. Griewank and A. Walther, Evaluating Derivatives, 2nd edition, SIAM 2008, chapter 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

from ..errors import GraphError, ShapeError
from .branches import guarded
from .broadcast import zeros_like
from .collector import collector_paused
from .context import adjoint
from .leaf import require_float
from .node import Item, Node, describe
from .spec import Spec
from .walk import ordered, walk

__all__ = ["grad", "pullback"]


@overload
def grad(loss: Node, wrt: Node) -> Node: ...  # type: ignore[overload-overlap]  # a node refuses iteration
@overload
def grad(loss: Node, wrt: Iterable[Node]) -> list[Node]: ...
def grad(loss: Node, wrt: Node | Iterable[Node]) -> Node | list[Node]:
    """The gradient of a scalar loss with respect to `wrt`, as a node of the same shape and dtype as `wrt`.

    For several nodes `wrt`, the result is a list in their order. Gradients are ordinary nodes: call `grad` on them for
    higher derivatives. The gradient is zero where none flows, as behind `stop_gradient` or through a comparison.

    Raises:
        ShapeError: when the loss is not a scalar.
        DTypeError: when the loss or a wrt is not of a float dtype.
        GraphError: when the loss does not depend on a wrt.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ())
    >>> d2 = gn.grad(gn.grad(x ** 3, x), x)
    >>> float(gn.compile(d2)(x=2.0))
    12.0
    """
    if isinstance(wrt, Node):
        return grad(loss, [wrt])[0]
    targets = list(wrt)
    if not isinstance(loss, Node):
        raise GraphError(f"grad: the loss is {type(loss).__name__}, not a node.")
    if loss.shape != ():
        raise ShapeError(f"grad: the loss {describe(loss)} is not a scalar. Reduce it first, as in gn.Sum(loss).")
    require_float(loss, "grad")
    reached = set(walk([loss]))
    for target in targets:
        if not isinstance(target, Node):
            raise GraphError(f"grad: wrt is {type(target).__name__}, not a node.")
        require_float(target, "grad")
        if target not in reached:
            raise GraphError(f"grad: the loss {describe(loss)} does not depend on {describe(target)}.")
    with collector_paused():
        with adjoint(loss):
            one = Node.roles["constant"](1.0).cast(loss.dtype)
        found = pullback([loss], [one], targets)
    return [zeros_like(target) if g is None else g for target, g in zip(targets, found, strict=True)]


def pullback(
    outputs: Sequence[Node],
    upstream: Sequence[Node],
    wrt: Sequence[Node],
    stop: frozenset[Node] = frozenset(),
    order: Sequence[Node] | None = None,
) -> list[Node | None]:
    """The gradient of each `wrt`, given the upstream gradients of the outputs; None where it is zero.

    It is the sum over the outputs of the transposed Jacobian of the output by `wrt`, times its upstream gradient.
    Nodes in `stop` are not differentiated: the expansion of a composite ends at its operands. `order` holds all nodes
    that the outputs need, operands first, if the caller knows them.
    """
    if order is None:
        order = ordered(walk(outputs, stop))
    forward = frozenset(order)
    active = set(wrt)
    for node in order:
        if not active.isdisjoint(node.operands):
            active.add(node)

    pending: dict[Node, list[Any]] = {}
    for output, g in zip(outputs, upstream, strict=True):
        pending.setdefault(output, []).append(g)
    for node in reversed(order):
        parts = pending.get(node)
        if parts is None or node not in active:
            continue
        with adjoint(node):
            g = parts[0] if len(parts) == 1 and isinstance(node.spec, Spec) else _gather(node, parts)
            pending[node] = [g]
            if node in stop or not node.operands:
                continue
            if isinstance(node, Item):
                pending.setdefault(node.node, []).append((node.index, g))
                continue
            contributions = _contributions(node, g)
            sent = tuple(
                [k if operand in active else None for operand, k in zip(node.operands, contributions, strict=True)]
            )
            for operand, contribution in zip(node.operands, guarded(node, g, sent, forward), strict=True):
                if contribution is not None:
                    _check(node, operand, contribution)
                    pending.setdefault(operand, []).append(contribution)
    return [pending[node][0] if node in pending else None for node in wrt]


def _gather(node: Node, parts: list[Any]) -> Any:
    """The sum of the contributions from the users of a node; for a node with several results, one sum for each."""
    if isinstance(node.spec, tuple):
        return tuple(_total([g for index, g in parts if index == i]) for i in range(len(node.spec)))
    return _total(parts)


def _total(parts: list[Node]) -> Node | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    total: Node = Node.roles["add_n"](tuple(parts))
    return total


def _contributions(node: Node, g: Any) -> tuple[Node | None, ...]:
    contributions = node.vjp(g)
    if contributions is None or isinstance(contributions, Node):
        contributions = (contributions,)
    if len(contributions) != len(node.operands):
        raise GraphError(
            f"{node.op}.vjp gives {len(contributions)} gradients for {len(node.operands)} operands "
            f"of {describe(node)}: one for each is needed, None where there is none."
        )
    return contributions


def _check(node: Node, operand: Node, g: Node) -> None:
    if g.spec is not operand.spec and g.spec != operand.spec:
        raise ShapeError(
            f"{node.op}.vjp gives a gradient {g.spec} for its operand {describe(operand)}: "
            "the gradient of a value has its shape and dtype."
        )
