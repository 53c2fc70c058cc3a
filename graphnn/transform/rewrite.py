"""Rewriting: rules applied to each node of a graph, operands first, in one sweep.

A rule is a function from a node to what stands for it, or None. `Rules` asks a rule only about nodes of the ops it
names, so that a node nobody has a rule for costs a look into a dictionary. What no rule touches is not rebuilt.
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
"""Answers to one node after which a rule is taken not to settle."""


class Rules:
    """Rules by the ops they look at.

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
        """The rules about an op, in the order in which they were added."""

    def on(self, *ops: type[Node]) -> Callable[[Rule], Rule]:
        """Add a rule about nodes of these ops, and of those derived from them."""

        def add(rule: Rule) -> Rule:
            self._known.append((ops, rule))
            self.of = _ByOp(self._known)
            return rule

        return add


class _ByOp(dict[type[Node], tuple[Rule, ...]]):
    """Rules found by op, and kept: asking about a node is one look into a dictionary."""

    def __init__(self, known: Sequence[tuple[tuple[type[Node], ...], Rule]]) -> None:
        super().__init__()
        self._known = known

    def __missing__(self, op: type[Node]) -> tuple[Rule, ...]:
        found = self[op] = tuple(rule for ops, rule in self._known if issubclass(op, ops))
        return found


def rewrite(graph: Graph, rule: Rule | Rules | Mapping[Node, Rule], exact: bool = False) -> Graph:
    """The graph with rules applied to each node, operands first; the same graph when nothing changed.

    `rule` is one rule for all nodes, or `Rules` by op, or a mapping from nodes of the graph to the rule of each.

    A rule gets a node whose operands are rewritten already, and returns what stands for it, or None to keep it.
    What it builds takes the node's place in the order. It is asked again about its own answer, except the rule of
    a single node. With `exact`, or inside an exact pass, a product or a reduction goes on reading memory that lies
    as before: its bits depend on that.

    A rule must be a function of the node: nodes are asked about before anything is rewritten, in any order, and
    `Rules` that are applied again while the graph is compiled only about those that are new.

    Raises:
        GraphError: when an answer has another shape or dtype than the node, or a rule never settles.
    """
    record = current()
    rules: Rules | Mapping[Node, tuple[Rule]]
    if isinstance(rule, Mapping):
        rules = {node: (only,) for node, only in rule.items()}
    else:
        rules = rule if isinstance(rule, Rules) else Rules(rule)
    quiet = _quiet(graph, rules)
    if quiet is None:
        return graph
    sweep = _Sweep(rules, record, exact or record.exact, quiet)
    sweep.over(graph)
    if sweep.replaced:
        record.moves.append(sweep.replaced)
    return graph.replaced(sweep.replaced, list(dict.fromkeys(sweep.order)), sweep.stirred)


def _quiet(graph: Graph, rules: Rules | Mapping[Node, tuple[Rule]]) -> set[Node] | None:
    """Nodes that their rules have no answer to as they stand, up to the first that has one; None when none has.

    Most passes find nothing in most graphs: what they then cost is asking those nodes that have rules.
    """
    quiet: set[Node] = remembered(rules, set) if isinstance(rules, Rules) else set()
    with standing_in() as place:
        for nodes, asked in _asked(graph, rules):
            for node in nodes:
                if node in quiet:
                    continue
                place(node)
                for rule in asked:
                    answer = rule(node)
                    if answer is not None and answer is not node:
                        return quiet
                quiet.add(node)
    return None


def _asked(
    graph: Graph, rules: Rules | Mapping[Node, tuple[Rule]]
) -> Iterator[tuple[Sequence[Node], tuple[Rule, ...]]]:
    """Nodes with the rules that they are asked by."""
    if isinstance(rules, Rules):
        return ((nodes, asked) for op, nodes in graph.by_op.items() if (asked := rules.of[op]))
    return (([node], asked) for node, asked in rules.items())


