"""The native backend: the plan becomes machine code by LLVM, and a whole loop runs as one call into it.

A step of the plan becomes a call of a kernel: a function of pointers and sizes, written as LLVM IR (`formulas`,
`mathematics`, `circular`, `maps`, `reductions`, `scans`, `ranks`, `searches`, `orders`, `products`, `contractions`,
`picks`, `draws`, `windows`, `samples`, `rowwise`), compiled once for each distinct structure (`machine`) and shared by
all the steps, programs and batch sizes that have it. The steps of a program are a tape, an array of kernels and their
arguments (`tape`), which the driver (`driver`) walks; it also feeds batches, records losses and watches for NaN. The
bodies of loops and branches are tapes too, which a kernel runs inside their step (`control`).
A step that has no kernel runs on NumPy, and `explain()` names it.
"""

from __future__ import annotations

from ...transform.columns import columns
from ...transform.group import group
from ...transform.pairs import pairs
from ...transform.passes import Pass
from ...transform.products import batched_products, biases
from ...transform.rows import rows
from ...transform.turned import turned
from ..numpy import PASSES as INTERPRETED
from .probe import problem
from .program import NativeProgram, bind
from .waiting import begin

__all__ = ["PASSES", "NativeProgram", "begin", "bind", "problem"]

PASSES: tuple[Pass, ...] = (*INTERPRETED, pairs, batched_products, biases, group, rows, columns, turned)
"""Those of NumPy, then what only pays where steps become kernels."""
