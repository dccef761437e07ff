"""How can a person be erased from a log that never changes? Their values are encrypted, and the keys are taken away.

Personal values of a row are encrypted together (AES-256-GCM) with a random key of their own before the record is
written. The keys lie in a folder outside the lake that only its owner may read, 64 bytes each: the SHA-256 of the case
they belong to, and the key. Erasing a case overwrites its keys where they stand, also in files that a server appends to
at the moment; then no copy of the log, old or new, can be read for that case. Keys of rows whose caller named no case
go only when their time is over (`KeyFolder.drop_before`).
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import re
import secrets
import socket
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from trueup.lake.disk import Disk, SystemDisk
from trueup.lake.errors import LakeError, lake_error_of, told_as_lake_errors
from trueup.lake.feature_schemas import SEALED
from trueup.lake.log_manifest import Draft, LogManifest

_VERSION = b"\x01"
_PLACE = struct.Struct("<8sQ")
_NONCE, _TAG, _DIGEST = 12, 16, 32
_RECORD = 64
_NOTHING = bytes(_RECORD)
_FILE_KEYS = 1_000_000
_FILE_MICROSECONDS = 24 * 3600 * 1_000_000
_PIECE = _RECORD * 16_384
_NAME = re.compile(r"(\d{16})~[A-Za-z0-9._-]+~\d+~([0-9a-f]{16})\.keys")
_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_encode = msgspec.json.Encoder().encode


class Erased(LakeError):
    """The key of sealed values is gone: the case was erased, or the time to keep it is over."""

    code = "lake.erased"


class BadSealedValue(LakeError):
    """Bytes are no sealed values of ours, or were changed."""

    code = "lake.bad-sealed-value"


class PersonalSealer:
    """Takes the personal values out of rows, in one server process.

    Parameters
    ----------
    folder : Path
        Of keys; outside the lake, and not in its backups. Created when missing.
    columns : collection of str
        The personal ones, in whatever case a row writes them.
    clock : callable
        Microseconds UTC.
    disk : Disk, optional
    synced : bool
        Whether `sync` is called; else a file of keys that ended is closed at once.
    """

    def __init__(
        self,
        folder: Path,
        columns: Collection[str],
        *,
        clock: Callable[[], int],
        disk: Disk | None = None,
        synced: bool = True,
    ) -> None:
        self._folder, self._clock = folder, clock
        self._columns = frozenset(map(str.casefold, columns))
        self._disk: Disk = disk or SystemDisk()
        self._synced = synced
        self._file: int | None = None
        self._id, self._count, self._began = b"", 0, 0
        self._done: list[int] = []

    def seal_rows(self, rows: bytes, cases: Sequence[str | None], *, columns: Collection[str] | None = None) -> bytes:
        """Return a JSON array of rows with the personal values of each in one sealed field, ``_personal``.

        Parameters
        ----------
        rows : bytes
            A JSON array of objects.
        cases : sequence of str or None
            The case of each row.
        columns : collection of str, optional
            The personal ones, where they are not those given at first.

        Raises
        ------
        StoreFull, StoreReadOnly, StoreUnavailable
            When a key cannot be written; the rows must not be logged.
        msgspec.DecodeError
            When `rows` is anything else.

        Notes
        -----
        The keys are written when this returns: a killed process loses none. `sync` makes them survive a lost power.
        """
        found = _rows.decode(rows)
        personal = self._columns if columns is None else frozenset(map(str.casefold, columns))
        private = [_taken_from(row, personal) for row in found]
        keys = [secrets.token_bytes(32) if values else None for values in private]
        records = [_case_digest(case) + key for case, key in zip(cases, keys, strict=True) if key is not None]
        if records:
            first = self._write(records)
            places = iter(range(first, first + len(records)))
            for row, values, key in zip(found, private, keys, strict=True):
                if key is not None:
                    sealed = _sealed(_encode(values), key, _VERSION + _PLACE.pack(self._id, next(places)))
                    row[SEALED] = msgspec.Raw(_encode(base64.b64encode(sealed).decode()))
        return _encode(found)

    def sync(self) -> None:
        """Return when every key written so far is on the disk; may be called in another thread.

        Raises
        ------
        StoreFull, StoreReadOnly, StoreUnavailable
        """
        done, current = list(self._done), self._file
        with told_as_lake_errors(str(self._folder)):
            for file in [*done, *([] if current is None else [current])]:
                self._disk.flush(file)
        for file in done:
            self._done.remove(file)
            os.close(file)

    def close(self) -> None:
        """End the file of keys."""
        self._end_file()
        for file in self._done:
            with suppress(OSError):
                os.close(file)
        self._done.clear()

    def _write(self, records: list[bytes]) -> int:
        """Append keys, all or none, and return the place of the first."""
        with told_as_lake_errors(str(self._folder)):
            file = self._open_file()
            content = b"".join(records)
            try:
                if self._disk.write(file, [content]) < len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                with suppress(OSError):
                    self._disk.cut(file, self._count * _RECORD)
                self._end_file()  # whatever is at its end, nothing is appended to it
                raise
        first = self._count
        self._count += len(records)
        return first

    def _open_file(self) -> int:
        now = self._clock()
        if self._count >= _FILE_KEYS or not 0 <= now - self._began < _FILE_MICROSECONDS:
            self._end_file()
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._id, self._count, self._began = secrets.token_bytes(8), 0, now
            host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()) or "host"
            self._file = self._disk.create(self._folder / f"{now:016d}~{host}~{os.getpid()}~{self._id.hex()}.keys")
        return self._file

    def _end_file(self) -> None:
        file, self._file = self._file, None
        if file is not None and self._synced:
            self._done.append(file)  # closed when it is on the disk
        elif file is not None:
            with suppress(OSError):
                os.close(file)


class KeyFolder:
    """The keys of all processes of a host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[bytes, Path] = {}

    def open_row(self, sealed: bytes) -> dict[str, Any]:
        """Return the personal values of a row, by column.

        Raises
        ------
        Erased
        BadSealedValue
        """
        head = len(_VERSION) + _PLACE.size
        if len(sealed) < head + _NONCE + _TAG or not sealed.startswith(_VERSION):
            raise BadSealedValue(f"{len(sealed)} bytes are no sealed values of this version of Trueup")
        key = self._key(*_PLACE.unpack_from(sealed, len(_VERSION)))
        content = _opened(sealed[head:], key, sealed[:head])
        values: dict[str, Any] = msgspec.json.decode(content)
        return values

    def open_value(self, sealed: bytes, column: str) -> object:
        """Return one personal value of a row; None where the row had none.

        Raises
        ------
        Erased
        BadSealedValue
        """
        return self.open_row(sealed).get(column)

    def erase_case(self, association_id: str) -> int:
        """Take away all keys of a case, durably, and return how many there were.

        Raises
        ------
        StoreReadOnly, StoreUnavailable
            Keys may be left; call again.
        """
        digest = _case_digest(association_id)
        with told_as_lake_errors(str(self._folder)):
            return sum(_erase_in(path, digest) for path in self._files())

    def drop_before(self, moment: int) -> int:
        """Remove the files whose keys are all older than a moment, and return how many."""
        old = [path for path in self._files() if int(path.name[:16]) + _FILE_MICROSECONDS <= moment]
        with told_as_lake_errors(str(self._folder)):
            for path in old:
                path.unlink(missing_ok=True)
        self._paths.clear()
        return len(old)

    def _files(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            yield from sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))

    def _key(self, file: bytes, place: int) -> bytes:
        if file not in self._paths:
            self._paths = {bytes.fromhex(path.name[-21:-5]): path for path in self._files()}
        try:
            with self._paths[file].open("rb") as keys:
                keys.seek(place * _RECORD)
                record = keys.read(_RECORD)
        except (KeyError, FileNotFoundError, OverflowError):
            record = b""
        if len(record) < _RECORD or record == _NOTHING:
            raise Erased("the key of these values is gone: the case was erased, or its time to be kept is over")
        return record[_DIGEST:]