class _Sweep:
    """One sweep over a graph, operands first."""

    def __init__(
        self, rules: Rules | Mapping[Node, tuple[Rule]], record: Record, exact: bool, quiet: set[Node]
    ) -> None:
        self.rules, self.record, self.exact, self.quiet = rules, record, exact, quiet
        self.replaced: dict[Node, Node] = {}
        """What stands for the nodes replaced or rebuilt."""
        self.order: list[Node] = []
        """All that stand now, in order, and what answers were built with."""
        self.stirred: set[int] = set()
        """The places, by serial, where an answer stands."""
        self.aside: dict[Node, Node] = {}
        """What an answer stands for, in case that a reader must not see the answer."""

    def over(self, graph: Graph) -> None:
        replaced, quiet, order = self.replaced, self.quiet, self.order
        stands = replaced.keys().isdisjoint  # asked of a node's operands
        by_op = self.rules.of if isinstance(self.rules, Rules) else None
        by_node: Mapping[Node, tuple[Rule, ...]] = {} if isinstance(self.rules, Rules) else self.rules
        with standing_in() as place, recording() as built:
            for node in graph.nodes:
                if stands(node.operands):
                    if node in quiet:
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
                        if answer is not None and answer is not new and self._heard(rule, node, new, answer):
                            new = self._settled(node, answer)
                            break
                    else:
                        if self.record.answers is None:
                            quiet.add(new)
                    if len(built) > known:  # what the answer is made of
                        order += built[known:]
                        self.stirred.add(node.birth.serial)
                if new is not node:
                    replaced[node] = new
                order.append(new)

    def _rebuilt(self, node: Node) -> Node:
        return rebuilt(node, self.replaced, self.aside) if self.exact else node.with_operands(self.replaced)

    def _settled(self, original: Node, node: Node) -> Node:
        """What stands for a node once no rule has anything more to say; the rule of a single node is heard once."""
        if not isinstance(self.rules, Rules):
            return node
        for _ in range(_PATIENCE):
            for rule in self.rules.of[node.__class__]:
                answer = rule(node)
                if answer is not None and answer is not node and self._heard(rule, original, node, answer):
                    break
            else:
                return node
            node = answer
        raise GraphError(
            f"the rule '{rule_name(rule)}' never settles: it answered {_PATIENCE} times in turn about {describe(node)}."
        )

    def _heard(self, rule: Rule, original: Node, node: Node, answer: Node) -> bool:
        """Write an answer into the record; False when no further ones are heard."""
        record = self.record
        if record.answers is not None and len(record.fired) >= record.answers and rule_name(rule) != INSIDE:
            return False
        if answer.spec != node.spec:
            raise GraphError(
                f"the rule '{rule_name(rule)}' replaced {node!r} by {answer!r}: the spec must stay the same."
            )
        record.fired.append(Fired(rule_name(rule), original, node, answer))
        self.aside.setdefault(original, node)
        return True


def rule_name(rule: Rule) -> str:
    """What reports call a rule: its name in words."""
    return getattr(rule, "__name__", type(rule).__name__).strip("_").replace("_", " ")


def rebuilt(node: Node, replaced: Mapping[Node, Node], aside: Mapping[Node, Node]) -> Node:
    """A node over what stands for its operands, in an exact pass.

    A product or a reduction goes on reading memory that lies as before: its last bits depend on that. `aside` has
    those that something else stands for, each as it would be without.
    """
    new = node.with_operands(replaced)
    if node.indifferent or not reaches(node, aside) or reads_alike(node, new):
        return new
    kept = {operand: faithful(operand, replaced, aside) for operand in node.operands}
    for operand, standing in kept.items():
        if standing is not replaced.get(operand, operand):
            note(node, operand, "another place or order in memory would change the last bits")
    return node.with_operands({operand: new for operand, new in kept.items() if new is not operand})
