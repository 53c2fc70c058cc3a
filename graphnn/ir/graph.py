"""Graphs: the nodes that some outputs and updates need, in an order in which they can run.

A graph does not own its nodes: a node can be in many graphs. Making a graph takes one walk over the nodes, and a graph
never changes. Nothing here is recursive, so a chain of 100,000 nodes is no problem.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

import networkx as nx

from ..errors import GraphError, ShapeError
from .differentiate import grad
from .leaf import Input, Parameter
from .node import Node, describe
from .spec import Size, Spec
from .walk import ordered, walk

__all__ = ["Graph", "Outputs"]

_Leaf = TypeVar("_Leaf", Input, Parameter)
_serial = attrgetter("birth.serial")

Outputs: TypeAlias = "Node | Sequence[Node] | Mapping[str, Node]"


class Graph:
    """The graph of some outputs, and optionally of updates: `Graph(outputs, updates=None)`.

    `outputs` is a node, a sequence of nodes, or a mapping from names to nodes. `updates` maps parameters to their next
    values. Printing a graph lists its nodes; a notebook shows it as a picture, with its backward half if it has one.

    Raises:
        GraphError: for a cycle, for two inputs or parameters of the same name, or for an update of another node than a
            parameter.
        ShapeError: when an update has another shape or dtype than its parameter.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", 2))
    >>> g = gn.Graph(gn.Sum(x * x))
    >>> [node.op for node in g.nodes]
    ['Input', 'Mul', 'Sum']
    """

    def __init__(
        self,
        outputs: Outputs,
        updates: Mapping[Parameter, Node] | None = None,
    ) -> None:
        self.outputs: dict[str, Node] = name_outputs(outputs)
        if updates is not None and not isinstance(updates, Mapping):
            raise GraphError(
                f"updates is {type(updates).__name__}, not a mapping from parameters to their next values, "
                "which an optimiser makes: gn.SGD(lr=0.1).updates(loss)."
            )
        self.updates: dict[Parameter, Node] = dict(updates or {})
        for parameter, value in self.updates.items():
            _check_update(parameter, value)
        self._find_nodes()

    def _find_nodes(self, among: Sequence[Node] | None = None, unsorted: Collection[int] = ()) -> None:
        self.roots: tuple[Node, ...] = (*self.outputs.values(), *self.updates, *self.updates.values())
        found = None if among is None else _needed(self.roots, among, unsorted)
        self.nodes: tuple[Node, ...] = tuple(ordered(walk(self.roots)) if found is None else found)
        self.inputs: dict[str, Input]
        self.parameters: dict[str, Parameter]
        _check_names(self)

    def replaced(
        self, by: Mapping[Node, Node], order: Sequence[Node] | None = None, unsorted: Collection[int] = ()
    ) -> Graph:
        """The graph with some of its outputs and updates replaced by nodes of the same specs; itself when none is.

        `order` is a shortcut for the caller who has the nodes of the new graph already: different nodes, which should
        hold all nodes of the graph, in order of their serials. Nodes whose serial is in `unsorted` may be in any order
        among each other. Where a node is missing in `order`, the graph is walked instead.
        """
        if by.keys().isdisjoint(self.roots):
            return self
        graph = object.__new__(Graph)
        graph.outputs = {name: by.get(node, node) for name, node in self.outputs.items()}
        graph.updates = {parameter: by.get(node, node) for parameter, node in self.updates.items()}
        graph._find_nodes(order, unsorted)
        return graph

    @cached_property
    def digraph(self) -> nx.DiGraph:
        """The graph as NetworkX sees it: nodes are `Node` objects, an edge runs from an operand to its user."""
        digraph = nx.DiGraph()
        digraph.add_nodes_from(self.nodes)
        digraph.add_edges_from((operand, node) for node in self.nodes for operand in node.operands)
        return digraph

    @cached_property
    def by_op(self) -> dict[type[Node], list[Node]]:
        """The nodes of each op, in order."""
        found: dict[type[Node], list[Node]] = {}
        for node in self.nodes:
            op = node.__class__
            if op in found:
                found[op].append(node)
            else:
                found[op] = [node]
        return found

    def of(self, *ops: type[Node]) -> list[Node]:
        """The nodes of some ops and of the ops derived from them, op by op, each in order."""
        return [node for op, nodes in self.by_op.items() if issubclass(op, ops) for node in nodes]

    @cached_property
    def schedule(self) -> tuple[Node, ...]:
        """The order in which the nodes run: a topological order by NetworkX."""
        from ..plan.schedule import schedule  # a door

        return schedule(self)

    @property
    def forward(self) -> tuple[Node, ...]:
        """The forward half, in order: the nodes that the outputs need, without those of gradients."""
        return tuple(node for node in self.nodes if self.roles[node] == "forward")

    @property
    def backward(self) -> tuple[Node, ...]:
        """The backward half, in order: the nodes of gradients.

        A graph of a scalar that has none derives the gradients of its trainable parameters first.
        """
        whole = self.with_gradients()
        return tuple(node for node in whole.nodes if whole.roles[node] == "backward")

    @cached_property
    def roles(self) -> dict[Node, str]:
        """The part of a training step that each node belongs to: "forward", "backward" or "update".

        Backward nodes are those of gradients. Update nodes are those that only the updates need.
        """
        backward = {node for node in self.nodes if node.adjoint_of is not None}
        serving = set(walk((*self.outputs.values(), *backward)))
        return {
            node: "backward" if node in backward else "forward" if node in serving or not node.operands else "update"
            for node in self.nodes
        }

    @cached_property
    def sizes(self) -> tuple[str, ...]:
        """The names of all named sizes, in order of first appearance."""
        names: dict[str, None] = {}
        for spec in self.specs:
            for dim in spec.shape:
                if isinstance(dim, Size):
                    names.setdefault(dim.name)
        for op, nodes in self.by_op.items():
            if op.bodies is not Node.bodies:
                names.update({name: None for node in nodes for body in node.bodies() for name in body.graph.sizes})
        return tuple(names)

    @cached_property
    def specs(self) -> dict[Spec, Node]:
        """The specs of all nodes, in order of first appearance, each with the first node that has it."""
        found: dict[Spec, Node] = {}
        seen: set[int] = set()  # ids of specs: many nodes share one object
        for node in self.nodes:
            spec = node.spec
            if id(spec) not in seen:
                seen.add(id(spec))
                for part in spec if isinstance(spec, tuple) else (spec,):
                    found.setdefault(part, node)
        return found

    def with_gradients(self) -> Graph:
        """This graph if it has gradient nodes; else the graph of its loss and the gradients of trainable parameters.

        Raises:
            GraphError: when there are several outputs, or no trainable parameter to differentiate by.
            ShapeError: when the output is not a scalar.
        """
        if any(node.adjoint_of is not None for node in self.nodes):
            return self
        if len(self.outputs) != 1:
            raise GraphError(f"a graph with outputs {', '.join(self.outputs)} has no one loss to differentiate.")
        [(name, loss)] = self.outputs.items()
        wrt = [p for p in self.parameters.values() if p.trainable]
        if not wrt:
            raise GraphError(f"{describe(loss)} depends on no trainable parameter, so it has no backward graph.")
        return Graph({name: loss} | {f"d{p.name}": dp for p, dp in zip(wrt, grad(loss, wrt), strict=True)})

    # Doors to the view -------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        from ..view.listing import list_graph  # a door

        return list_graph(self)

    def __repr__(self) -> str:
        return f"<Graph of {', '.join(self.outputs)}: {len(self.nodes)} nodes>"

    def to_dot(self, view: str = "forward", depth: int | None = None) -> str:
        """The picture as text in Graphviz's language. Nothing need be installed. See `render` for the arguments."""
        from ..view.dot import to_dot  # a door

        return to_dot(self, view, depth)

    def to_mermaid(self, view: str = "forward", depth: int | None = None) -> str:
        """The picture as text in Mermaid's language. Nothing need be installed. See `render` for the arguments."""
        from ..view.mermaid import to_mermaid  # a door

        return to_mermaid(self, view, depth)

    def render(
        self,
        path: str | os.PathLike[str],
        view: str | None = None,
        depth: int | None = None,
        feeds: Mapping[str, Any] | None = None,
    ) -> str:
        """Draw the graph into a file, and return its path. The suffix may be .svg, .png, .pdf, .html or .dot.

        `view` is "forward", "backward" or "both". For the latter two, a graph of a scalar that has no gradients derives
        those of its trainable parameters.

        `depth` is how many levels of nested scopes are open. At 0, each outermost scope is a single box, and equal
        boxes side by side are drawn once, with their number. By default, scopes are closed until a picture has at most
        200 boxes, or a page at most 2,000.

        An .html file is a page that works without a network. It can be panned, zoomed and searched, and it steps
        through the forward and then the backward half. By default it shows both halves. With `feeds`, a mapping from
        names of inputs to arrays, the graph is run once on NumPy, without passes, and the page shows the value and
        gradient of every node, beside the source line that declared it. Parameters keep their values.

        Raises:
            RenderError: for .png or .pdf when nothing that is installed can draw them (the message says what to
                install), or when the file cannot be written. SVG and HTML can always be drawn.
            FeedError, ShapeError, DTypeError, LabelError: for feeds that do not fit, as for a call.
        """
        from ..debug.observe import observer  # a door
        from ..view.render import render  # a door

        return render(self, path, view, depth, None if feeds is None else observer(feeds))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from ..view.notebook import show_graph  # a door

        return show_graph(self, view="both" if "backward" in self.roles.values() else "forward")


