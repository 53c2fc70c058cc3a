"""Nodes: an op is a class, a node is an instance.

A subclass of `Node` becomes a frozen dataclass by itself. Its fields that hold nodes are its operands, the other
fields its attributes. The constructor checks everything it can, so a wrong shape fails on the user's own line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, dataclass_transform

import numpy as np

from ..errors import DTypeError, GraphError
from .context import Birth, Origin, birth, built, like, settle
from .dtype import operand_array
from .operators import Operand, Operators, install
from .spec import Dim, Shape, Spec
from .verdicts import keep_verdict, question, shared_by, verdict

if TYPE_CHECKING:
    from .body import Body, Program

__all__ = ["Node", "Item", "Operand", "Call", "describe"]

Call: TypeAlias = Callable[[], Any]
Gradients: TypeAlias = "Node | tuple[Node | None, ...] | None"

_KNOWN = ("birth", "operands", "spec", "static", "_expansion", "_inner", "_shared")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field,))
class Node(Operators):
    """A value in a graph: the application of an op to operands.

    Nodes are immutable, compare by identity, and know their `spec` (shape and dtype), their `operands`, and the
    line of source that declared them (`origin`). Operators and NumPy-style methods build further nodes.

    To add an op, derive from `Elementwise` (one formula), from `Composite` (made of other ops), or from `Node`
    itself, answering `infer`, `forward` and `vjp`. Keywords of the class statement install it where it is to be
    used: `infix="+"`, `prefix="-"`, `method="sum"`; `role` names it to the rest of `graphnn.ir`, which knows no
    op by name.
    """

    ops: ClassVar[dict[str, type[Node]]] = {}
    """Every op by its name: the catalogue. A base whose name begins with an underscore is no op."""
    roles: ClassVar[dict[str, type[Any]]] = {}
    field_names: ClassVar[tuple[str, ...]] = ()
    _usual: ClassVar[frozenset[str]] = frozenset()
    """What a node of this op normally holds: no more than this is derived anew when its operands are replaced."""
    node_fields: ClassVar[tuple[str, ...]] = ()
    attribute_names: ClassVar[tuple[str, ...]] = ()
    """The fields that do not hold one node: attributes, and operands in tuples."""
    samples: ClassVar[tuple[Any, ...]] = ()
    """On which operands the op is to be tested, and what it must refuse: see `graphnn.ops.sample`."""
    adjoint: ClassVar[str | None] = None
    """The op that is this one's transpose, for an op linear in its first operand: `<A x, y> = <x, A* y>` is tested."""
    onnx: ClassVar[str | None] = None
    """What the ONNX standard calls the op, where it has it."""
    elements: ClassVar[Literal["alike", "moved"] | None] = None
    """How elements of operands reach the result: each only its own place ("alike"), or copied and summed ("moved")."""
    random: ClassVar[bool] = False
    """True for an op whose value is not a function of its operands: equal ones are never shared."""
    indexes: ClassVar[bool] = False
    """True for an op whose `class_labels` are places along an axis, not classes: messages say so."""
    indifferent: ClassVar[bool] = False
    """True for an op that gives the same bits however its operands lie in memory: it treats each element alone."""
    by_specs: ClassVar[bool] = False
    """True for an op whose checks look at nothing but specs and attributes: see `graphnn.ir.verdicts`.

    A subclass that checks in its own way has to say it again.
    """

    birth: Birth
    operands: tuple[Node, ...]
    spec: Spec
    static: bool
    """True when the value is known before the run: it depends on constants and sizes alone."""

    def __init_subclass__(
        cls,
        infix: str | None = None,
        prefix: str | None = None,
        method: str | None = None,
        role: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init_subclass__(**keywords)
        # Frozen by the guard below, one for all: `frozen=True` would compile two more methods for every op.
        dataclasses.dataclass(eq=False, repr=False)(cls)
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # the line above made it one
        cls.field_names = tuple(f.name for f in fields)
        cls.node_fields = tuple(f.name for f in fields if "Node" in str(f.type) and "tuple" not in str(f.type))
        cls.attribute_names = tuple(name for name in cls.field_names if name not in cls.node_fields)
        cls._usual = frozenset((*cls.field_names, *_KNOWN))
        if not cls.__dict__.keys().isdisjoint(("prepare", "infer")):
            cls.by_specs = cls.__dict__.get("by_specs", False)
        for name in ("shape", "dtype", "spec", "operands"):
            if name in cls.field_names:
                raise GraphError(f"{cls.__name__}: a field may not be called '{name}', which every node has already.")
        if not cls.__name__.startswith("_"):
            Node.ops[cls.__name__] = cls
        if role:
            Node.roles[role] = cls
        install(cls, infix, prefix, method)

    def __setattr__(self, name: str, value: Any) -> None:
        if "spec" in self.__dict__:  # the constructor is done
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r} of {self!r}: nodes never change.")
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r} of {self!r}: nodes never change.")

    def __post_init__(self) -> None:
        mine = self.__dict__
        born = mine["birth"] = birth(3)  # the frames of birth, this, and the generated constructor
        self._coerce()
        if self.by_specs:
            self._check_once(born)
        else:
            self._check(born)
        built(self)

    def _check(self, born: Birth) -> None:
        mine = self.__dict__
        self.prepare()
        mine["birth"] = settle(born)
        self._find_operands()
        mine["spec"] = self.infer()

    def _check_once(self, born: Birth) -> None:
        """As `_check`, for nodes alike once."""
        self._find_operands()
        given, asked = self.operands, question(self)
        known = verdict(asked)
        mine = self.__dict__
        if known is None:
            self._check(born)
            if mine["operands"] == given:
                keep_verdict(asked, self)
            else:  # what `prepare` put in their place
                mine["_shared"] = shared_by(question(self))
        else:
            mine["birth"] = settle(born)
            mine.update(known.attributes)
            mine["spec"], mine["_shared"] = known.spec, known.shared

    def _find_operands(self) -> None:
        mine = self.__dict__
        operands: list[Node] = []
        for name in self.field_names:
            value = mine[name]
            if isinstance(value, Node):
                operands.append(value)
            elif value.__class__ is tuple:
                operands += [v for v in value if isinstance(v, Node)]
        static = bool(operands) and not self.random
        for operand in operands:
            if not operand.static:
                static = False
                break
        mine["operands"] = tuple(operands)
        mine["static"] = static

    def _coerce(self) -> None:
        """Turn numbers and arrays given for operands into constants."""
        mine = self.__dict__
        plain: list[str] = []
        for name in self.node_fields:
            if not isinstance(mine[name], Node) and mine[name] is not None:
                plain.append(name)
        if plain:
            beside = tuple(mine[n].dtype for n in self.node_fields if isinstance(mine[n], Node))
            for name in plain:
                try:
                    array = operand_array(mine[name], beside)
                except DTypeError as error:
                    raise DTypeError(f"{type(self).__name__}: operand '{name}': {error}") from None
                mine[name] = Node.roles["constant"](array)

    # What an op answers ------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the operands agree, by visible nodes (Cast, Repeat), before `infer` looks at them."""

    def infer(self) -> Spec:
        """The spec of the result; for an op with several results, a tuple of specs."""
        raise NotImplementedError(f"{type(self).__name__} does not say what comes out: define infer(self).")

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The result, from arrays for the operands, with the functions of `xp` (NumPy or CuPy)."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say how it is computed: define forward(self, xp, ...)."
        )

    def vjp(self, g: Any) -> Gradients:
        """Each operand's gradient, as a node, given that of the result: one, or a tuple; None where there is none."""
        raise GraphError(f"{describe(self)} has no gradient rule: define vjp(self, g), or use gn.stop_gradient.")

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """Calls without arguments that, in order, write the result of `ins` into `out`.

        By default `forward`, then a copy. `scratch` are arrays of the specs that `scratch()` asks for, followed by
        those of `tables()`, which this fills. Memory known before the run is memory that these two declare.
        """

        def compute() -> None:
            out[...] = self.forward(xp, *ins)

        return [compute]

    def scratch(self) -> tuple[Spec, ...]:
        """Working memory that `bind` needs beside `out`."""
        return ()

    def tables(self) -> tuple[Spec, ...]:
        """Arrays that `bind` fills once and its calls only read: they follow those of `scratch`, and stay."""
        return ()

    def work(self) -> tuple[Shape, ...]:
        """How much arithmetic this takes, as shapes: each counts as many operations as it has elements.

        By default one for each element of the result.
        """
        return tuple(spec.shape for spec in (self.spec if isinstance(self.spec, tuple) else (self.spec,)))

    def view(self, dense: bool) -> bool | None:
        """Do I alias my first operand? None: no. Else whether my elements still lie densely, in C order.

        `dense` says so of the operand. What `forward` returns for such an op is a view.
        """
        return None

    def overwrites(self) -> tuple[int, ...]:
        """The operands whose memory, when nobody needs it later, may become that of the result."""
        return ()

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int] | None:
        """The operand that holds class labels, if one does, and how many classes there are: checked at every call."""
        return None

    def at(self, sizes: Mapping[str, int]) -> Node:
        """This op with numbers for the named sizes in its attributes: what `forward` and `bind` are asked of."""
        return self

    def room(self) -> tuple[Dim, ...]:
        """What must not be negative once the named sizes are known, beside the sizes of the result.

        The first three of N rows are there when `N - 3` is 0 or more. It is checked at every call.
        """
        return ()

    def infer_as(self) -> Node:
        """What this is when a model predicts rather than learns."""
        return self

    def state_updates(self) -> Mapping[Any, Node]:
        """The state that this carries forward from step to step."""
        return {}

    def bodies(self) -> tuple[Body, ...]:
        """The graphs that this runs."""
        return ()

    def with_bodies(self, bodies: tuple[Body, ...]) -> Node:
        """The same over other bodies, in this node's place."""
        raise NotImplementedError(f"{self.op} has no bodies.")

    def body_runs(self, xp: Any, *arrays: Any) -> Iterator[tuple[Body, Mapping[Any, Any], str]]:
        """Each run of a body that computing this takes: what its placeholders are given, and words for when."""
        return iter(())

    def bind_bodies(
        self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...], programs: Sequence[Program]
    ) -> list[Call]:
        """As `bind`, for a node with bodies, which are bound already."""
        raise NotImplementedError(f"{self.op} has no bodies.")

    # What every node knows ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        """The shape: ints and named sizes."""
        spec = self.spec
        return spec.shape if spec.__class__ is Spec else self._single().shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype."""
        spec = self.spec
        return spec.dtype if spec.__class__ is Spec else self._single().dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def _single(self) -> Spec:
        if isinstance(self.spec, tuple):
            raise GraphError(
                f"{describe(self)} has {len(self.spec)} results: unpack them, as in a, b = {self.op}(...)."
            )
        return self.spec

    @property
    def shared(self) -> dict[str, Any]:
        """Where an op keeps what it works out of specs and attributes alone: nodes alike share it."""
        found: dict[str, Any] | None = self.__dict__.get("_shared")
        return self.__dict__.setdefault("_shared", {}) if found is None else found

    @property
    def op(self) -> str:
        """The name of the op."""
        return type(self).__name__

    @property
    def origin(self) -> Origin:
        """The file and line that declared this node; for a gradient, those of the node it differentiates."""
        return self.birth.origin

    @property
    def serial(self) -> int:
        """The place in the order of declaration."""
        return self.birth.serial

    @property
    def scope(self) -> tuple[str, ...]:
        """The scopes it was declared in, outermost first."""
        return self.birth.scope

    @property
    def adjoint_of(self) -> int | None:
        """The serial of the forward node that this differentiates; None for a forward node."""
        return self.birth.adjoint_of

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.op

    def attributes(self) -> dict[str, Any]:
        """The fields that are not operands, by name."""
        return {
            n: v
            for n, v in ((n, self.__dict__[n]) for n in self.field_names)
            if not isinstance(v, Node) and not (isinstance(v, tuple) and v and isinstance(v[0], Node))
        }

    def with_operands(self, replaced: Mapping[Node, Node], place: Node | None = None) -> Node:
        """The same op over other operands; itself when none of its operands is replaced.

        It stands in this node's place, or in that of another: no earlier than its operands.
        """
        mine, get = self.__dict__, replaced.get
        operands: list[Node] = []
        changed, alike, same_static = False, True, True
        for old in mine["operands"]:
            new = get(old, old)
            if new is not old:
                changed = True
                if new.spec is not old.spec and new.spec != old.spec:
                    alike = False
                if new.static is not old.static:
                    same_static, alike = False, alike and new.static
            operands.append(new)
        if not changed:
            return self
        place = self if place is None else place
        node = object.__new__(self.__class__)
        fields = node.__dict__
        for name in self.node_fields:
            value = mine[name]
            fields[name] = get(value, value)
        for name in self.attribute_names:
            value = mine[name]
            if value.__class__ is tuple and value and isinstance(value[0], Node):
                value = tuple([get(v, v) for v in value])
            fields[name] = value
        if not alike or not self._usual.issuperset(mine):
            with like(place):
                return type(self)(**fields)
        # Operands of the same specs: all that the constructor would check and infer is known.
        fields["birth"], fields["spec"], fields["operands"] = place.birth, mine["spec"], tuple(operands)
        if same_static:
            fields["static"] = mine["static"]
            if self.by_specs and "_shared" in mine:
                fields["_shared"] = mine["_shared"]
        else:
            fields["static"] = not self.random and all(operand.static for operand in operands)
        built(node)
        return node

    def with_fields(self, **fields: Any) -> Node:
        """A copy with other attributes over the same operands, unchecked: for `at`, which knows what it does."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, **fields)
        copy.__dict__.pop("_shared", None)  # what followed from the fields
        return copy

    def cast(self, dtype: np.dtype[Any]) -> Node:
        """This value in another dtype: itself if it has that already, else a visible Cast."""
        return self if self.dtype == dtype else Node.roles["cast"](self, dtype)

    def __repr__(self) -> str:
        spec = self.spec if isinstance(self.spec, Spec) else "(" + ", ".join(map(str, self.spec)) + ")"
        return f"<{self.label} {spec} ({self.origin})>"

    def __bool__(self) -> bool:
        raise GraphError(
            f"{describe(self)} has no value while the graph is declared, so it cannot decide an `if`, `and` or `or`. "
            "Use gn.Where to choose between nodes."
        )

    def __iter__(self) -> Iterator[Node]:
        if not isinstance(self.spec, tuple):
            raise GraphError(f"{describe(self)} is one value and cannot be unpacked or iterated over.")
        return (Item(self, i) for i in range(len(self.spec)))

    def __getstate__(self) -> None:
        raise GraphError("nodes are not pickled: a graph belongs to the process that declared it.")


class Item(Node):
    """One result of an op that has several: `Item(node, i)`, a projection that costs nothing."""

    node: Node
    index: int

    def infer(self) -> Spec:
        """The spec of that result."""
        specs = self.node.spec
        if not isinstance(specs, tuple):
            raise GraphError(f"Item: {describe(self.node)} has one result only.")
        spec: Spec = specs[self.index]
        return spec

    indifferent = True

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """That result."""
        return arrays[0][self.index]

    def view(self, dense: bool) -> bool | None:
        """It is the result itself."""
        return dense

    def vjp(self, g: Node) -> Node:
        """The upstream gradient: the differentiator gathers those of all results."""
        return g


def describe(node: Node) -> str:
    """How messages speak of a node: its label, spec and source line."""
    spec = node.spec if isinstance(node.spec, Spec) else "(" + ", ".join(map(str, node.spec)) + ")"
    return f"{node.label} {spec} ({node.origin})"
