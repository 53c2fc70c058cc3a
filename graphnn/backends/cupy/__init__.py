"""The CuPy backend: the plan becomes CUDA kernels, made from the formulas and groups that the native backend has.

A step of the plan becomes launches of kernels (`lower`): CUDA C++ text written from formulas (`formulas`, `maps`,
`folds`, `rowwise`, `scans`, `labels`, `products`, `rectified`), one module a program; large products are cuBLASLt's
(`blaslt`), with what it does beside where it passes its `trial`; loops and branches become the launches of their bodies
(`control`). Memory on the device lies as it lies on the host (`mirror`), parameters have a copy there (`copies`), and
all that is asked of CuPy is in `device`. A step that has no kernel, of a user's own op, runs on NumPy. `explain()`
names it, and who multiplies (`notes`).
"""

from __future__ import annotations

from ...transform.epilogues import epilogues
from ...transform.group import group
from ...transform.pairs import pairs
from ...transform.passes import Pass
from ...transform.products import any_biases
from ...transform.products import products as folded_updates
from ...transform.rows import rows
from ..numpy import PASSES as INTERPRETED
from .blaslt import PRECISIONS
from .probe import problem
from .program import CupyProgram, bind

__all__ = ["PASSES", "PRECISIONS", "CupyProgram", "bind", "problem"]

PASSES: tuple[Pass, ...] = (*INTERPRETED, pairs, folded_updates, group, any_biases, epilogues, rows)
"""Those of NumPy, then what only pays where steps become kernels, or where cuBLASLt does it on a product's way out."""
