"""Normalising: values brought to zero mean and unit scale."""

from __future__ import annotations

__all__: list[str] = []
