"""Derivations: the chain rule written out, with a line for each gradient, from the loss to the wanted gradient.

Each line belongs to a node of the backward half, which it writes as a formula. Together, the lines contain every node
of the backward half exactly once. So a derivation is not only about the gradient that is computed: it is that gradient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from ..errors import GraphError
from ..ir.differentiate import grad
from ..ir.formula import Formula, name
from ..ir.leaf import Constant, Count, Input, Parameter
from ..ir.node import Node, describe
from ..ir.spec import Spec
from ..ir.walk import ordered, walk
from .algebra import space, symbol, write
from .listing import table
from .text import apply, line, spec

__all__ = ["Derivation", "Line", "derive"]


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a derivation: `name = text`.

    `node` is the node that the line defines. `of` is the forward node whose gradient this is; None for a value that
    several lines share. `nodes` are the backward nodes that are in this line and in no line before it.
    """

    name: str
    text: str
    node: Node
    of: Node | None
    nodes: tuple[Node, ...]
    tex: str

    def __str__(self) -> str:
        return f"{self.name} = {self.text}"

    def latex(self) -> str:
        """The line as LaTeX, aligned at its equals sign, with the space of the value, such as ℝ^(N×3)."""
        return f"{self.tex} && \\in {space(self.node.spec)}"


@dataclass(frozen=True, eq=False)
class Derivation:
    """The derivation of one gradient. It prints as text, and a notebook shows it as mathematics.

    `lines` go from the loss to the gradient. `values` maps the names in the lines to forward nodes.
    """

    lines: tuple[Line, ...]
    values: Mapping[str, Node]

    @property
    def node(self) -> Node:
        """The gradient, as a node that can be compiled."""
        return self.lines[-1].node

    def __str__(self) -> str:
        called = {node: word for word, node in self.values.items()}
        numbers = {o for node in called for o in node.operands if o not in called}
        called |= {node: str(write(node, [])) for node in numbers}
        forward = [
            (f"{word} = {apply(node, called)}", spec(node), line(str(node.origin)))
            for word, node in self.values.items()
            if node.operands
        ]
        backward = [(str(each), spec(each.node), line(str(each.node.origin))) for each in self.lines]
        title = f"{self.lines[-1].name} by the chain rule"
        return "\n".join([title, *table({"forward": forward, "backward": backward})])

    def __repr__(self) -> str:
        return f"<Derivation of {self.lines[-1].name}: {len(self.lines)} lines>"

    def latex(self) -> str:
        """The lines in LaTeX, as one `aligned` environment."""
        rows = " \\\\\n".join(each.latex() for each in self.lines)
        return f"\\begin{{aligned}}\n{rows}\n\\end{{aligned}}"

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": str(self), "text/latex": self._repr_latex_()}


def derive(loss: Node, wrt: Node, /, **names: Node) -> Derivation:
    """The derivation of the gradient of a scalar loss with respect to `wrt` by the chain rule, line by line.

    Each line gives the gradient of one value by the gradients of its users, as in `dL/da = dL/dh * h * (1 - h)`. Inputs
    and parameters have their own names, and the loss is `L`. Other values have the names of their ops, or those that
    `names` gives them. The nodes are those of `gn.grad(loss, wrt)`. Source: A. Griewank and A. Walther, Evaluating
    Derivatives, 2nd edition, SIAM 2008, chapter 3.

    Raises:
        ShapeError, DTypeError, GraphError: as `gn.grad`.
        GraphError: when `names` has something that the loss does not depend on, or a name that another value has.

    >>> import graphnn as gn
    >>> x, w = gn.Input("x", ("N", 2)), gn.Parameter("w", [[1.0], [2.0]])
    >>> h = gn.Sigmoid(x @ w)
    >>> print(*gn.derive(gn.Sum(h), w, h=h, a=h.operands[0]).lines, sep="\\n")
    dL/dL = 1
    dL/dh = Repeat(Reshape(dL/dL, to=(1, 1)), n=N)
    dL/da = dL/dh * h * (1 - h)
    dL/dw = x.T @ dL/da
    """
    if not isinstance(wrt, Node):
        raise GraphError(f"derive: wrt is {type(wrt).__name__}, not a node: derive one gradient at a time.")
    grad(loss, wrt)  # refuses what has no gradient, before anything is asked of it
    forward = ordered(walk([loss]))
    called = _names(forward, {"L": loss, **names} if loss not in names.values() else names)
    path = _between(forward, wrt)
    gradients = dict(zip(path, grad(loss, path), strict=True))
    return Derivation(tuple(_Writer(forward, called, gradients).lines()), {w: n for n, w in called.items()})


def _names(forward: Sequence[Node], given: Mapping[str, Node]) -> dict[Node, str]:
    """The name of each forward node: the given one, its own, its number, or that of its op, counted from 1."""
    here = set(forward)
    called: dict[Node, str] = {}
    taken: dict[str, Node] = {}
    for word, node in given.items():
        if not isinstance(node, Node) or node not in here:
            what = describe(node) if isinstance(node, Node) else repr(node)
            raise GraphError(f"derive: the loss does not depend on '{word}', which is {what}.")
        called[node] = word
        _take(taken, word, node)
    for node in forward:
        if isinstance(node, (Input, Parameter)) and node not in called:
            called[node] = line(node.name)
            _take(taken, called[node], node)
    unnamed = [node for node in forward if node not in called and not _is_number(node)]
    alike = Counter(node.op for node in unnamed)
    counted: Counter[str] = Counter()
    for node in unnamed:
        while node not in called:
            counted[node.op] += 1
            word = node.op.lower() + (str(counted[node.op]) if alike[node.op] > 1 or counted[node.op] > 1 else "")
            if word not in taken:
                called[node] = word
    return {node: called[node] for node in forward if node in called}


