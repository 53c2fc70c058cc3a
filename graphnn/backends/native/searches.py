"""Searches: kernels that walk a line in blocks, for the first place where something holds: a vector or two at a time
where elements lie side by side, else a few single ones.

The last block begins so early that it is whole: what it sees twice changes nothing, and no element is left over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..nests import Axis, Nest
from .maps import axis_loops, axis_numbers
from .types import LANES, DType, number, register_type, splat, suffix
from .writer import Writer

__all__ = ["place_kernel", "searchable", "truth_kernel"]

VECTORS = 2
"""So many vectors are a block of a long line: more cost lines of a few blocks what they spare long ones."""
SINGLES = 4
"""So many elements are a block of a line that is not dense."""
FEW = 3
"""Lines of a fixed size up to this are not worth a block."""

_PLACE, _SINGLE, _TRUTH = np.dtype(np.int64), np.dtype(np.float32), np.dtype(bool)


def searchable(lines: Sequence[Axis], along: Axis) -> bool:
    """Is a line worth blocks? Rather than neighbouring lines that lie side by side, searched together in vectors."""
    dense = along.strides[-1] == "dense"
    apart = not lines or lines[-1].strides[-1] != "dense"
    return (dense or apart) and (along.size is None or along.size > FEW)


@cache
def place_kernel(largest: bool, last: bool, lines: Nest, along: Axis) -> str:
    """Where the largest or smallest of each line stands, the first of equal ones; the first NaN, where there is one.

    Arrays: result, operand. Words: their pointers; size and strides of the line where they vary; the numbers of the
    axes that lines lie along. With `last` the line is given from its end, and places are counted from its beginning.
    """
    w = Writer()
    pointers = [w.word("ptr"), w.word("ptr")]
    count, (_, step) = axis_numbers(w, along, lines.dtypes)
    with axis_loops(w, lines.axes, lines.dtypes, pointers) as (out, x):
        place = w.variable("i64", "0")
        for blocks in _ways(w, _Line(x, count, along.size, step, lines.dtypes[1])):
            if blocks.dtype.kind == "b":
                blocks.find_truth(largest, place)
            else:
                blocks.find_extreme(largest, place)
        found = w.put(f"load i64, ptr {place}")
        w.store(w.put(f"sub i64 {w.put(f'sub i64 {count}, 1')}, {found}") if last else found, out, _PLACE)
    return w.text()


@cache
def truth_kernel(every: bool, lines: Nest, outer: tuple[Axis, ...], along: Axis) -> str:
    """Do all elements hold, or does any? It is known as soon as one does not, or does. Arrays: result, operand.

    Words: their pointers; the numbers of the axes that lines lie along, then of those that are folded.
    """
    w = Writer()
    pointers = [w.word("ptr"), w.word("ptr")]
    with axis_loops(w, lines.axes, lines.dtypes, pointers) as (out, x):
        place = w.variable("i64", "-1")
        [known] = w.labels("known")
        with axis_loops(w, outer, lines.dtypes, [out, x]) as (_, start):
            count, (_, step) = axis_numbers(w, along, lines.dtypes)
            for blocks in _ways(w, _Line(start, count, along.size, step, lines.dtypes[1])):
                blocks.find_truth(not every, place)
            w.go_when(w.put(f"icmp sge i64 {w.put(f'load i64, ptr {place}')}, 0"), known)
        w.do(f"br label %{known}")
        w.start(known)
        how = "slt" if every else "sge"
        w.store(w.put(f"icmp {how} i64 {w.put(f'load i64, ptr {place}')}, 0"), out, _TRUTH)
    return w.text()


@dataclass(frozen=True)
class _Line:
    """A line of elements that is searched.

    Its first element, the number of its elements as a value of the kernel, the same as a number if it is fixed, and
    the bytes from element to element.
    """

    pointer: str
    count: str
    size: int | None
    step: str | int
    dtype: DType


def _ways(w: Writer, line: _Line) -> Iterator[_Blocks]:
    """The blocks of a line, the largest that it has room for: one way where its size is fixed, else the choice."""
    dense = line.step == line.dtype.itemsize
    lanes = LANES // max(line.dtype.itemsize, 4 if line.dtype.kind == "f" else 1) if dense else 1
    vectors = VECTORS if dense else SINGLES
    if line.size is not None:
        lanes = min(lanes, 1 << line.size.bit_length() - 1)
        yield _Blocks(w, line, lanes, min(vectors, line.size // lanes))
        return
    with ExitStack() as otherwise:
        for many, together in dict.fromkeys([(lanes, vectors), (lanes, 1)]):
            if many * together > 1:
                enough = w.put(f"icmp sge i64 {line.count}, {many * together}")
                with w.when(enough):
                    yield _Blocks(w, line, many, together)
                otherwise.enter_context(w.when(w.put(f"xor i1 {enough}, true")))
        yield _Blocks(w, line, 1, 1)


class _Blocks:
    """A line in blocks of some vectors of so many lanes each."""

    def __init__(self, w: Writer, line: _Line, lanes: int, vectors: int) -> None:
        self.w, self.line, self.lanes, self.vectors = w, line, lanes, vectors
        self.dtype = _SINGLE if line.dtype.kind == "f" and line.dtype.itemsize == 2 else line.dtype
        self.kind, self.truth = register_type(self.dtype, lanes), register_type(_TRUTH, lanes)

    def find_truth(self, wanted: bool, place: str) -> None:
        """Store where the first element stands that is true, or that is not; leave the place alone if none is."""
        with self._blocks() as (at, found):
            masks = [self._is_true(x, wanted) for x in self._load(at)]
            with self.w.when(self._holds(self._either(masks))):
                self._store_first(masks, at, place)
                self._leave(found)

    def find_extreme(self, largest: bool, place: str) -> None:
        """Store where the largest or smallest element stands: in the first block that has it, or that has NaN."""
        w, one = self.w, register_type(self.dtype)
        best, block = w.variable(one, _worst(largest, self.dtype)), w.variable("i64", "0")
        nan = w.variable("i1", "false")
        with self._blocks() as (at, found):
            values = self._load(at)
            if self.dtype.kind == "f":
                with w.when(self._holds(self._either(self._unordered(values)))):
                    w.do(f"store i64 {at}, ptr {block}")
                    w.do(f"store i1 true, ptr {nan}")
                    self._leave(found)
            most = self._most(largest, self._pairwise(values, lambda x, y: self._better(largest, x, y)))
            before, where = w.put(f"load {one}, ptr {best}"), w.put(f"load i64, ptr {block}")
            better = self._compare("gt" if largest else "lt", most, before, 1)
            w.do(f"store {one} {w.put(f'select i1 {better}, {one} {most}, {one} {before}')}, ptr {best}")
            w.do(f"store i64 {w.put(f'select i1 {better}, i64 {at}, i64 {where}')}, ptr {block}")
        at, extreme = w.put(f"load i64, ptr {block}"), w.put(f"load {one}, ptr {best}")
        everywhere, is_nan = w.spread(extreme, self.dtype, self.lanes), w.put(f"load i1, ptr {nan}")
        self._store_first([self._is(x, everywhere, is_nan) for x in self._load(at)], at, place)

    # Blocks ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _blocks(self) -> Iterator[tuple[str, str]]:
        """Each block: where it begins, and the label behind all of them."""
        w, line, unit = self.w, self.line, self.lanes * self.vectors
        [found] = w.labels("found")
        last = str(line.size - unit) if line.size is not None else w.put(f"sub nsw i64 {line.count}, {unit}")
        with w.loop(line.count, unit) as index:
            yield w.put(f"call i64 @llvm.smin.i64(i64 {index}, i64 {last})"), found
        w.do(f"br label %{found}")
        w.start(found)

    def _leave(self, label: str) -> None:
        self.w.do(f"br label %{label}")
        self.w.start(self.w.labels("never")[0])

    def _load(self, at: str) -> list[str]:
        """The vectors of a block, in the dtype that they are compared in."""
        w, line = self.w, self.line
        start = w.offset(line.pointer, (at, line.step))
        places = [w.offset(start, (str(i * self.lanes), line.step)) for i in range(self.vectors)]
        loaded = [w.load(place, line.dtype, self.lanes) for place in places]
        return [w.converted(x, line.dtype, self.dtype, self.lanes) for x in loaded]

    def _store_first(self, masks: Sequence[str], at: str, place: str) -> None:
        """Store where the first lane stands that one of a block's masks has, if there is one."""
        w, lanes = self.w, self.lanes
        first = w.put(f"load i64, ptr {place}")
        for i, mask in reversed([*enumerate(masks)]):
            here = w.put(f"add nsw i64 {at}, {i * lanes}")
            if lanes > 1:
                bits = w.put(f"bitcast {self.truth} {mask} to i{lanes}")
                lane = w.put(f"call i{lanes} @llvm.cttz.i{lanes}(i{lanes} {bits}, i1 true)")
                lane = lane if lanes == 64 else w.put(f"zext i{lanes} {lane} to i64")
                here = w.put(f"add nsw i64 {here}, {lane}")
            first = w.put(f"select i1 {self._holds(mask)}, i64 {here}, i64 {first}")
        w.do(f"store i64 {first}, ptr {place}")

    # Vectors -----------------------------------------------------------------------------------------------------

    def _compare(self, how: str, x: str, y: str, lanes: int | None = None) -> str:
        """`gt`, `lt`, `eq` or `ne`: of NaN only `ne` holds."""
        kind = register_type(self.dtype, lanes or self.lanes)
        if self.dtype.kind == "f":
            return self.w.put(f"fcmp {'u' if how == 'ne' else 'o'}{how} {kind} {x}, {y}")
        return self.w.put(f"icmp {self._sign() if how in ('gt', 'lt') else ''}{how} {kind} {x}, {y}")

    def _sign(self) -> str:
        return "s" if self.dtype.kind == "i" else "u"

    def _is_true(self, x: str, wanted: bool) -> str:
        if self.dtype.kind != "b":
            return self._compare("ne" if wanted else "eq", x, splat(number(0, self.dtype), self.dtype, self.lanes))
        return x if wanted else self.w.put(f"xor {self.truth} {x}, {splat('true', _TRUTH, self.lanes)}")

    def _is(self, x: str, extreme: str, nan: str) -> str:
        """Is it the extreme; or, where there is NaN, is it that?"""
        same = self._compare("eq", x, extreme)
        if self.dtype.kind != "f":
            return same
        return self.w.put(f"select i1 {nan}, {self.truth} {self._unordered([x])[0]}, {self.truth} {same}")

    def _unordered(self, values: Sequence[str]) -> list[str]:
        """The lanes where vectors have NaN, two vectors at a time."""
        pairs = [(values[i], values[min(i + 1, len(values) - 1)]) for i in range(0, len(values), 2)]
        return [self.w.put(f"fcmp uno {self.kind} {x}, {y}") for x, y in pairs]

    def _better(self, largest: bool, x: str, y: str) -> str:
        """The better of each two numbers; either, where one is NaN."""
        if self.dtype.kind == "f":
            first = self._compare("gt" if largest else "lt", x, y)
            return self.w.put(f"select {self.truth} {first}, {self.kind} {x}, {self.kind} {y}")
        return self.w.call(f"{self._sign()}{'max' if largest else 'min'}", self.dtype, self.lanes, x, y)

    def _most(self, largest: bool, x: str) -> str:
        """The best of all lanes, of which none is NaN."""
        if self.lanes == 1:
            return x
        flags, sign = ("nnan nsz ", "f") if self.dtype.kind == "f" else ("", self._sign())
        name = f"llvm.vector.reduce.{sign}{'max' if largest else 'min'}.{suffix(self.dtype, self.lanes)}"
        return self.w.put(f"call {flags}{register_type(self.dtype)} @{name}({self.kind} {x})")

    def _either(self, masks: Sequence[str]) -> str:
        return self._pairwise(masks, lambda x, y: self.w.put(f"or {self.truth} {x}, {y}"))

    def _pairwise(self, values: Sequence[str], combine: Callable[[str, str], str]) -> str:
        while len(values) > 1:
            pairs = [values[i : i + 2] for i in range(0, len(values), 2)]
            values = [combine(*pair) if len(pair) > 1 else pair[0] for pair in pairs]
        return values[0]

    def _holds(self, mask: str) -> str:
        """Does it hold in any lane?"""
        if self.lanes == 1:
            return mask
        return self.w.put(f"icmp ne i{self.lanes} {self.w.put(f'bitcast {self.truth} {mask} to i{self.lanes}')}, 0")


def _worst(largest: bool, dtype: DType) -> str:
    """What no element is worse than."""
    if dtype.kind == "f":
        return number(-np.inf if largest else np.inf, dtype)
    limits = np.iinfo(dtype)
    return str(limits.min if largest else limits.max)
