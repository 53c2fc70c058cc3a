"""What the backends that write kernels of their own share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = ["DType", "NoKernel"]

DType: TypeAlias = np.dtype[Any]


class NoKernel(Exception):  # noqa: N818 - it says what there is not; never seen by a user
    """There is no kernel for this: the step runs on NumPy, for the reason given."""