def _is_number(node: Node) -> bool:
    """Is it a number, which is written where it is used?"""
    return isinstance(node, Count) or (isinstance(node, Constant) and not node.value.shape)


def _take(taken: dict[str, Node], word: str, node: Node) -> None:
    other = taken.setdefault(word, node)
    if other is not node:
        raise GraphError(
            f"derive: {describe(other)} and {describe(node)} are both called '{word}'. "
            "Name one of them, as in gn.derive(loss, wrt, h=node)."
        )


def _between(forward: Sequence[Node], wrt: Node) -> list[Node]:
    """The values that a gradient flows through on its way to `wrt`, the loss first."""
    made_of = {wrt}
    for node in forward:
        if not made_of.isdisjoint(node.operands):
            made_of.add(node)
    return [n for n in reversed(forward) if n in made_of and isinstance(n.spec, Spec) and n.dtype.kind == "f"]


class _Writer:
    """Writes the backward half of a gradient: nodes with a name get a line, and the others are written inside lines."""

    def __init__(self, forward: Sequence[Node], called: Mapping[Node, str], gradients: Mapping[Node, Node]) -> None:
        self._called, self._loss = called, called[forward[-1]]
        self._target = list(gradients.values())[-1]
        before = frozenset(forward)
        self._backward = [n for n in ordered(walk([self._target], stop=before)) if n not in before]
        self._within = set(self._backward)
        self._facing: dict[Node, list[Node]] = {}
        """For each gradient the forward nodes whose gradient it is: an Add passes its own on."""
        for node, gradient in gradients.items():
            if gradient in self._within or gradient is self._target:
                self._facing.setdefault(gradient, []).append(node)
        users = Counter(operand for node in self._backward for operand in set(node.operands))
        shared = [n for n in self._backward if n.operands and users[n] > 1 and n not in self._facing]
        taken = set(called.values())
        free = (word for i in count(1) if (word := f"u{i}") not in taken)
        self._shared = dict(zip(shared, free, strict=False))

    def lines(self) -> Iterator[Line]:
        """A line for each gradient and each shared value, after those that it is made of."""
        text: dict[Node, Formula] = {}
        tex: dict[Node, Formula] = {}
        written: set[Node] = set()
        for node in self._backward:
            text[node] = write(node, [self._refer(operand, node, text) for operand in node.operands])
            tex[node] = write(node, [self._refer(operand, node, tex, tex=True) for operand in node.operands], tex=True)
            if node in self._facing or node in self._shared:
                inside = self._inside(node, written)
                written.update(inside)
                yield from self._lines_of(node, inside, str(text[node]), tex[node].latex())
        if self._target not in text:  # a forward value as it is
            word = self._called.get(self._target)
            known = word or str(write(self._target, []))
            yield from self._lines_of(self._target, (), known, symbol(word) if word else known)

    def _lines_of(self, node: Node, inside: tuple[Node, ...], text: str, tex: str) -> Iterator[Line]:
        if node in self._shared:
            word = self._shared[node]
            yield Line(word, text, node, None, inside, f"{symbol(word)} &= {tex}")
        facing = self._facing.get(node, [])
        for i, of in enumerate(facing):
            if i:  # the gradient of a value that its user passes on as it is
                user = next((user for user in facing[:i] if of in user.operands), facing[0])
                inside, text, tex = (), self._gradient(user), self._gradient(user, tex=True)
            yield Line(self._gradient(of), text, node, of, inside, f"{self._gradient(of, tex=True)} &= {tex}")

    def _refer(self, operand: Node, user: Node, known: Mapping[Node, Formula], tex: bool = False) -> Formula:
        """The text for an operand of a backward node: its name, if it has one, else its formula."""
        word = self._called.get(operand) or self._shared.get(operand)
        if word:
            return name(symbol(word) if tex else word)
        if operand in self._facing:
            facing = self._facing[operand]
            of = next((node for node in facing if node.serial == user.adjoint_of), facing[0])
            return name(self._gradient(of, tex))
        return known[operand] if operand in known else write(operand, [], tex)

    def _gradient(self, of: Node, tex: bool = False) -> str:
        loss, word = self._loss, self._called[of]
        return rf"\frac{{\partial {symbol(loss)}}}{{\partial {symbol(word)}}}" if tex else f"d{loss}/d{word}"

    def _inside(self, node: Node, written: set[Node]) -> tuple[Node, ...]:
        """The backward nodes that a line writes down: its own, and those without a line or a line before it."""
        found, stack = {node: None}, [node]
        while stack:
            for operand in stack.pop().operands:
                lined = operand in self._facing or operand in self._shared or operand in written
                if operand in self._within and not lined and operand not in found:
                    found[operand] = None
                    stack.append(operand)
        return tuple(found)
