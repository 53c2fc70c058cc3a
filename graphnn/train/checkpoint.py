"""Files of weights, in the safetensors format with a checksum. They are written and read completely or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import DTypeLike

from ..errors import CheckpointError
from ..ir.dtype import as_dtype

__all__ = ["load", "save"]

GRAPH = "graphnn.graph"
"""The name of the note that holds the graph of a model."""
_CHECKSUM = "graphnn.sha256"
_FORMAT = {"graphnn.format": "1"}
"""The name of a note that says that the file has a checksum: a damaged byte cannot remove both."""


@dataclass(frozen=True)
class Rounding:
    """The loss of accuracy by storing floats in a narrower dtype: for each array, its relative error.

    That is the largest change of an element, divided by the largest element.
    """

    dtype: str
    bytes_before: int
    bytes_after: int
    changes: Mapping[str, float]

    def __str__(self) -> str:
        worst = max(self.changes, key=lambda name: self.changes[name], default="")
        told = f"; the largest change is {self.changes[worst]:.1e} of the largest value, in '{worst}'" if worst else ""
        return f"stored as {self.dtype}: {self.bytes_before} bytes of floats in {self.bytes_after}{told}"

    __repr__ = __str__


def save(path: str | os.PathLike[str], thing: Any, dtype: DTypeLike | None = None) -> Rounding | None:
    """Write the arrays of a Model (with its graph), an Executable or a mapping into a safetensors file.

    `dtype` stores float arrays in another dtype: `"float16"` takes a quarter of the space of float64, with almost no
    loss of accuracy. The loss is returned, and can be printed. The file appears under its name only when it is
    complete, so after a crash there is either the old file or the new one.

    Raises:
        CheckpointError: when the file cannot be written, or when `thing` has no arrays.

    >>> import graphnn as gn, numpy as np, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "w.safetensors")
    >>> gn.save(path, {"w": np.arange(3.0)})
    >>> w = {"w": np.zeros(3)}
    >>> gn.load(path, w); w["w"]
    array([0., 1., 2.])
    """
    arrays, notes = thing.contents() if hasattr(thing, "contents") else (_arrays_of(thing), {})
    stored = {name: _stored(name, array, dtype) for name, array in arrays.items()}
    write(path, stored, notes)
    return _rounding(arrays, stored, str(as_dtype(dtype))) if dtype is not None else None


def _rounding(arrays: Mapping[str, np.ndarray], stored: Mapping[str, np.ndarray], dtype: str) -> Rounding:
    floats = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}
    changes = {}
    for name, array in floats.items():
        largest = np.max(np.abs(array), initial=0.0)
        change = np.max(np.abs(stored[name].astype(array.dtype) - array), initial=0.0)
        changes[name] = float(change / largest) if largest else 0.0
    before, after = (sum(kept[name].nbytes for name in floats) for kept in (arrays, stored))
    return Rounding(dtype, before, after, changes)


def write(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], notes: Mapping[str, str]) -> None:
    """Write arrays and notes into a safetensors file, completely or not at all, with a checksum over both.

    Raises:
        CheckpointError: when the file cannot be written.
    """
    # Release 0.8.0 of safetensors silently corrupts arrays that do not lie in C order.
    stored = {name: np.array(array, order="C") for name, array in arrays.items()}
    marks = {**notes, **_FORMAT, _CHECKSUM: _digest(stored, notes)}
    _write_whole(Path(path), safetensors.numpy.save(stored, metadata=marks))


def load(path: str | os.PathLike[str], thing: Any) -> None:
    """Read a file of weights into the arrays of a Model, an Executable or a mapping: all of it, or nothing.

    Floats are cast to the dtype of the array that they are written into.

    Raises:
        CheckpointError: when the file is missing, damaged, or of another kind, or when names or shapes do not fit; the
            message lists all of these. No array has changed then.
    """
    stored, notes = read(path)
    wanted = _arrays_of(thing)
    if GRAPH in notes:  # the constants of its graph are no weights
        stored = {name: array for name, array in stored.items() if name in wanted or not name.startswith("constant.")}
    check_fit(path, stored, wanted)
    cast = {name: stored[name].astype(array.dtype) for name, array in wanted.items()}
    _writer_of(thing)(cast)


def check_fit(path: str | os.PathLike[str], stored: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    """Check that a file has the wanted names, shapes and dtypes.

    Raises:
        CheckpointError: listing all that do not fit.
    """
    problems = _misfits(stored, wanted)
    if problems:
        raise CheckpointError(f"{os.fspath(path)} does not fit: " + "; ".join(problems) + ". Nothing was changed.")


def _arrays_of(thing: Any) -> dict[str, np.ndarray]:
    """The arrays of a Model, Executable or mapping, by name. They are the arrays themselves, to be written into."""
    if isinstance(thing, Mapping):
        found = dict(thing)
    elif hasattr(thing, "parameters"):
        found = {name: parameter.storage for name, parameter in thing.parameters.items()}
    elif hasattr(thing, "state"):
        found = thing.state
    else:
        raise CheckpointError(
            f"{type(thing).__name__} holds no arrays: save a Model, an Executable or a mapping of arrays."
        )
    for name, array in found.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray):
            raise CheckpointError(f"{name!r}: {type(array).__name__} is not an array under a name.")
    return found


def _writer_of(thing: Any) -> Callable[[dict[str, np.ndarray]], None]:
    if hasattr(thing, "restore"):
        restore: Callable[[dict[str, np.ndarray]], None] = thing.restore
        return restore
    targets = _arrays_of(thing)

    def write(values: dict[str, np.ndarray]) -> None:
        for name, target in targets.items():
            target[...] = values[name]

    return write


def _stored(name: str, array: np.ndarray, dtype: DTypeLike | None) -> np.ndarray:
    if array.dtype.kind not in "buif":
        raise CheckpointError(f"'{name}' is of dtype {array.dtype}; only bool, integers and floats are stored.")
    target = array.dtype.newbyteorder("=")
    if dtype is not None and array.dtype.kind == "f":
        target = as_dtype(dtype)
        if target.kind != "f":
            raise CheckpointError(f"floats are stored as floats, not as {target}.")
        with np.errstate(over="ignore"):
            narrowed = array.astype(target)
        if not np.array_equal(np.isfinite(narrowed), np.isfinite(array)):
            raise CheckpointError(f"'{name}' holds values too large for {target}; store it as {array.dtype}.")
        array = narrowed
    return array.astype(target, copy=False)


def _digest(arrays: Mapping[str, np.ndarray], notes: Mapping[str, str]) -> str:
    """The SHA-256 of notes, names, dtypes, shapes and data, in order of the names."""
    total = hashlib.sha256(json.dumps(sorted(notes.items())).encode())
    for name in sorted(arrays):
        array = arrays[name]
        total.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, and then rename it."""
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}, {len(data)} bytes: {error.strerror or error}.") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened, and the rename is durable by itself
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and notes of a safetensors file. A file of another tool has no checksum, and is read without.

    Raises:
        CheckpointError: when it cannot be read, is damaged, or has a dtype that graphnn does not support.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}.") from None
    except Exception as error:  # the library raises several kinds for damaged files
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}.") from None
    for name, array in arrays.items():
        if array.dtype.kind not in "buif":
            raise CheckpointError(f"{path}: '{name}' is of dtype {array.dtype}, which graphnn does not read.")
    notes = {name: text for name, text in metadata.items() if name != _CHECKSUM and name not in _FORMAT}
    ours = metadata.keys() & {_CHECKSUM, *_FORMAT}
    if ours and metadata != {**notes, **_FORMAT, _CHECKSUM: _digest(arrays, notes)}:
        raise CheckpointError(f"{path} is damaged: its data does not match its checksum.")
    return arrays, notes


def _misfits(stored: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> list[str]:
    problems = []
    missing, unexpected = sorted(wanted.keys() - stored.keys()), sorted(stored.keys() - wanted.keys())
    if missing:
        problems.append(f"missing {', '.join(missing)}")
    if unexpected:
        problems.append(f"unexpected {', '.join(unexpected)}")
    for name in sorted(wanted.keys() & stored.keys()):
        have, want = stored[name], wanted[name]
        if have.shape != want.shape:
            problems.append(f"'{name}' is {have.shape} in the file, {want.shape} here")
        elif not np.can_cast(have.dtype, want.dtype, casting="same_kind"):
            problems.append(f"'{name}' is {have.dtype} in the file, {want.dtype} here")
    return problems
