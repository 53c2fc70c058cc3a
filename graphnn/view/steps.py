"""Steps: what a page shows of a run, box by box, forward and then backward, as values for JSON."""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..ir.formula import Formula, name
from ..ir.node import Node
from ..ir.walk import ordered, walk
from .algebra import write
from .chain import Chain
from .label import inline_words, title
from .listing import bodies
from .picture import Box, Picture
from .summary import summarise
from .text import line, spec

__all__ = ["Observer", "tell"]

Observer: TypeAlias = Callable[[Iterable[Node]], Mapping[Node, np.ndarray]]
"""Gives nodes their values on some feeds."""

_HALVES = ("forward", "backward", "update")
_LISTED = 100
"""Of closed scopes so many nodes are listed."""
_LONGEST = 300
"""Longer formulas and lines of source are cut."""
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def tell(shown: Picture, chain: Chain, observer: Observer | None) -> dict[str, Any]:
    """The story of a picture: its `boxes` and `arrows` as they are drawn, the `order` of the run, and the `values`.

    A box has its `name`, `kind`, `half`, `spec`, and the boxes that it `reads`; of one node also the `formula`, the
    line of source (`where` and `code`), what a loop or branch runs (`body`), the forward box `of` whose adjoint it
    belongs to, and, as places in `values`, its `value` and its `gradient`. Gradients that are drawn are found at
    `arrives`.
    """
    return _Story(shown, chain, observer).told()


class _Story:
    def __init__(self, shown: Picture, chain: Chain, observer: Observer | None) -> None:
        self.shown, self.boxes, self.chain = shown, shown.boxes, chain
        self.place = {node: i for i, box in enumerate(shown.boxes) for node in box.nodes}
        self.called = _names(chain, self.place)
        self.words = _words(self.place, self.called)
        self.seen_as = self._boxes_behind()
        self.forward = {n.serial: i for n, i in self.place.items() if chain.graph.roles[n] == "forward"}
        self.values: dict[Node, int] = {}
        self.summaries: list[dict[str, Any]] = []
        if observer:
            self._summarise(observer([*chain.graph.nodes, *chain.gradients.values()]))

    def _summarise(self, observed: Mapping[Node, np.ndarray]) -> None:
        """Summarise the values and gradients of the nodes that have a box of their own."""
        for box in self.boxes:
            alone = box.nodes if len(box.nodes) == 1 else ()
            for node in (*alone, *(self.chain.gradients[n] for n in alone if n in self.chain.gradients)):
                if node in observed and node not in self.values:
                    self.values[node] = len(self.summaries)
                    self.summaries.append(summarise(observed[node]))

    def told(self) -> dict[str, Any]:
        """The whole story."""
        order = sorted(range(len(self.boxes)), key=lambda i: _HALVES.index(self.boxes[i].half))
        index = {box: i for i, box in enumerate(self.boxes)}
        told = {
            "boxes": [self._box(box) for box in self.boxes],
            "arrows": [[index[arrow.tail], index[arrow.head]] for arrow in self.shown.arrows],
            "order": order,
            "values": self.summaries,
        }
        if self.chain.loss is not None:
            told["loss"] = self.called[self.chain.loss]
        return told | ({"remark": self.shown.remark} if self.shown.remark else {})

    def _boxes_behind(self) -> dict[Node, tuple[int, ...]]:
        """The box of each node; for a node that is only text, the boxes that the text refers to."""
        found: dict[Node, tuple[int, ...]] = {}
        for node in ordered(walk(self.place)):
            behind = (i for operand in node.operands for i in found[operand])
            found[node] = (self.place[node],) if node in self.place else tuple(dict.fromkeys(behind))
        return found

    def _box(self, box: Box) -> dict[str, Any]:
        own = {self.place[node] for node in box.nodes}
        reads = dict.fromkeys(i for node in box.nodes for op in node.operands for i in self.seen_as[op])
        told = {"kind": box.kind, "half": box.half, "output": box.output, "reads": [i for i in reads if i not in own]}
        if len(box.nodes) == 1:
            return told | self._node(box.nodes[0])
        inside = [f"{self.called[n]} {spec(n)} ({line(str(n.origin))})" for n in box.nodes[:_LISTED]]
        inside += [f"and {len(box.nodes) - _LISTED} more"] if len(box.nodes) > _LISTED else []
        return told | {"name": box.lines[0], "spec": " ".join(box.lines[1:]), "inside": inside}

    def _node(self, node: Node) -> dict[str, Any]:
        code = linecache.getline(node.origin.file, node.origin.line).strip()
        told: dict[str, Any] = {
            "name": self.called[node],
            "op": node.op,
            "spec": spec(node),
            "where": line(str(node.origin)),
            "code": line(code)[:_LONGEST],
        }
        if node.operands:
            told["formula"] = str(write(node, [self.words[operand] for operand in node.operands]))[:_LONGEST]
        if node.bodies():
            told["body"] = "\n".join("   ".join(row) for row in bodies(node))
        if node.adjoint_of in self.forward:
            told["of"] = self.forward[node.adjoint_of]
        if node in self.values:
            told["value"] = self.values[node]
        gradient = self.chain.gradients.get(node)
        if gradient in self.values:
            told["gradient"] = self.values[gradient]
        if gradient in self.place:
            told["arrives"] = self.place[gradient]
        return told


def _words(place: Iterable[Node], called: Mapping[Node, str]) -> dict[Node, Formula]:
    """How formulas write the operands of the drawn nodes: by name, or as formulas."""
    words: dict[Node, Formula] = {}
    operands = dict.fromkeys(operand for node in place for operand in node.operands)
    for node in ordered(walk(operands, stop=frozenset(called))):
        known = called.get(node)
        words[node] = name(known) if known else write(node, [words[operand] for operand in node.operands])
    return words


def _names(chain: Chain, drawn: Iterable[Node]) -> dict[Node, str]:
    """The names of nodes: as in the picture, `L` for the loss, and for gradients the names of their values."""
    roles, inline, drawn = chain.graph.roles, inline_words(chain.graph), set(drawn)
    forward = [node for node in chain.graph.nodes if roles[node] == "forward" and node not in inline]
    titles = {node: title(node) for node in forward}
    called, taken = _numbered(titles), set(titles.values())
    if chain.loss is not None:
        called[chain.loss] = "L" if "L" not in taken else called[chain.loss]
        for node, gradient in chain.gradients.items():
            if gradient in drawn and gradient not in called:
                called[gradient] = f"d{called[chain.loss]}/d{called[node]}"
    others = [node for node in chain.graph.nodes if node in drawn and node not in called]
    return called | _numbered({n: title(n) + ("′" if title(n) in taken else "") for n in others})


def _numbered(titles: Mapping[Node, str]) -> dict[Node, str]:
    """The names, with numbers from 1 on for those that occur several times."""
    alike, counted = Counter(titles.values()), Counter[str]()
    found = {}
    for node, text in titles.items():
        counted[text] += 1
        found[node] = text if alike[text] == 1 else text + str(counted[text]).translate(_SUBSCRIPTS)
    return found
