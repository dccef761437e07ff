"""How does a bundle travel as one file, and come back without writing outside its folder?"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from trueup.bundle.errors import BadArchive, BundleNotFound, BundleRefused, CannotWrite
from trueup.bundle.layout import MANIFEST, SIGNATURE, is_content_path, is_evidence_path
from trueup.bundle.loading import is_intact, verify_bundle
from trueup.bundle.publishing import partial_folder, publish_folder, replace_file

SUFFIX = ".trueup.tar.gz"
MOST_FILES = 100_000
MOST_BYTES = 8 * 1024**3
_CHUNK = 1024 * 1024


def export_archive(bundle: Path, *, into: Path, trusted_keys: Sequence[Path], today: date | None = None) -> Path:
    """Write a bundle as ``<digest>.trueup.tar.gz`` in the folder `into`, and return its path.

    The bundle is verified first. The same folder gives the same bytes: sorted names, no times, owners or modes of this
    machine.

    Raises
    ------
    BundleRefused
        When the bundle does not verify.
    CannotWrite
        When `into` cannot be written.
    """
    manifest = verify_bundle(bundle, trusted_keys=trusted_keys, today=today)
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(bundle).as_posix())
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    target = into / f"{manifest.digest}{SUFFIX}"
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot make the folder {into}: {error.strerror}", path=str(into)) from error
    replace_file(target, packed.getvalue())
    return target


def import_archive(archive: Path, *, into: Path, trusted_keys: Sequence[Path], today: date | None = None) -> Path:
    """Unpack and verify an archive aside, then let the bundle appear in `into`; return its folder.

    Raises
    ------
    BundleNotFound
        There is no such file.
    BadArchive
        When it is no archive of a bundle: links, devices, absolute paths, ``..``, paths no bundle has, a name twice,
        too many files or bytes.
    BundleRefused
        When what was unpacked does not verify. Nothing is left behind.
    """
    if not archive.is_file():
        raise BundleNotFound(f"there is no archive {archive}", path=str(archive))
    with partial_folder(into) as work:
        try:
            with gzip.open(archive) as squeezed:
                with tarfile.open(fileobj=squeezed, mode="r:") as packed:
                    _unpack(packed, work)
                _read_to_the_end(squeezed)
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadArchive(f"{archive.name} is refused: it is damaged, or no archive of a bundle") from error
        named = _named(work)
        try:
            manifest = verify_bundle(named, trusted_keys=trusted_keys, today=today)
        except BundleRefused as error:
            raise type(error)(f"{archive.name}: {error.message}", **error.facts) from error
        final = into / manifest.digest
        if not is_intact(final, trusted_keys=trusted_keys, today=today):
            publish_folder(named, final)
    return final


def _named(work: Path) -> Path:
    """Return a bundle that was unpacked, once it has the name it says it has."""
    manifest = work / MANIFEST
    if not manifest.is_file():
        return work
    with manifest.open("rb") as file:
        return work.rename(work.with_name(hashlib.file_digest(file, "sha256").hexdigest()))


def _unpack(packed: tarfile.TarFile, folder: Path) -> None:
    seen: set[str] = set()
    left = MOST_BYTES
    for entry in packed:
        _check_entry(entry, seen)
        seen.add(entry.name)
        left -= entry.size
        if left < 0 or len(seen) > MOST_FILES:
            raise BadArchive(f"the archive is refused: it holds more than {MOST_FILES} files or {MOST_BYTES} bytes")
        target = folder / entry.name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = packed.extractfile(entry)
        if source is None:
            raise BadArchive(f"the archive is refused: {entry.name!r} has no content", path=entry.name)
        with source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                file.write(chunk)


def _read_to_the_end(squeezed: gzip.GzipFile) -> None:
    """Read what follows the last file, so that the check sum at the end is compared; only padding is allowed."""
    for _ in range(_CHUNK // tarfile.RECORDSIZE):
        padding = squeezed.read(tarfile.RECORDSIZE)
        if not padding:
            return
        if padding.strip(b"\0"):
            break
    raise BadArchive("the archive is refused: something follows its last file")


def _check_entry(entry: tarfile.TarInfo, seen: set[str]) -> None:
    name = entry.name
    allowed = name in {MANIFEST, SIGNATURE} or is_content_path(name) or is_evidence_path(name)
    if not entry.isreg() or entry.issparse():
        raise BadArchive(f"the archive is refused: {name!r} is a link, folder or device, not a plain file", path=name)
    if not allowed:
        raise BadArchive(f"the archive is refused: {name!r} is no path of a bundle", path=name)
    if name in seen:
        raise BadArchive(f"the archive is refused: it holds {name!r} twice", path=name)
