"""Logic: And, Or, Not, Xor, and tests of values."""

from __future__ import annotations

__all__: list[str] = []
