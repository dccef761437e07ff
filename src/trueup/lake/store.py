"""Where do bytes live? One small interface over a local folder and an object store, chosen by URL.

Importing this module loads no data library: prediction servers use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from trueup.lake.errors import BadKey


@dataclass(frozen=True)
class Entry:
    """One object in a listing."""

    key: str
    size: int
    """In bytes."""


@dataclass(frozen=True)
class Versioned:
    """Content beside the token that names exactly this content for `compare_and_swap`."""

    content: bytes
    version: str


class Store(Protocol):
    """Bytes under relative keys such as ``bundles/abc/manifest.json``.

    A reader sees a whole object or none: never half of one, whatever happens to the writer. A version token names the
    content; the same content written again may get the same token.
    """

    @property
    def url(self) -> str:
        """Return where this store is, without credentials."""
        ...

    def get(self, key: str) -> bytes:
        """Return the content; raise `KeyMissing` when there is none."""
        ...

    def get_versioned(self, key: str) -> Versioned:
        """Return the content and its version token; raise `KeyMissing` when there is none."""
        ...

    def get_if_changed(self, key: str, *, since: str) -> Versioned | None:
        """Return the content and its version token, or None while `since` is its version; see `get_versioned`."""
        ...

    def open(self, key: str) -> BinaryIO:
        """Return a readable, seekable stream for an object larger than memory; the caller closes it."""
        ...

    def put(self, key: str, content: bytes) -> str:
        """Write or replace, and return the new version token."""
        ...

    def put_file(self, key: str, path: Path) -> None:
        """Write or replace with the content of a local file, streaming."""
        ...

    def put_if_absent(self, key: str, content: bytes) -> str:
        """Write only if nothing is there, and return the version token; raise `KeyTaken` otherwise."""
        ...

    def compare_and_swap(self, key: str, content: bytes, *, expected: str) -> str:
        """Replace exactly the version `expected`; raise `VersionChanged` when another one, or none, is there."""
        ...

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield every object under the folder `prefix` (all when empty), sorted by key."""
        ...

    def exists(self, key: str) -> bool:
        """Return whether something is under the key."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is fine."""
        ...


def folder_of(url: str) -> Path:
    """Return the local folder that a plain path or a ``file:`` URL names."""
    return Path(unquote(urlsplit(url).path)) if url.startswith("file:") else Path(url)


def checked_key(key: str) -> str:
    """Return `key` when it is a plain relative path; raise `BadKey` otherwise.

    Examples
    --------
    >>> checked_key("bundles/abc/manifest.json")
    'bundles/abc/manifest.json'
    """
    parts = key.split("/")
    if not key or any(part in ("", ".", "..") or part.startswith(".store") for part in parts) or "\0" in key:
        raise BadKey(
            f'"{key}" is not a key; write a relative path such as "bundles/manifest.json", without "..", "//" or a '
            "leading slash",
            seen=key,
        )
    return key
