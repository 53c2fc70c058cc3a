"""Checks made once: nodes of one op that have the same specs and attributes share the result of `prepare` and `infer`.

The layers of a deep net are alike, and so are their gradients. An op with `by_specs = True` promises that its `prepare`
and `infer` look only at three things: the specs of the operands, whether each operand is known before the run, and the
attributes. So if `prepare` has not replaced an operand, its result holds for every node that agrees in these three.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .spec import Size, Spec

if TYPE_CHECKING:
    from .node import Node

__all__ = ["Checked", "check_key", "keep_check", "known_check", "shared_for"]

_PLAIN = frozenset({int, str, bool, type(None), Size})
"""The types of attributes that can be compared by `==` and by type."""
_MOST = 4096
"""Results that are kept, at most."""


class Checked(NamedTuple):
    """The attributes after `prepare`, the spec that `infer` returned, and the `shared` values of such nodes."""

    attributes: Mapping[str, Any]
    spec: Spec | tuple[Spec, ...]
    shared: dict[str, Any]


_checked: dict[Hashable, Checked] = {}
_shared: dict[Hashable, dict[str, Any]] = {}


def check_key(node: Node) -> Hashable | None:
    """All that the checks of a node look at; None when an attribute is of another type than those of `_PLAIN`."""
    operands = node.operands
    if not node.attribute_names and len(operands) == len(node.node_fields) == 2:  # most nodes: the same, said faster
        a, b = operands
        return (node.__class__, a.spec, a.static, b.spec, b.static)
    mine = node.__dict__
    key: list[Any] = [node.__class__]
    for operand in operands:
        key.append(operand.spec)
        if operand.static:
            key.append(True)
    for name in node.node_fields:
        if mine[name] is None:
            key.append(name)
    for name in node.attribute_names:
        value = mine[name]
        kind = value.__class__
        if kind is tuple:
            for part in value:
                if part.__class__ in _PLAIN:
                    key.append(part.__class__)
                elif not hasattr(part, "operands"):
                    return None
                else:  # a tuple of operands, which are in the key already
                    value = len(value)
                    break
        elif kind not in _PLAIN:
            return None
        key.append(kind)
        key.append(value)
    return tuple(key)


def known_check(key: Hashable | None) -> Checked | None:
    """The result that is kept for this key, if there is one."""
    return None if key is None else _checked.get(key)


def keep_check(key: Hashable | None, node: Node) -> None:
    """Keep the result for a node whose operands were not replaced by `prepare`."""
    if key is not None:
        _forget_many()
        _checked[key] = Checked(node.attributes(), node.spec, node.__dict__.setdefault("_shared", shared_for(key)))


def shared_for(key: Hashable | None) -> dict[str, Any]:
    """The mapping in which ops keep what they compute from specs and attributes alone: see `Node.shared`."""
    if key is None:
        return {}
    _forget_many()
    return _shared.setdefault(key, {})


def _forget_many() -> None:
    if len(_checked) + len(_shared) >= _MOST:
        _checked.clear()
        _shared.clear()
