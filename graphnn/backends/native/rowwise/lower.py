"""Lowering rows: the call of the kernel over them."""

from __future__ import annotations

import numpy as np

from ....transform.rowwise import Rows
from ...rowwise.reading import read_rows
from ..tape import Invocation, address_of
from .kernels import rows_kernel

__all__ = ["lower_rows"]


def lower_rows(node: Rows, ins: tuple[np.ndarray, ...], outs: tuple[np.ndarray, ...]) -> list[Invocation]:
    """The call that computes the results of the rows."""
    if not any(out.size for out in outs):
        return []
    program, numbers = read_rows(node, ins, outs)
    return [Invocation(rows_kernel(program), [*map(address_of, (*ins, *outs)), *numbers])]