def _needed(roots: Iterable[Node], among: Sequence[Node], unsorted: Collection[int]) -> list[Node] | None:
    """Of some nodes in order, those that the roots need; None when the roots need other nodes too."""
    needed = set(roots)
    found: list[Node] = []
    for node in reversed(among):
        if node in needed:
            found.append(node)
            needed.update(node.operands)
    if len(found) < len(needed):
        return None
    found.reverse()
    return _sorted(found, unsorted) if unsorted else found


def _sorted(nodes: list[Node], unsorted: Collection[int]) -> list[Node]:
    """Nodes in order of declaration; those that share a serial in `unsorted` are brought into the order of a walk."""
    for serial in unsorted:
        start = bisect_left(nodes, serial, key=_serial)
        group = nodes[start : bisect_right(nodes, serial, start, key=_serial)]
        inside = set(group)
        read = {operand for node in group for operand in node.operands}
        ends = [node for node in group if node not in read]
        within = walk(ends, needs=lambda node: tuple([op for op in node.operands if op in inside]))  # noqa: B023
        nodes[start : start + len(within)] = within
    return nodes


def name_outputs(outputs: Outputs) -> dict[str, Node]:
    """The outputs by name: the keys of a mapping, `out` for a single node, else `out0`, `out1` and so on.

    Raises:
        GraphError: for an output that is not a node with one result.
    """
    named: Mapping[str, Any]
    if isinstance(outputs, Node):
        named = {"out": outputs}
    elif isinstance(outputs, Mapping):
        named = outputs
    elif isinstance(outputs, Iterable):
        named = {f"out{i}": node for i, node in enumerate(outputs)}
    else:
        raise GraphError(f"outputs are a node, a sequence or a mapping of nodes, not {type(outputs).__name__}.")
    for name, node in named.items():
        if not isinstance(node, Node):
            raise GraphError(f"output '{name}' is {type(node).__name__}, not a node.")
        if isinstance(node.spec, tuple):
            raise GraphError(f"output '{name}' is {describe(node)} with several results: name one of them.")
    return dict(named)


