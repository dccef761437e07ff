"""What can go wrong where records live?"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from trueup.kernel.errors import TrueupError


class LakeError(TrueupError):
    """Base of the lake's errors."""

    code = "lake.error"


class BadStoreUrl(LakeError):
    """A URL names no store we know."""

    code = "lake.bad-store-url"


class BadKey(LakeError):
    """A key could leave the store, or hide in it."""

    code = "lake.bad-key"


class KeyMissing(LakeError):
    """There is nothing under this key."""

    code = "lake.key-missing"


class KeyTaken(LakeError):
    """Create-if-absent found something."""

    code = "lake.key-taken"


class VersionChanged(LakeError):
    """Compare-and-swap found another version than the one it was told."""

    code = "lake.version-changed"


class StoreFull(LakeError):
    """The disk, the quota or the allowed file size is used up."""

    code = "lake.full"


class StoreReadOnly(LakeError):
    """We may not write there."""

    code = "lake.read-only"


class StoreUnavailable(LakeError):
    """The store does not answer, or refuses us."""

    code = "lake.unavailable"


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def told_as_lake_errors(place: str) -> Iterator[None]:
    """Turn the operating system's refusals while writing to `place` into the lake's errors."""
    try:
        yield
    except OSError as error:
        raise lake_error_of(error, place) from error


@contextmanager
def told_as_unreadable(place: str) -> Iterator[None]:
    """Turn the operating system's refusals while reading `place` into the lake's word for it."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f'"{place}" cannot be read: {error.strerror or error}', place=place) from error


def lake_error_of(error: Exception, place: str) -> LakeError:
    """Return the lake's word for an error of the system, or of a library, met while using `place`."""
    text = (str(error) or type(error).__name__).splitlines()[0]
    number = error.errno if isinstance(error, OSError) else None
    reason = (error.strerror if isinstance(error, OSError) else None) or text
    if number in _FULL or "No space left" in text or "File too large" in text:
        return StoreFull(
            f'no space left while writing to "{place}" ({reason}); nothing was published, '
            "what was there is unchanged; free some space, or use another folder",
            place=place,
        )
    if number in _READ_ONLY or "Permission denied" in text:
        return StoreReadOnly(
            f'"{place}" may not be written ({reason}); nothing was changed; allow writing there, or use another folder',
            place=place,
        )
    return StoreUnavailable(f'"{place}" cannot be used: {reason}', place=place)
