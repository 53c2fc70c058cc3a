"""Writing LLVM IR: instructions, loops, and loads and stores of vectors.

A kernel is a function `i64 kernel(ptr words)`: it finds its pointers and sizes in an array of 64-bit words, and
returns 0, or another number to stop the program. Names in the text are made here, so nothing of a user's is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .types import DType, convert, memory_type, register_type, splat, suffix

__all__ = ["Writer"]

_INDEX, _SINGLE = np.dtype(np.int64), np.dtype(np.float32)
_INTRINSIC = re.compile(r"call (?:[a-z]+ )*([^@(]+) (@[\w.]+)\((.*)\)")


class Writer:
    """Writes the body of one kernel."""

    def __init__(self) -> None:
        self._entry: list[str] = []
        self._lines: list[str] = []
        self._declared: dict[str, str] = {}
        self._count = 0
        self.label = "entry"
        self.words = 0
        self._rest: str | None = None

    # Instructions ------------------------------------------------------------------------------------------------

    def name(self) -> str:
        """A new name for a value."""
        self._count += 1
        return f"%v{self._count}"

    def put(self, instruction: str) -> str:
        """Write an instruction that has a value; the value's name."""
        made = self.name()
        self.do(f"{made} = {instruction}")
        return made

    def do(self, instruction: str) -> None:
        """Write an instruction."""
        called = _INTRINSIC.search(instruction)
        if called and called[2] not in self._declared:
            types = ", ".join(_types(called[3]))
            self._declared[called[2]] = f"declare {called[1].strip()} {called[2]}({types})"
        self._lines.append("  " + instruction)

    def word(self, kind: str = "i64") -> str:
        """The next argument: a size, or with "ptr" a pointer."""
        made, place = self.name(), self.name()
        self._entry.append(f"  {place} = getelementptr i64, ptr %words, i64 {self.words}")
        self._entry.append(f"  {made} = load {kind}, ptr {place}, align 8")
        self.words += 1
        return made

    def rest(self) -> str:
        """A pointer to the words after all that the kernel reads one by one: tables, as long as they may be."""
        self._rest = self._rest or self.name()
        return self._rest

    def variable(self, kind: str, value: str | None = None, count: int = 1) -> str:
        """Memory of the kernel's own, which becomes registers where that can be."""
        made = self.name()
        self._entry.append(f"  {made} = alloca {kind if count == 1 else f'[{count} x {kind}]'}, align 64")
        if value is not None:
            self.do(f"store {kind} {value}, ptr {made}")
        return made

    # Control -----------------------------------------------------------------------------------------------------

    def start(self, label: str) -> None:
        """Begin a block."""
        self._lines.append(f"{label}:")
        self.label = label

    def labels(self, *hints: str) -> list[str]:
        """New labels."""
        self._count += 1
        return [f"{hint}{self._count}" for hint in hints]

    @contextmanager
    def loop(self, stop: str, step: int = 1, start: str = "0") -> Iterator[str]:
        """A loop from `start` while below `stop`; yields the index."""
        head, body, latch, end = self.labels("head", "body", "latch", "end")
        index, following, before = self.name(), self.name(), self.label
        self.do(f"br label %{head}")
        self.start(head)
        self.do(f"{index} = phi i64 [ {start}, %{before} ], [ {following}, %{latch} ]")
        self.do(f"br i1 {self.put(f'icmp slt i64 {index}, {stop}')}, label %{body}, label %{end}")
        self.start(body)
        yield index
        self.do(f"br label %{latch}")
        self.start(latch)
        self.do(f"{following} = add nsw i64 {index}, {step}")
        self.do(f"br label %{head}")
        self.start(end)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """What is written inside runs only when the condition holds."""
        then, end = self.labels("then", "done")
        self.do(f"br i1 {condition}, label %{then}, label %{end}")
        self.start(then)
        yield
        self.do(f"br label %{end}")
        self.start(end)

    @contextmanager
    def repeat(self) -> Iterator[str]:
        """A loop without an end of its own; yields the label behind it."""
        head, end = self.labels("again", "through")
        self.do(f"br label %{head}")
        self.start(head)
        yield end
        self.do(f"br label %{head}")
        self.start(end)

    def go_when(self, condition: str, label: str) -> None:
        """Go on at a label when the condition holds."""
        [stay] = self.labels("stay")
        self.do(f"br i1 {condition}, label %{label}, label %{stay}")
        self.start(stay)

    def leave(self, condition: str, status: str) -> None:
        """Return a status when the condition holds."""
        then, end = self.labels("leave", "stay")
        self.do(f"br i1 {condition}, label %{then}, label %{end}")
        self.start(then)
        self.do(f"ret i64 {status}")
        self.start(end)

    # Memory ------------------------------------------------------------------------------------------------------

    def offset(self, pointer: str, *steps: tuple[str, str | int]) -> str:
        """A pointer moved by some indices, each times a number of bytes."""
        for index, stride in steps:
            if stride == 0 or index == "0":
                continue
            if index.isdigit() and isinstance(stride, int):  # passes that look for fixed places do not multiply
                by = str(int(index) * stride)
            else:
                by = index if stride == 1 else self.put(f"mul nsw i64 {index}, {stride}")
            pointer = self.put(f"getelementptr i8, ptr {pointer}, i64 {by}")
        return pointer

    def load(self, pointer: str, dtype: DType, lanes: int = 1, mask: str | None = None) -> str:
        """Elements that lie side by side; with a mask only those, the others being zero."""
        kind = _vector(memory_type(dtype), lanes)
        align = dtype.itemsize
        if mask is None:
            value = self.put(f"load {kind}, ptr {pointer}, align {align}")
        else:
            named = f"llvm.masked.load.{_memory_suffix(dtype, lanes)}.p0"
            value = self.put(
                f"call {kind} @{named}(ptr align {align} {pointer}, <{lanes} x i1> {mask}, {kind} zeroinitializer)"
            )
        if dtype.kind == "b":
            return self.put(f"icmp ne {kind} {value}, {'0' if lanes == 1 else 'zeroinitializer'}")
        return value

    def store(self, value: str, pointer: str, dtype: DType, lanes: int = 1, mask: str | None = None) -> None:
        """Write elements side by side; with a mask only those."""
        kind = _vector(memory_type(dtype), lanes)
        align = dtype.itemsize
        if dtype.kind == "b":
            value = self.put(f"zext {register_type(dtype, lanes)} {value} to {kind}")
        if mask is None:
            self.do(f"store {kind} {value}, ptr {pointer}, align {align}")
            return
        named = f"llvm.masked.store.{_memory_suffix(dtype, lanes)}.p0"
        self.do(f"call void @{named}({kind} {value}, ptr align {align} {pointer}, <{lanes} x i1> {mask})")

    def copy_bytes(self, target: str, source: str, count: str) -> None:
        """Copy so many bytes between places that do not overlap."""
        self.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {count}, i1 false)")

    def spread(self, value: str, dtype: DType, lanes: int) -> str:
        """A value in every lane."""
        if lanes == 1:
            return value
        kind = register_type(dtype, lanes)
        one = self.put(f"insertelement {kind} poison, {register_type(dtype)} {value}, i64 0")
        return self.put(f"shufflevector {kind} {one}, {kind} poison, <{lanes} x i32> zeroinitializer")

    def first(self, count: str, lanes: int) -> str:
        """The mask of the first so many lanes."""
        numbers = ", ".join(f"i64 {i}" for i in range(lanes))
        by = self.spread(count, _INDEX, lanes)
        return self.put(f"icmp slt <{lanes} x i64> <{numbers}>, {by}")

    def converted(self, value: str, source: DType, target: DType, lanes: int = 1) -> str:
        """The value in another dtype."""
        if (source.str[1:], target.str[1:]) == ("f8", "f2"):
            value, source = self._rounded_to_odd(value, lanes), _SINGLE
        for instruction in convert(source, target, lanes):
            value = self.put(instruction.format(value))
        return value

    def _rounded_to_odd(self, value: str, lanes: int) -> str:
        """A float64 as the float32 that rounds on as it does: what is not exact is cut off, and its last bit set.

        Rounded twice to the nearest, a number just beside the middle between two of a coarser format goes astray.
        Source: S. Boldo and G. Melquiond, Emulation of a FMA and Correctly Rounded Sums: Proved Algorithms Using
        Rounding to Odd, IEEE Transactions on Computers 57, 2008.
        """
        double, single, bits, truth = (register_type(np.dtype(kind), lanes) for kind in ("f8", "f4", "i4", "?"))
        near = self.put(f"fptrunc {double} {value} to {single}")
        back = self.put(f"fpext {single} {near} to {double}")
        inexact = self.put(f"fcmp one {double} {back}, {value}")
        larger, size = (self.call("fabs", np.dtype(float), lanes, x) for x in (back, value))
        beyond = self.put(f"zext {truth} {self.put(f'fcmp ogt {double} {larger}, {size}')} to {bits}")
        number = self.put(f"bitcast {single} {near} to {bits}")
        cut = self.put(f"sub {bits} {number}, {beyond}")
        odd = self.put(f"or {bits} {cut}, {self.constant('1', np.dtype(np.int32), lanes)}")
        chosen = self.put(f"select {truth} {inexact}, {bits} {odd}, {bits} {number}")
        return self.put(f"bitcast {bits} {chosen} to {single}")

    def call(self, intrinsic: str, dtype: DType, lanes: int, *values: str) -> str:
        """An LLVM intrinsic on values of one dtype: `call("fma", f64, 8, a, b, c)`."""
        kind = register_type(dtype, lanes)
        given = ", ".join(f"{kind} {value}" for value in values)
        return self.put(f"call {kind} @llvm.{intrinsic}.{suffix(dtype, lanes)}({given})")

    def anywhere(self, condition: str, lanes: int) -> str:
        """Does a condition hold in any lane?"""
        if lanes == 1:
            return condition
        return self.put(f"call i1 @llvm.vector.reduce.or.v{lanes}i1(<{lanes} x i1> {condition})")

    def constant(self, text: str, dtype: DType, lanes: int) -> str:
        """A number, in every lane."""
        return splat(text, dtype, lanes)

    # The whole ---------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The function, called `@kernel`, with what it needs declared."""
        rest = [f"  {self._rest} = getelementptr i64, ptr %words, i64 {self.words}"] if self._rest else []
        body = "\n".join([*self._entry, *rest, "  br label %begin", "begin:", *self._lines, "  ret i64 0"])
        # The first loop came from the block that is called `begin` once the arguments have been read before it.
        body = body.replace("%entry ]", "%begin ]")
        return "\n".join([*self._declared.values(), f"define i64 @kernel(ptr %words) {{\nentry:\n{body}\n}}", ""])


def _vector(kind: str, lanes: int) -> str:
    return kind if lanes == 1 else f"<{lanes} x {kind}>"


def _memory_suffix(dtype: DType, lanes: int) -> str:
    return f"v{lanes}{'i8' if dtype.kind == 'b' else suffix(dtype, 1)}"


def _types(arguments: str) -> list[str]:
    """The types in a list of arguments, each a type with a value."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(arguments + ","):
        depth += letter in "<([{"
        depth -= letter in ">)]}"
        if letter == "," and depth == 0:
            parts.append(arguments[start:i].strip())
            start = i + 1
    return [_type(part) for part in parts if part]


def _type(argument: str) -> str:
    if argument.startswith("<"):
        return argument[: argument.index(">") + 1]
    return argument.split(" ")[0]
