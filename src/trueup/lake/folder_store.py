"""How does a local folder keep whole objects, even when a process is killed?"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from trueup.kernel.digests import digest_of_bytes
from trueup.lake.errors import (
    KeyMissing,
    KeyTaken,
    StoreUnavailable,
    VersionChanged,
    told_as_lake_errors,
    told_as_unreadable,
)
from trueup.lake.store import Entry, Versioned, checked_key

_PRIVATE = ".store"
_LOCKS = 64


class FolderStore:
    """A `Store` in a local folder.

    An object is written to a temporary file on the same disk, flushed to it, and renamed: it appears at once or not at
    all. Writers of one key take turns behind a lock that the operating system frees when its holder dies. The folder
    ``.store`` holds locks and temporary files; what a killed process left there is removed by the next writer.

    A folder that had something in it, or that is said to be `begun`, is never made again: what is written while it is
    away, renamed or not mounted, would be lost to everybody once it is back. Nor does anything count as missing from it
    then: a read fails as with a store that does not answer.
    """

    def __init__(self, folder: Path, *, begun: bool = False) -> None:
        self.folder = folder.absolute()
        self._begun = begun
        self._swept = False

    @property
    def url(self) -> str:
        """Return the folder as a ``file:`` URL."""
        return self.folder.as_uri()

    def get(self, key: str) -> bytes:
        """Return the content."""
        with self._reading(key) as path:
            return path.read_bytes()

    def get_versioned(self, key: str) -> Versioned:
        """Return the content and its SHA-256 as the version token."""
        content = self.get(key)
        return Versioned(content, digest_of_bytes(content))

    def get_if_changed(self, key: str, *, since: str) -> Versioned | None:
        """Return the content and its SHA-256; None while that is `since`."""
        found = self.get_versioned(key)  # a time of change is too coarse to tell two changes in a row apart
        return None if found.version == since else found

    def open(self, key: str) -> BinaryIO:
        """Return an open file."""
        with self._reading(key) as path:
            return path.open("rb")

    def put(self, key: str, content: bytes) -> str:
        """Write or replace."""
        path = self._path(key)
        with self._writing(key):
            self._replace(path, content)
        return digest_of_bytes(content)

    def put_file(self, key: str, path: Path) -> None:
        """Write or replace with the content of a local file."""
        target = self._path(key)
        with self._writing(key), path.open("rb") as source:
            temporary = self._temporary()
            try:
                with temporary.open("xb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                    flush_to_disk(out)
                move_into_place(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

    def put_if_absent(self, key: str, content: bytes) -> str:
        """Write only if nothing is there."""
        path = self._path(key)
        with self._writing(key):
            if path.exists():
                raise KeyTaken(f'"{key}" exists already in {self.url}; it was left as it is', key=key)
            self._replace(path, content)
        return digest_of_bytes(content)

    def compare_and_swap(self, key: str, content: bytes, *, expected: str) -> str:
        """Replace exactly the version `expected`."""
        path = self._path(key)
        with self._writing(key):
            seen = digest_of_bytes(path.read_bytes()) if path.is_file() else None
            if seen != expected:
                raise VersionChanged(
                    f'"{key}" in {self.url} was changed by someone else since it was read; read it again first',
                    key=key,
                    expected=expected,
                    seen=seen,
                )
            self._replace(path, content)
        return digest_of_bytes(content)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield every object under the folder `prefix`."""
        start = self.folder / checked_key(prefix.rstrip("/")) if prefix else self.folder
        found = []
        for parent, folders, names in os.walk(start):
            folders[:] = [name for name in folders if not (name == _PRIVATE and Path(parent) == self.folder)]
            found += [Path(parent) / name for name in names]
        if not found:
            self._refuse_while_away()
        for path in sorted(found, key=lambda path: path.relative_to(self.folder).as_posix()):
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                continue  # removed while we were listing
            yield Entry(path.relative_to(self.folder).as_posix(), size)

    def exists(self, key: str) -> bool:
        """Return whether something is under the key."""
        path = self._path(key)
        with told_as_unreadable(str(path)):
            if path.is_file():
                return True
            self._refuse_while_away()
            return False

    def delete(self, key: str) -> None:
        """Remove the object."""
        path = self._path(key)
        if path.is_file():
            with self._writing(key):
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / checked_key(key)

    @contextmanager
    def _reading(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        with told_as_unreadable(str(path)):
            try:
                yield path
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                self._refuse_while_away()
                raise KeyMissing(f'there is no "{key}" in {self.url}', key=key) from None

    @contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        with told_as_lake_errors(str(self.folder)):
            self._refuse_while_away()
            locks = self.folder / _PRIVATE / "locks"
            locks.mkdir(parents=True, exist_ok=True)
            self._begun = True
            self._sweep()
            bucket = int(digest_of_bytes(key.encode())[:8], 16) % _LOCKS
            with (locks / f"{bucket:02d}").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield

    def _refuse_while_away(self) -> None:
        was_begun = self._begun  # before looking: another thread may begin it meanwhile
        if self.folder.is_dir() and any(self.folder.iterdir()):
            self._begun = True
        elif was_begun:
            raise StoreUnavailable(
                f'"{self.folder}" is not there, or empty, and held something before; nothing was written: '
                "mount it again or put it back, or start anew over another folder",
                place=str(self.folder),
            )

    def _replace(self, path: Path, content: bytes) -> None:
        temporary = self._temporary()
        try:
            with temporary.open("xb") as out:
                out.write(content)
                flush_to_disk(out)
            move_into_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _temporary(self) -> Path:
        folder = self.folder / _PRIVATE / "writing"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{socket.gethostname()}~{os.getpid()}~{secrets.token_hex(8)}"

    def _sweep(self) -> None:
        """Remove what dead processes of this host left half-written."""
        if self._swept:
            return
        self._swept = True
        for path in (self.folder / _PRIVATE / "writing").glob(f"{socket.gethostname()}~*~*"):
            if not _is_alive(int(path.name.split("~")[1])):
                path.unlink(missing_ok=True)


def flush_to_disk(out: BinaryIO) -> None:
    """Return when the file's content is on the disk."""
    out.flush()
    os.fsync(out.fileno())


def move_into_place(temporary: Path, target: Path) -> None:
    """Rename a finished file over `target`, durably; both are on the same disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
