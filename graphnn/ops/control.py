"""Control: loops and branches whose bodies are graphs."""

from __future__ import annotations

__all__: list[str] = []
