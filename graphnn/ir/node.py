"""Nodes: an op is a class, a node is an instance of it.

A subclass of `Node` becomes a frozen dataclass by itself. The fields that hold nodes are its operands, the other
fields are its attributes. The constructor checks all that it can, so that a wrong shape fails on the user's own line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, dataclass_transform

import numpy as np

from ..errors import DTypeError, GraphError
from .checks import check_key, keep_check, known_check, shared_for
from .context import Birth, birth, built, like, settle
from .dtype import operand_array
from .op import Call, describe
from .operators import Operand, install
from .spec import Shape, Spec
from .valueless import Valueless

__all__ = ["Node", "Item", "Operand", "Call", "describe"]

_KNOWN = ("birth", "operands", "spec", "static", "_expansion", "_inner", "_shared")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field,))
class Node(Valueless):
    """A value in a graph: the application of an op to operands.

    Nodes are immutable, compare by identity, and know their `spec` (shape and dtype), their `operands`, and the
    line of source that declared them (`origin`). Operators and NumPy-style methods build further nodes.

    To add an op, derive from `Elementwise` (one formula), from `Composite` (made of other ops), or from `Node`
    itself, and define `infer`, `forward` and `vjp`. Keywords of the class statement make the op an operator or a
    method of nodes: `infix="+"`, `prefix="-"`, `method="sum"`. The keyword `role` registers the op with the rest of
    `graphnn.ir`, which imports no op.
    """

    ops: ClassVar[dict[str, type[Node]]] = {}
    """Every op by its name. A class whose name begins with an underscore is a base, and is left out."""
    roles: ClassVar[dict[str, type[Any]]] = {}
    field_names: ClassVar[tuple[str, ...]] = ()
    _usual: ClassVar[frozenset[str]] = frozenset()
    """What the `__dict__` of a node of this op normally holds. `with_operands` copies no more than this."""
    node_fields: ClassVar[tuple[str, ...]] = ()
    optional_fields: ClassVar[frozenset[str]] = frozenset()
    attribute_names: ClassVar[tuple[str, ...]] = ()
    """The fields that do not hold a single node: attributes, and tuples of operands."""

    birth: Birth
    operands: tuple[Node, ...]
    spec: Spec
    static: bool
    """True when the value is known before the run, because it depends only on constants and sizes."""

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
        cls.optional_fields = frozenset(f.name for f in fields if "None" in str(f.type))
        cls.attribute_names = tuple(name for name in cls.field_names if name not in cls.node_fields)
        cls._usual = frozenset((*cls.field_names, *_KNOWN))
        if not cls.__dict__.keys().isdisjoint(("prepare", "infer")):
            cls.by_specs = cls.__dict__.get("by_specs", False)
        for name in ("shape", "dtype", "spec", "specs", "operands"):
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
        """As `_check`, but once for all nodes of this op with the same specs and attributes."""
        self._find_operands()
        given, key = self.operands, check_key(self)
        known = known_check(key)
        mine = self.__dict__
        if known is None:
            self._check(born)
            if mine["operands"] == given:
                keep_check(key, self)
            else:  # `prepare` has replaced operands
                mine["_shared"] = shared_for(check_key(self))
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
            if isinstance(mine[name], Node):
                continue
            if mine[name] is not None:
                plain.append(name)
            elif name not in self.optional_fields:
                raise GraphError(f"{type(self).__name__}: operand '{name}' is None: a node or a number is needed.")
        if plain:
            beside = tuple(mine[n].dtype for n in self.node_fields if isinstance(mine[n], Node))
            for name in plain:
                try:
                    array = operand_array(mine[name], beside)
                except DTypeError as error:
                    raise DTypeError(f"{type(self).__name__}: operand '{name}': {error}") from None
                mine[name] = Node.roles["constant"](array)

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
        """A place for what an op computes from specs and attributes alone. Nodes that agree in those share it."""
        found: dict[str, Any] | None = self.__dict__.get("_shared")
        return self.__dict__.setdefault("_shared", {}) if found is None else found

    @property
    def serial(self) -> int:
        """The position in the order of declaration."""
        return self.birth.serial

    @property
    def scope(self) -> tuple[str, ...]:
        """The scopes it was declared in, outermost first."""
        return self.birth.scope

    @property
    def adjoint_of(self) -> int | None:
        """For a node of a gradient, the serial of the forward node that it differentiates; None for a forward node."""
        return self.birth.adjoint_of

    def attributes(self) -> dict[str, Any]:
        """The fields that are not operands, by name."""
        return {
            n: v
            for n, v in ((n, self.__dict__[n]) for n in self.field_names)
            if not isinstance(v, Node) and not (isinstance(v, tuple) and v and isinstance(v[0], Node))
        }

    def with_operands(self, replaced: Mapping[Node, Node], place: Node | None = None) -> Node:
        """The same op over other operands; this node itself when none of its operands is replaced.

        The new node has the position (`serial`) and origin of this node, or those of `place`: a node that is declared
        no earlier than the operands.
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
        # With operands of the same specs, all that the constructor would check and infer is known.
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
        """A copy with other attributes and the same operands. Nothing is checked: it is meant for `at`."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, **fields)
        copy.__dict__.pop("_shared", None)  # it was computed from the old fields
        return copy

    def cast(self, dtype: np.dtype[Any]) -> Node:
        """This value in another dtype: the node itself if it has that dtype, else a Cast of it."""
        return self if self.dtype == dtype else Node.roles["cast"](self, dtype)

    def __repr__(self) -> str:
        return f"<{describe(self)}>"

    def __iter__(self) -> Iterator[Node]:
        if not isinstance(self.spec, tuple):
            raise GraphError(f"{describe(self)} is one value and cannot be unpacked or iterated over.")
        return (Item(self, i) for i in range(len(self.spec)))


class Item(Node):
    """One result of an op that has several: `Item(node, i)`. It costs nothing at run time."""

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
        """It lies where the result lies."""
        return dense

    def vjp(self, g: Node) -> Node:
        """The upstream gradient of this result; `pullback` combines those of all results."""
        return g
