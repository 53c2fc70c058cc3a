"""Batches: calls of kernels over samples (`samples`), put together action by action."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ...ir.formula import parse
from ...ir.spec import Dim
from ..nests import Axis, make_axes
from .maps import lower_map
from .products import WORD, Product
from .samples import Action, Moves, Multiplication, Transposition, samples_kernel
from .tape import Invocation, address_of

__all__ = ["Batch", "Copy", "fixed_count", "grouped", "is_product", "matrix", "parts", "sample_axis", "zeros"]

Copy: TypeAlias = "tuple[np.ndarray, np.ndarray]"
"""The array that is written, and the array that is read."""


@dataclass
class Batch:
    """The call of a kernel over samples. Its actions are added one by one, with their words and tables."""

    rounds: int
    """How often the kernel runs the list of actions."""
    arrays: list[tuple[np.ndarray, int]] = field(default_factory=list)
    """Each array, and its stride from round to round, in bytes."""
    actions: list[Action] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)

    def array(self, array: np.ndarray, by: int = 0) -> int:
        """Add an array, which begins `by` bytes further on in each round. Returns its number."""
        self.arrays.append((array, by))
        return len(self.arrays) - 1

    def table(self, entries: np.ndarray) -> int:
        """Add a table behind the others. Returns its offset from the first, in bytes."""
        begin = len(self.tables) * WORD.itemsize
        self.tables += entries.reshape(-1).tolist()
        return begin

    def move(self, target: int, source: int, copies: Iterable[Copy], dims: Sequence[Dim], added: bool = False) -> None:
        """Add an action that copies parts of one array to another, or adds them to it.

        Args:
            target: the number of the array that is written.
            source: the number of the array that is read.
            copies: each part of the target, and of the source.
            dims: the declared size of each axis of a part. A named size is a word, so that one kernel serves any.
            added: whether the parts are added to the target.
        """
        bases = [address_of(self.arrays[i][0]) for i in (target, source)]
        alike: dict[tuple[tuple[Axis, ...], tuple[int, ...]], list[list[int]]] = {}
        for to, of in copies:
            sizes = [n if isinstance(dim, int) else dim for n, dim in zip(to.shape, dims, strict=True)]
            moves = list(zip(to.strides, of.strides, strict=True))
            axes, words = make_axes(sizes, to.shape, moves, (to.dtype, of.dtype))
            begins = [address_of(array) - base for array, base in zip((to, of), bases, strict=True)]
            alike.setdefault((axes, tuple(words)), []).append(begins)
        for (axes, numbers), pairs in alike.items():
            self.actions.append(Moves(target, source, axes, added))
            self.words += [self.table(np.array(pairs)), len(pairs), *numbers]

    def transpose(self, target: int, source: int, to: np.ndarray, of: np.ndarray) -> None:
        """Add an action that transposes each sample's matrix in `of`, of shape (samples, rows, columns), into `to`."""
        self.actions.append(Transposition(target, source))
        self.words += [len(of), to.strides[0], of.strides[0], *of.shape[1:], of.strides[1], to.strides[1]]

    def multiply(
        self,
        how: Product,
        arrays: tuple[int, ...],
        tables: Sequence[np.ndarray],
        words: list[int],
        blocks: bool = False,
    ) -> None:
        """Add an action that multiplies matrices. With `blocks`, the first of `words` is the number of steps."""
        self.actions.append(Multiplication(how, arrays, blocks))
        self.words += [*map(self.table, tables), *words]

    def call(self) -> Invocation:
        """The call of the kernel with all actions added so far."""
        kernel = samples_kernel(self.arrays[0][0].dtype, len(self.arrays), tuple(self.actions))
        arrays = [word for array, by in self.arrays for word in (address_of(array), by)]
        return Invocation(kernel, [*arrays, self.rounds, *self.words, *self.tables])


def parts(samples: int, at_once: int) -> Iterator[tuple[slice, int]]:
    """The samples in parts, and how many samples of each part are treated at once. The last part has the rest."""
    rest = samples % at_once
    if samples > rest:
        yield slice(samples - rest), at_once
    if rest:
        yield slice(samples - rest, samples), rest


def sample_axis(declared: Any, together: bool) -> Dim:
    """The size of the axis of samples. If they are treated together it is as declared: one kernel serves any number."""
    size: Dim = declared.x.shape[0]
    return size if together else 1


def fixed_count(dims: Sequence[Dim], count: int) -> int | None:
    """The number of elements if no size is named, else None."""
    return count if all(isinstance(dim, int) for dim in dims) else None


def grouped(groups: int, *moves: int) -> list[int]:
    """The words of the axis of groups: its size and strides. Empty if there is only one group."""
    return [groups, *moves] if groups > 1 else []


def is_product(node: Any, images: np.ndarray, at_places: np.ndarray, *operands: np.ndarray) -> bool:
    """Does the window cover each image as a whole, in one place? Then the whole batch is one product of matrices."""
    window = node.window
    alone = images.shape[2:] == window.kernel and prod(at_places.shape[2:]) == 1 and not any(map(sum, window.padding))
    return alone and node.groups == 1 and all(array.flags.c_contiguous for array in operands)


def matrix(array: np.ndarray) -> np.ndarray:
    """The array as a matrix, with a row for each image or filter."""
    return array.reshape(len(array), -1)


def zeros(array: np.ndarray) -> list[Invocation]:
    """The call that writes zeros."""
    return lower_map(parse("0"), (), array.shape, (), array)