def _check_update(parameter: Any, value: Any) -> None:
    if not isinstance(parameter, Parameter):
        what = describe(parameter) if isinstance(parameter, Node) else repr(parameter)
        raise GraphError(f"updates map parameters to nodes; {what} is not a parameter.")
    if not isinstance(value, Node):
        raise GraphError(f"the update of {describe(parameter)} is {type(value).__name__}, not a node.")
    if value.spec != parameter.spec:
        raise ShapeError(
            f"the update of {describe(parameter)} is {describe(value)}: "
            f"{_difference(parameter.spec, value.spec)} must be the same."
        )


def _difference(a: Spec, b: Spec) -> str:
    return "both shape and dtype" if a.shape != b.shape and a.dtype != b.dtype else (
        "the shape" if a.shape != b.shape else "the dtype"
    )  # fmt: skip


def _check_names(graph: Graph) -> None:
    graph.inputs = _by_name(graph, Input)
    graph.parameters = _by_name(graph, Parameter)
    for name in graph.inputs.keys() & graph.parameters.keys():
        raise _same_name(graph, graph.inputs[name], graph.parameters[name])


def _by_name(graph: Graph, op: type[_Leaf]) -> dict[str, _Leaf]:
    found: dict[str, _Leaf] = {}
    for node in graph.of(op):
        assert isinstance(node, op)
        other = found.setdefault(node.name, node)
        if other is not node:
            raise _same_name(graph, other, node)
    return found


def _same_name(graph: Graph, one: Input | Parameter, other: Input | Parameter) -> GraphError:
    carriers = [next((n for n in graph.nodes if p in n.state_updates()), None) for p in (one, other)]
    if None in carriers:
        return GraphError(
            f"two nodes are named '{one.name}': {one.op} {describe(one)} and {other.op} {describe(other)}. "
            "Rename one, or declare them in different scopes."
        )
    first, second = (describe(node) for node in carriers if node is not None)
    return GraphError(
        f"{first} and {second} both carry a state '{one.name}'. "
        "Give each a name or seed of its own, such as seed=1, or declare them in different scopes."
    )
