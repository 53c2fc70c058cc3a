"""Pooling: windows reduced to one value."""

from __future__ import annotations

__all__: list[str] = []
