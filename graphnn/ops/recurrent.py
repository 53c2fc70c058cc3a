"""Recurrent cells, composed of simpler ops."""

from __future__ import annotations

__all__: list[str] = []
