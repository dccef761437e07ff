"""Which bundle does somebody mean? The start of a digest, a folder or an archive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from trueup.bundle.archive import import_archive
from trueup.bundle.errors import BundleNotFound

_DIGEST = re.compile(r"[0-9a-f]{64}")
_START = re.compile(r"[0-9a-f]{4,64}")
_SHOWN = 5


def find_bundle(named: str, *, bundles: Path) -> Path:
    """Return the folder or archive of a bundle.

    Parameters
    ----------
    named : str
        At least four digits of its digest, the path of its folder, or of its archive. A digest goes first.
    bundles : Path
        Folder of bundles in which digests are looked up; need not exist.

    Raises
    ------
    BundleNotFound
        There is none, or the digits are those of several.
    """
    there = bundle_folders(bundles)
    if _START.fullmatch(named):
        fitting = [path for path in there if path.name.startswith(named)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise BundleNotFound(
                f'"{named}" is the start of {len(fitting)} bundles ({_names(fitting)}); give more of its digest',
                named=named,
                bundles=[path.name for path in fitting],
            )
    path = Path(named)
    if path.exists():
        return path.resolve()
    known = f"in {bundles} are {_names(there)}" if there else f"in {bundles} are none yet: trueup train makes one"
    raise BundleNotFound(
        f'there is no bundle "{named}"; give the start of a digest (4 digits or more), a folder or an archive; {known}',
        named=named,
        bundles=[path.name for path in there],
    )


def bundle_folders(bundles: Path) -> list[Path]:
    """Return the bundles in a folder, newest first."""
    there = [path for path in bundles.iterdir() if _DIGEST.fullmatch(path.name)] if bundles.is_dir() else []
    return sorted(there, key=lambda path: (-path.stat().st_mtime_ns, path.name))


@contextmanager
def as_folder(found: Path, *, trusted_keys: Sequence[Path], today: date | None = None) -> Iterator[Path]:
    """Give a bundle as a folder: itself, or an archive unpacked aside for as long as the block runs.

    Raises
    ------
    BundleRefused
        An archive does not verify. A folder is given unread.
    """
    if found.is_dir():
        yield found
        return
    with TemporaryDirectory(prefix="trueup-bundle-") as aside:
        yield import_archive(found, into=Path(aside), trusted_keys=trusted_keys, today=today)


def _names(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(path.name[:12] for path in paths[:_SHOWN]) + more
