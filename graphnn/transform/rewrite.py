"""Rewriting: rules applied to each node of a graph, operands first, in one sweep.

A rule is a function that takes a node and returns a node to replace it, or None to leave it. `Rules` asks a rule only
about nodes of the ops that it names, so a node for which there is no rule costs one look into a dictionary. Nodes that
no rule changes are not rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from ..errors import GraphError
from ..ir.context import recording, standing_in
from ..ir.graph import Graph
from ..ir.node import Node, describe
from .layout import faithful, reaches, reads_alike
from .memo import remembered
from .record import INSIDE, Fired, Record, current, note

__all__ = ["Rule", "Rules", "rebuilt", "rewrite"]

Rule: TypeAlias = Callable[[Node], "Node | None"]
_PATIENCE = 100
"""A rule that has replaced one node so often in turn is taken to have no end."""


class Rules:
    """Rules, sorted by the ops of the nodes that they look at.

    >>> import graphnn as gn
    >>> rules = gn.Rules()
    >>> @rules.on(gn.Neg)
    ... def double_negation(node):
    ...     match node:
    ...         case gn.Neg(gn.Neg(x)): return x
    >>> x = gn.Input("x", ())
    >>> [node.op for node in gn.rewrite(gn.Graph(-(-x)), rules).nodes]
    ['Input']
    """

    def __init__(self, *everywhere: Rule) -> None:
        self._known: list[tuple[tuple[type[Node], ...], Rule]] = [((Node,), rule) for rule in everywhere]
        self.of: Mapping[type[Node], tuple[Rule, ...]] = _ByOp(self._known)
        """The rules for each op, in the order in which they were added."""

    def on(self, *ops: type[Node]) -> Callable[[Rule], Rule]:
        """A decorator that adds a rule for nodes of these ops, and of ops derived from them."""

        def add(rule: Rule) -> Rule:
            self._known.append((ops, rule))
            self.of = _ByOp(self._known)
            return rule

        return add


class _ByOp(dict[type[Node], tuple[Rule, ...]]):
    """The rules for each op, found when they are first asked for."""

    def __init__(self, known: Sequence[tuple[tuple[type[Node], ...], Rule]]) -> None:
        super().__init__()
        self._known = known

    def __missing__(self, op: type[Node]) -> tuple[Rule, ...]:
        found = self[op] = tuple(rule for ops, rule in self._known if issubclass(op, ops))
        return found


def rewrite(graph: Graph, rule: Rule | Rules | Mapping[Node, Rule], exact: bool = False) -> Graph:
    """The graph with rules applied to each node, operands first; the same graph when nothing changed.

    `rule` is one rule for all nodes, or `Rules` by op, or a mapping from nodes of the graph to a rule for each.

    A rule is given a node whose operands are rewritten already. It returns a node to replace it, or None. The nodes
    that it builds take the position of the replaced node in the order. The rules are then applied to the new node,
    until none changes it; a rule that is given for a single node is applied once. With `exact`, or inside an exact
    pass, products and reductions keep reading operands with the same memory layout, because their last bits depend on
    it.

    The result of a rule must depend on the node alone. Rules are first tried on the nodes as they stand, in any order.
    When the same `Rules` are applied again in one compilation, they are tried only on nodes that are new since then.

    Raises:
        GraphError: when a rule returns a node of another shape or dtype, or when rules replace a node without end.
    """
    record = current()
    rules: Rules | Mapping[Node, tuple[Rule]]
    if isinstance(rule, Mapping):
        rules = {node: (only,) for node, only in rule.items()}
    else:
        rules = rule if isinstance(rule, Rules) else Rules(rule)
    unchanged = _unchanged(graph, rules)
    if unchanged is None:
        return graph
    sweep = _Sweep(rules, record, exact or record.exact, unchanged)
    sweep.over(graph)
    if sweep.replaced:
        record.moves.append(sweep.replaced)
    return graph.replaced(sweep.replaced, list(dict.fromkeys(sweep.order)), sweep.unsorted)


def _unchanged(graph: Graph, rules: Rules | Mapping[Node, tuple[Rule]]) -> set[Node] | None:
    """The nodes that their rules leave as they are, up to the first that a rule changes; None when no rule changes any.

    Most passes find nothing in most graphs. Such a pass costs no more than trying its rules.
    """
    unchanged: set[Node] = remembered(rules, set) if isinstance(rules, Rules) else set()
    with standing_in() as place:
        for nodes, asked in _asked(graph, rules):
            for node in nodes:
                if node in unchanged:
                    continue
                place(node)
                for rule in asked:
                    answer = rule(node)
                    if answer is not None and answer is not node:
                        return unchanged
                unchanged.add(node)
    return None


def _asked(
    graph: Graph, rules: Rules | Mapping[Node, tuple[Rule]]
) -> Iterator[tuple[Sequence[Node], tuple[Rule, ...]]]:
    """Groups of nodes, each with the rules for them."""
    if isinstance(rules, Rules):
        return ((nodes, asked) for op, nodes in graph.by_op.items() if (asked := rules.of[op]))
    return (([node], asked) for node, asked in rules.items())


class _Sweep:
    """One sweep over a graph, operands first."""

    def __init__(
        self, rules: Rules | Mapping[Node, tuple[Rule]], record: Record, exact: bool, unchanged: set[Node]
    ) -> None:
        self.rules, self.record, self.exact, self.unchanged = rules, record, exact, unchanged
        self.replaced: dict[Node, Node] = {}
        """The new node for each node that was replaced or rebuilt."""
        self.order: list[Node] = []
        """The nodes of the new graph, in order, among others that rules have built."""
        self.unsorted: set[int] = set()
        """The serials of nodes that a rule replaced: several nodes may share them now."""
        self.before: dict[Node, Node] = {}
        """For each node that a rule replaced, the node over rewritten operands that the rule was given."""

    def over(self, graph: Graph) -> None:
        replaced, unchanged, order = self.replaced, self.unchanged, self.order
        none_replaced = replaced.keys().isdisjoint  # called with a node's operands
        by_op = self.rules.of if isinstance(self.rules, Rules) else None
        by_node: Mapping[Node, tuple[Rule, ...]] = {} if isinstance(self.rules, Rules) else self.rules
        with standing_in() as place, recording() as built:
            for node in graph.nodes:
                if none_replaced(node.operands):
                    if node in unchanged:
                        order.append(node)
                        continue
                    new = node
                else:
                    new = self._rebuilt(node)
                asked = by_op[node.__class__] if by_op is not None else by_node.get(node, ())
                if asked:
                    place(node)
                    known = len(built)
                    for rule in asked:
                        answer = rule(new)
                        if answer is not None and answer is not new and self._accept(rule, node, new, answer):
                            new = self._settled(node, answer)
                            break
                    else:
                        if self.record.limit is None:
                            unchanged.add(new)
                    if len(built) > known:  # the parts of the new node
                        order += built[known:]
                        self.unsorted.add(node.birth.serial)
                if new is not node:
                    replaced[node] = new
                order.append(new)

    def _rebuilt(self, node: Node) -> Node:
        return rebuilt(node, self.replaced, self.before) if self.exact else node.with_operands(self.replaced)

    def _settled(self, original: Node, node: Node) -> Node:
        """The node that is left once no rule changes it any more; a rule for a single node is applied once only."""
        if not isinstance(self.rules, Rules):
            return node
        for _ in range(_PATIENCE):
            for rule in self.rules.of[node.__class__]:
                answer = rule(node)
                if answer is not None and answer is not node and self._accept(rule, original, node, answer):
                    break
            else:
                return node
            node = answer
        raise GraphError(
            f"the rule '{rule_name(rule)}' never settles: it answered {_PATIENCE} times in turn about {describe(node)}."
        )

    def _accept(self, rule: Rule, original: Node, node: Node, answer: Node) -> bool:
        """Write a replacement into the record; False when the record's limit is reached."""
        record = self.record
        if record.limit is not None and len(record.fired) >= record.limit and rule_name(rule) != INSIDE:
            return False
        if answer.spec != node.spec:
            raise GraphError(
                f"the rule '{rule_name(rule)}' replaced {node!r} by {answer!r}: the spec must stay the same."
            )
        record.fired.append(Fired(rule_name(rule), original, node, answer))
        self.before.setdefault(original, node)
        return True


def rule_name(rule: Rule) -> str:
    """The name of a rule in words, for reports."""
    return getattr(rule, "__name__", type(rule).__name__).strip("_").replace("_", " ")


def rebuilt(node: Node, replaced: Mapping[Node, Node], before: Mapping[Node, Node]) -> Node:
    """The node over its new operands, in an exact pass.

    A product or a reduction must read operands with the same memory layout as before, because its last bits depend on
    it. Where a new operand lies otherwise, the node reads the operand that the rule was given, which is in `before`.
    """
    new = node.with_operands(replaced)
    if node.indifferent or not reaches(node, before) or reads_alike(node, new):
        return new
    kept = {operand: faithful(operand, replaced, before) for operand in node.operands}
    for operand, standing in kept.items():
        if standing is not replaced.get(operand, operand):
            note(node, operand, "another place or order in memory would change the last bits")
    return node.with_operands({operand: new for operand, new in kept.items() if new is not operand})
