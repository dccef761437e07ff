"""How does an S3-compatible object store keep whole objects, with conditional writes?"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import obstore
from obstore import exceptions

from trueup.lake.errors import KeyMissing, KeyTaken, LakeError, StoreReadOnly, StoreUnavailable, VersionChanged
from trueup.lake.store import Entry, Versioned, checked_key

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore import ReadableFile
    from obstore.store import S3Store as ObjectStore

_OF_ONE_ATTEMPT = re.compile(r" in [0-9.]+[^ ,]*(, after .*?)? +- ")
"""How long it took and how often it was repeated, in the words of the client."""


class S3Store:
    """A `Store` in a bucket, below a prefix. Version tokens are entity tags; writes are conditional on them."""

    def __init__(self, url: str, *, options: Mapping[str, str]) -> None:
        self._url = url.rstrip("/")
        with self._told(url):
            self._objects = _connect(self._url, options)

    @property
    def url(self) -> str:
        """Return ``s3://bucket/prefix``."""
        return self._url

    def get(self, key: str) -> bytes:
        """Return the content."""
        return self.get_versioned(key).content

    def get_versioned(self, key: str) -> Versioned:
        """Return the content and its entity tag."""
        with self._told(checked_key(key)):
            answer = obstore.get(self._objects, key)
            return Versioned(bytes(answer.bytes()), answer.meta["e_tag"] or "")

    def get_if_changed(self, key: str, *, since: str) -> Versioned | None:
        """Return the content and its entity tag; None where the store says that `since` still holds."""
        with self._told(checked_key(key)):
            try:
                answer = obstore.get(self._objects, key, options={"if_none_match": since} if since else None)
            except exceptions.NotModifiedError:
                return None
            return Versioned(bytes(answer.bytes()), answer.meta["e_tag"] or "")

    def open(self, key: str) -> BinaryIO:
        """Return a stream that reads ranges on demand."""
        with self._told(checked_key(key)):
            return io.BufferedReader(_Ranges(obstore.open_reader(self._objects, key)), 1 << 20)

    def put(self, key: str, content: bytes) -> str:
        """Write or replace."""
        with self._told(checked_key(key)):
            return obstore.put(self._objects, key, content, use_multipart=False)["e_tag"] or ""

    def put_file(self, key: str, path: Path) -> None:
        """Write or replace with the content of a local file; large files go in parts."""
        with self._told(checked_key(key)):
            obstore.put(self._objects, key, path)

    def put_if_absent(self, key: str, content: bytes) -> str:
        """Write only if nothing is there."""
        with self._told(checked_key(key)):
            return obstore.put(self._objects, key, content, mode="create")["e_tag"] or ""

    def compare_and_swap(self, key: str, content: bytes, *, expected: str) -> str:
        """Replace exactly the version `expected`."""
        with self._told(checked_key(key), missing=VersionChanged):
            return obstore.put(self._objects, key, content, mode={"e_tag": expected})["e_tag"] or ""

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield every object under the folder `prefix`."""
        with self._told(checked_key(prefix.rstrip("/")) if prefix else ""):
            pages = obstore.list(self._objects, prefix=prefix.rstrip("/") or None)
            found = [Entry(meta["path"], meta["size"]) for page in pages for meta in page]
        yield from sorted(found, key=lambda entry: entry.key)

    def exists(self, key: str) -> bool:
        """Return whether something is under the key."""
        try:
            with self._told(checked_key(key)):
                obstore.head(self._objects, key)
        except KeyMissing:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove the object."""
        try:
            with self._told(checked_key(key)):
                obstore.delete(self._objects, key)
        except KeyMissing:
            return

    @contextmanager
    def _told(self, key: str, *, missing: type[LakeError] = KeyMissing) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise missing(f'there is no "{key}" in {self._url}', key=key) from None
        except exceptions.AlreadyExistsError:
            raise KeyTaken(f'"{key}" exists already in {self._url}; it was left as it is', key=key) from None
        except exceptions.PreconditionError:
            raise VersionChanged(
                f'"{key}" in {self._url} was changed by someone else since it was read; read it again first',
                key=key,
            ) from None
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise StoreReadOnly(
                f'{self._url} refused "{key}": check the key, its secret and its rights', key=key
            ) from error
        except (exceptions.BaseError, ValueError) as error:
            raise StoreUnavailable(f'{self._url} cannot be used for "{key}": {_first_line(error)}', key=key) from error


class _Ranges(io.RawIOBase):
    """An object as a raw stream of Python."""

    def __init__(self, source: ReadableFile) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        part = bytes(self._source.read(len(view)))
        view[: len(part)] = part
        return len(part)


def _connect(url: str, options: Mapping[str, str]) -> ObjectStore:
    from obstore.store import S3Store as ObjectStore

    config = {key.lower(): value for key, value in options.items() if key.lower() != "aws_allow_http"}
    endpoint = config.get("aws_endpoint_url") or config.get("aws_endpoint") or ""
    return ObjectStore.from_url(
        url,
        config=config,  # type: ignore[arg-type]  # checked by obstore, which names an unknown key
        client_options={"allow_http": endpoint.startswith("http://")},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
    )


def _first_line(error: Exception) -> str:
    """Return what went wrong, in the same words each time: a fault that lasts is then told once, not at every look."""
    line = next(iter(str(error).splitlines()), type(error).__name__)
    said = line.partition("<")[0]  # then comes a document, which numbers the request
    return _OF_ONE_ATTEMPT.sub(": ", said).rstrip(": ")[:200]
