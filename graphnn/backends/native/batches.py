"""Batches: the calls of kernels over samples, put together action by action; and how many samples to treat at once."""

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
"""Where to, and from where."""


@dataclass
class Batch:
    """The call of a kernel over samples, as it is put together: its actions, their words, and its tables."""

    rounds: int
    """How often all is done."""
    arrays: list[tuple[np.ndarray, int]] = field(default_factory=list)
    """Each array, and the bytes from round to round."""
    actions: list[Action] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)

    def array(self, array: np.ndarray, by: int = 0) -> int:
        """The number of an array that lies so many bytes further in each round."""
        self.arrays.append((array, by))
        return len(self.arrays) - 1

    def table(self, entries: np.ndarray) -> int:
        """Bytes to a table, which is put behind the others."""
        begin = len(self.tables) * WORD.itemsize
        self.tables += entries.reshape(-1).tolist()
        return begin

    def move(self, target: int, source: int, copies: Iterable[Copy], dims: Sequence[Dim], added: bool = False) -> None:
        """Copy parts of one array to another, or add them. `dims` says which axes have a named size."""
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
        """Transpose matrices: one of each sample of (samples, rows, columns)."""
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
        """Multiply matrices; in blocks of steps, where the first of the words says how many there are."""
        self.actions.append(Multiplication(how, arrays, blocks))
        self.words += [*map(self.table, tables), *words]

    def call(self) -> Invocation:
        """The call."""
        kernel = samples_kernel(self.arrays[0][0].dtype, len(self.arrays), tuple(self.actions))
        arrays = [word for array, by in self.arrays for word in (address_of(array), by)]
        return Invocation(kernel, [*arrays, self.rounds, *self.words, *self.tables])


def parts(samples: int, at_once: int) -> Iterator[tuple[slice, int]]:
    """The samples in parts, and how many of each are treated at once: what is left over makes a part of its own."""
    rest = samples % at_once
    if samples > rest:
        yield slice(samples - rest), at_once
    if rest:
        yield slice(samples - rest, samples), rest


def sample_axis(declared: Any, together: bool) -> Dim:
    """The size of an axis of samples that are treated together: as declared, so that one kernel serves any number."""
    size: Dim = declared.x.shape[0]
    return size if together else 1


def fixed_count(dims: Sequence[Dim], count: int) -> int | None:
    """The number of elements, where no size is named."""
    return count if all(isinstance(dim, int) for dim in dims) else None


def grouped(groups: int, *moves: int) -> list[int]:
    """The words of an axis of groups, where there are several."""
    return [groups, *moves] if groups > 1 else []


def is_product(node: Any, images: np.ndarray, at_places: np.ndarray, *operands: np.ndarray) -> bool:
    """Does the window see each image as a whole, in one place, so that the batch makes one product of matrices?"""
    window = node.window
    alone = images.shape[2:] == window.kernel and prod(at_places.shape[2:]) == 1 and not any(map(sum, window.padding))
    return alone and node.groups == 1 and all(array.flags.c_contiguous for array in operands)


def matrix(array: np.ndarray) -> np.ndarray:
    """A row for each image, or filter."""
    return array.reshape(len(array), -1)


def zeros(array: np.ndarray) -> list[Invocation]:
    """The call that writes zeros."""
    return lower_map(parse("0"), (), array.shape, (), array)
