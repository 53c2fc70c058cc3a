"""Epilogues: what comes after a product and libraries do on its way out: ReLU, and ReLU's gradient with its bias's.

    y = ReLU(x @ W + b)                  becomes one step, whose second result is the mask of y
    g @ V.T * (x @ W + b > 0)            becomes one step that reads the mask, and not what ReLU has read
    Sum of that over the rows            becomes its second result

`y` is positive where its operand is, so whoever asks only that may read `y`, and the operand is written by nobody.
The pass comes after `group`: a ReLU, or a gradient, that is part of a larger formula costs nothing there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations

from ..ir import formula as language
from ..ir.context import like
from ..ir.graph import Graph
from ..ir.node import Item, Node
from ..ops.elementwise import Elementwise
from ..ops.linear import MatMul
from ..ops.reductions import Sum
from ..ops.shape import Repeat
from .passes import Pass
from .products import Product
from .record import Fired, current, note
from .rectified import LINE, GatedProduct, RectifiedProduct

__all__ = ["epilogues"]

_RELU, _RELU_OF_SUM = language.parse("maximum(x, 0)"), language.parse("maximum(x + b, 0)")
_GATE = language.parse("g * where(x > 0, 1, 0)")


@dataclass
class _Layer:
    """A product under ReLU: its step, its factors and its bias, ReLU's step, and the gates of the way back."""

    product: Node
    x: Node
    W: Node
    b: Node | None
    relu: Elementwise
    gates: dict[Node, Node | None] = field(default_factory=dict)
    """The gate, and what it lets through where that is all it does."""

    @property
    def whole(self) -> bool:
        """Does ReLU read the product as it is, its bias added? Only then its result has the sign of the product."""
        return len(self.relu.operands) == 1

    @property
    def place(self) -> Node:
        """Where the step stands: before all gates, and behind the bias."""
        return self.product if self.whole else self.relu


