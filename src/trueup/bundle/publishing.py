"""How does a folder appear at once or not at all? Made aside, forced to disk, renamed."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trueup.bundle.errors import CannotWrite

_PARTIAL = ".partial-"


@contextmanager
def partial_folder(into: Path) -> Iterator[Path]:
    """Give an empty folder inside `into` to build in; it is removed at the end, and by the next use after a kill.

    Raises
    ------
    CannotWrite
        For every failure to write inside the block: no space, read-only, no folder.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        _remove_left(into)
        made = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=into))
    except OSError as error:
        raise _cannot_write(into, error) from error
    try:
        with (made / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            work = made / "work"
            work.mkdir()
            yield work
    except OSError as error:
        raise _cannot_write(into, error) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def write_file(folder: Path, path: str, content: bytes) -> None:
    """Write one file of a folder that is being built."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def publish_folder(made: Path, final: Path) -> None:
    """Force `made` to disk and let it appear as `final`; what stood there is moved aside and removed."""
    for path in [*made.rglob("*"), made]:
        _force_to_disk(path)
    if final.exists():
        aside = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=final.parent))
        final.rename(aside / "work")
        made.rename(final)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        made.rename(final)
    _force_to_disk(final.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Let a file appear whole under `path`."""
    made = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")  # processes may write it at once
    try:
        made.write_bytes(content)
        _force_to_disk(made)
        made.rename(path)
        _force_to_disk(path.parent)
    except OSError as error:
        raise _cannot_write(path.parent, error) from error
    finally:
        made.unlink(missing_ok=True)


def _remove_left(into: Path) -> None:
    for left in into.glob(f"{_PARTIAL}*"):
        try:
            with (left / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError:
            # no lock file: an empty rest, or just being made by another process
            if any(left.iterdir()):
                shutil.rmtree(left, ignore_errors=True)
            continue
        shutil.rmtree(left, ignore_errors=True)


def _force_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot_write(into: Path, error: OSError) -> CannotWrite:
    advice = {
        errno.ENOSPC: "free some space and run it again",
        errno.EDQUOT: "free some of the quota and run it again",
        errno.EROFS: "choose a folder on a writable file system",
        errno.EACCES: "choose a folder this account may write to",
        errno.EPERM: "choose a folder this account may write to",
        errno.ENOTDIR: "choose a folder, not a file",
    }.get(error.errno or 0, "see that the folder exists, can be written and has space")
    return CannotWrite(
        f"cannot write into {into}: {(error.strerror or str(error)).lower()}. Nothing was published; {advice}",
        path=str(into),
        errno=error.errno,
    )