def erase_from_log(keys: KeyFolder, manifest: LogManifest, *, association_id: str, now: int) -> int:
    """Erase the personal values of a case on this host, note it in the manifest, and return how many keys went.

    Raises
    ------
    StoreFull, StoreReadOnly, StoreUnavailable
        What was not done yet is done by calling again.
    """
    count = keys.erase_case(association_id)
    manifest.append(Draft(kind="erased", at=now, keys=count))
    return count


def _taken_from(row: dict[str, msgspec.Raw], columns: frozenset[str]) -> dict[str, msgspec.Raw]:
    row.pop(SEALED, None)
    # a caller who writes IBAN for iban sends a person's value all the same
    return {name: row.pop(name) for name in [name for name in row if name.casefold() in columns]}


def _erase_in(path: Path, digest: bytes) -> int:
    count, start = 0, 0
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    try:
        while piece := os.pread(file, _PIECE, start):
            at = piece.find(digest)
            while at >= 0:
                if at % _RECORD == 0:
                    os.pwrite(file, _NOTHING, start + at)
                    count += 1
                at = piece.find(digest, at + 1)
            start += len(piece) - len(piece) % _RECORD
            if len(piece) < _PIECE:
                break
        if count:
            os.fsync(file)
    except OSError as error:
        raise lake_error_of(error, str(path.parent)) from error
    finally:
        os.close(file)
    return count


def _case_digest(association_id: str | None) -> bytes:
    return hashlib.sha256(b"" if association_id is None else b"case:" + association_id.encode()).digest()


def _sealed(content: bytes, key: bytes, head: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE)
    return head + nonce + AESGCM(key).encrypt(nonce, content, head)


def _opened(sealed: bytes, key: bytes, head: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], head)
    except InvalidTag:
        raise BadSealedValue("sealed values were changed, or their key was") from None