class _Fusion:
    """One graph, rewritten layer by layer."""

    def __init__(self, graph: Graph) -> None:
        self.whole, self.roots = graph, set(graph.roots)
        self.readers: dict[Node, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            for operand in dict.fromkeys(node.operands):
                self.readers[operand].append(node)
        self.replaced: dict[Node, Node] = {}

    def graph(self) -> Graph:
        """The graph with its layers as steps."""
        layers = {layer.place: layer for node in self.whole.nodes if (layer := self._layer(node)) is not None}
        if not layers:
            return self.whole
        gates = {gate: (layer, inner) for layer in layers.values() for gate, inner in layer.gates.items()}
        for node in self.whole.nodes:
            if node in layers:
                self._rectify(layers[node])
            elif node in gates:
                self._gate(node, *gates[node])
            elif node not in self.replaced and (new := node.with_operands(self.replaced)) is not node:
                self.replaced[node] = new
        current().moves.append(self.replaced)
        return self.whole.replaced(self.replaced)

    # What is found -----------------------------------------------------------------------------------------------

    def _layer(self, node: Node) -> _Layer | None:
        """The layer whose ReLU a node is, when all who read what ReLU reads can do without."""
        parts = _parts(node) if isinstance(node, Elementwise) else None
        if parts is None:
            return None
        layer = _Layer(*parts)
        if layer.whole:
            layer.gates.update(self._gates(layer))
        if layer.product in self.roots or not {node, *layer.gates}.issuperset(self.readers[layer.product]):
            note(node, layer.product, "what ReLU reads is read elsewhere too")
            return None
        return layer

    def _gates(self, layer: _Layer) -> Iterator[tuple[Node, Node | None]]:
        for reader in self.readers[layer.product]:
            if isinstance(reader, Elementwise) and reader is not layer.relu and _asks_sign(reader, layer.product):
                found = _matched(reader, _GATE)
                yield reader, found["g"] if found is not None else None

    def _fits(self, inner: Node | None) -> bool:
        """Is it a product that only a gate reads?"""
        return inner is not None and _plain(inner) and len(self.readers[inner]) == 1 and inner not in self.roots

    # What is made ------------------------------------------------------------------------------------------------

    def _new(self, node: Node) -> Node:
        return self.replaced.get(node, node)

    def _rectify(self, layer: _Layer) -> None:
        columns = layer.W.shape[1]
        masked = isinstance(columns, int) and not columns % LINE and any(map(self._fits, layer.gates.values()))
        bias = None if layer.b is None else self._new(layer.b)
        with like(layer.place):
            step = RectifiedProduct(self._new(layer.x), self._new(layer.W), bias, masked)
        self._note("ReLU by its product", step, layer.product, layer.relu)
        if masked:
            with like(step):
                self.replaced[layer.relu] = Item(step, 0)

    def _gate(self, gate: Node, layer: _Layer, inner: Node | None) -> None:
        rectified = self.replaced[layer.relu]
        if inner is None or not isinstance(rectified, Item) or not self._fits(inner):
            self.replaced[gate] = gate.with_operands(self.replaced | {layer.product: rectified})
            return
        sums = [r for r in self.readers[gate] if isinstance(r, Sum) and r.axes == (0,) and r.keepdims]
        x, w = _factors(inner)
        with like(rectified.node):
            mask = Item(rectified.node, 1)
        with like(gate):
            step = GatedProduct(self._new(x), self._new(w), mask, bool(sums))
        self._note("ReLU's gradient by its product", step, inner, gate, *sums)
        if sums:
            with like(step):
                self.replaced[gate] = Item(step, 0)
                self.replaced |= dict.fromkeys(sums, Item(step, 1))

    def _note(self, rule: str, step: Node, *members: Node) -> None:
        """The step in the place of all."""
        current().fired.extend(Fired(rule, member, member, step) for member in members)
        self.replaced |= dict.fromkeys(members, step)


def _matched(node: Elementwise, pattern: language.Formula) -> dict[str, Node] | None:
    """The operands of an elementwise step by the names that a pattern has for them, when it computes that."""
    names = [part.name for part in pattern.parts() if isinstance(part, language.Name)]
    operands = node.named_operands()
    if len(operands) != len(names):
        return None
    for order in permutations(names):
        called = dict(zip(operands, map(language.name, order), strict=True))
        if node.body.substitute(called) is pattern:
            return dict(zip(order, operands.values(), strict=True))
    return None


def _asks_sign(node: Elementwise, x: Node) -> bool:
    """Does a formula ask nothing of an operand but whether it is positive?"""
    called = {language.name(name) for name, operand in node.named_operands().items() if operand is x}
    asked = {language.apply("greater", name, language.literal(0)) for name in called}
    readers = (p for p in node.body.parts() if isinstance(p, language.Apply) and not called.isdisjoint(p.arguments))
    return node.body not in called and asked.issuperset(readers)


def _parts(node: Elementwise) -> tuple[Node, Node, Node, Node | None, Elementwise] | None:
    """What a layer is made of when a node is its ReLU: the bias may stand in the product, in ReLU's formula, or not."""
    if (found := _matched(node, _RELU)) is not None:
        product = found["x"]
        if isinstance(product, Product) and product.alpha is None and (row := _row(product.C)) is not None:
            return (product, product.x, product.W, row, node) if _floats(product) else None
        return (product, *_factors(product), None, node) if _plain(product) else None
    found = _matched(node, _RELU_OF_SUM) or {}
    if found and _plain(found["x"]) and (row := _row(found["b"])) is not None:
        return found["x"], *_factors(found["x"]), row, node
    return None


def _factors(node: Node) -> tuple[Node, Node]:
    assert isinstance(node, MatMul)
    return node.x, node.W


def _plain(node: Node) -> bool:
    return isinstance(node, MatMul) and node.x.ndim == node.W.ndim == 2 and _floats(node)


def _floats(node: Node) -> bool:
    """Single or double precision? Half floats are rounded between a product and ReLU."""
    return node.dtype.kind == "f" and node.dtype.itemsize >= 4


def _row(node: Node) -> Node | None:
    """The row that is repeated, if it is one."""
    return node.x if isinstance(node, Repeat) and node.axis == 0 and node.ndim == 2 else None


epilogues = Pass("epilogues", "reassociating", lambda graph: _Fusion(graph).graph(), fuses=True)
