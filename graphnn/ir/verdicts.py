"""Verdicts: what an op's checks said of operands of the same specs is not asked again.

The layers of a deep net are alike, and so are their gradients. An op that says `by_specs` promises that `prepare` and
`infer` look at nothing but the specs of the operands, whether they are known before the run, and the attributes. Where
`prepare` left the operands as they were, its answer holds for all nodes of the op that agree in these.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .spec import Size, Spec

if TYPE_CHECKING:
    from .node import Node

__all__ = ["Verdict", "keep_verdict", "question", "shared_by", "verdict"]

_PLAIN = frozenset({int, str, bool, type(None), Size})
"""Attributes of these types are the same when they are equal, and of the same type."""
_MOST = 4096


class Verdict(NamedTuple):
    """What `prepare` made of the attributes, the spec that `infer` gave, and what else nodes alike found out."""

    attributes: Mapping[str, Any]
    spec: Spec | tuple[Spec, ...]
    shared: dict[str, Any]


_verdicts: dict[Hashable, Verdict] = {}
_shared: dict[Hashable, dict[str, Any]] = {}


def question(node: Node) -> Hashable | None:
    """All that the checks of a node look at; None when an attribute is of a type not known to be plain."""
    operands = node.operands
    if not node.attribute_names and len(operands) == len(node.node_fields) == 2:  # most nodes: the same, said faster
        a, b = operands
        return (node.__class__, a.spec, a.static, b.spec, b.static)
    mine = node.__dict__
    asked: list[Any] = [node.__class__]
    for operand in operands:
        asked.append(operand.spec)
        if operand.static:
            asked.append(True)
    for name in node.node_fields:
        if mine[name] is None:
            asked.append(name)
    for name in node.attribute_names:
        value = mine[name]
        kind = value.__class__
        if kind is tuple:
            for part in value:
                if part.__class__ in _PLAIN:
                    asked.append(part.__class__)
                elif not hasattr(part, "operands"):
                    return None
                else:  # operands in a tuple, which stand above
                    value = len(value)
                    break
        elif kind not in _PLAIN:
            return None
        asked.append(kind)
        asked.append(value)
    return tuple(asked)


def verdict(asked: Hashable | None) -> Verdict | None:
    """What was said of nodes like this one."""
    return None if asked is None else _verdicts.get(asked)


def keep_verdict(asked: Hashable | None, node: Node) -> None:
    """Remember what was said of a node whose operands `prepare` left as they were."""
    if asked is not None:
        _forget_many()
        _verdicts[asked] = Verdict(node.attributes(), node.spec, node.__dict__.setdefault("_shared", shared_by(asked)))


def shared_by(asked: Hashable | None) -> dict[str, Any]:
    """Where the ops of nodes like this one keep what they work out of specs and attributes alone."""
    if asked is None:
        return {}
    _forget_many()
    return _shared.setdefault(asked, {})


def _forget_many() -> None:
    if len(_verdicts) + len(_shared) >= _MOST:
        _verdicts.clear()
        _shared.clear()
