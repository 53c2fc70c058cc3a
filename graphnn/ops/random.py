"""Random: values drawn from a counter-based generator."""

from __future__ import annotations

__all__: list[str] = []
