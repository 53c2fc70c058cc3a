"""The history of a training: a table with a row for each epoch."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import CheckpointError, GraphError

__all__ = ["History"]


class History(Sequence[dict[str, float]]):
    """A table with a row for each epoch of a training: `epoch`, `loss`, `seconds`, and all that was measured.

    `history["val_loss"]` is a column as an array, with NaN for an epoch that has no such number. `history[-1]` is the
    last row. Printing shows the table.

    >>> from graphnn.train.history import History
    >>> h = History()
    >>> h.add({"epoch": 1, "loss": 1.5}); h.add({"epoch": 2, "loss": 0.5})
    >>> h["loss"]
    array([1.5, 0.5])
    >>> print(h)
    epoch   loss
        1    1.5
        2    0.5
    """

    def __init__(self, rows: Sequence[dict[str, float]] = ()) -> None:
        self.rows: list[dict[str, float]] = list(rows)

    def add(self, row: dict[str, float]) -> None:
        """Add a row."""
        self.rows.append(row)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order of first appearance."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.rows)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self.rows[key]
        if key not in self.columns:
            raise GraphError(f"the history has no {key!r}: it has {', '.join(self.columns) or 'no epochs yet'}.")
        return np.array([row.get(key, np.nan) for row in self.rows])

    def __str__(self) -> str:
        columns = self.columns
        table = [columns, *([_shown(row.get(name)) for name in columns] for row in self.rows)]
        widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
        return "\n".join("   ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table)

    def __repr__(self) -> str:
        return f"<History of {len(self.rows)} epochs: {', '.join(self.columns)}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from ..view.notebook import show_history  # a door

        return show_history(self, str(self) if self.rows else repr(self))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table into a CSV file, with the names of the columns in the first line.

        Raises:
            CheckpointError: when the file cannot be written.
        """
        try:
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self.columns)
                writer.writeheader()
                writer.writerows(self.rows)
        except OSError as error:
            raise CheckpointError(f"cannot write {os.fspath(path)}: {error.strerror or error}.") from None


def _shown(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"
