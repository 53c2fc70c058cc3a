"""The compile cache: object code on disk, so that a second process need not compile what a first one did.

An entry's name is a SHA-256 of the kernel's text, the processor, its features and the versions of LLVM and of this
cache; the file begins with a SHA-256 of what follows, and is verified before use. The folder is the user's own, of
mode 0700: one that others may write to, or that belongs to somebody else, is not used. `GRAPHNN_CACHE` names another
folder, or is `off`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

__all__ = ["Cache", "find_cache"]

_VERSION = "2"
_LARGEST = 64 << 20
"""Bytes of a folder's entries; beyond, the oldest go."""


class Cache:
    """A folder of object code."""

    def __init__(self, folder: Path, machine: str) -> None:
        self.folder, self._machine = folder, machine

    def _path(self, text: str) -> Path:
        key = hashlib.sha256("\n".join((_VERSION, self._machine, text)).encode()).hexdigest()
        return self.folder / f"{key}.o"

    def get(self, text: str) -> bytes | None:
        """The code kept for a text, if it is there and whole."""
        try:
            kept = self._path(text).read_bytes()
        except OSError:
            return None
        digest, code = kept[:32], kept[32:]
        return code if code and hashlib.sha256(code).digest() == digest else None

    def put(self, text: str, code: bytes) -> None:
        """Keep code for a text; a folder that cannot be written to keeps nothing."""
        path = self._path(text)
        try:
            handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        except OSError:
            return
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)

    def trim(self) -> None:
        """Remove the entries used longest ago, until the rest is small enough."""
        with contextlib.suppress(OSError):
            files = [(path.stat().st_mtime, path.stat().st_size, path) for path in self.folder.glob("*.o")]
            total = sum(size for _, size, _ in files)
            for _, size, path in sorted(files):
                if total <= _LARGEST:
                    break
                path.unlink()
                total -= size


def find_cache(machine: str) -> Cache | None:
    """The cache that the environment asks for, by default in the user's own cache folder; None where there is none."""
    asked = os.environ.get("GRAPHNN_CACHE", "")
    if asked in ("off", "0"):  # who turns off by 0, as GRAPHNN_CHECK, wants no folder of that name
        return None
    folder = Path(asked) if asked else _usual() / "graphnn" / "native"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError:
        return None
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022):
        return None
    cache = Cache(folder, machine)
    cache.trim()
    return cache


def _usual() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local")))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))
