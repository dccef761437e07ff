"""Of which kinds are the features in the log? A document for each schema in the lake, by its digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from trueup.kernel.digests import digest_of
from trueup.lake.errors import KeyMissing, LakeError
from trueup.lake.store import Store

SEALED = "_personal"
"""The field of a served row, and the column of a sealed file, that holds its personal values, encrypted."""
KEY_COLUMNS = ("_prediction_id", "_association_id", "_caller", "_decided_at", SEALED, "_unread")
"""Columns of ours beside the features in a sealed file."""


class SchemaMissing(LakeError):
    """The lake has no document for a schema that a record names."""

    code = "lake.schema-missing"


class BadFeatureSchema(LakeError):
    """A document does not say the kinds of features, or a column has a name that is taken."""

    code = "lake.bad-feature-schema"


class FeatureColumn(msgspec.Struct, frozen=True):
    """One column as callers send it."""

    name: str
    kind: str
    """number, category, boolean, date, text; any other is kept as text."""


class _Document(msgspec.Struct, frozen=True):
    columns: tuple[FeatureColumn, ...]


def schema_digest(kinds: Mapping[str, str]) -> str:
    """Return under what the kinds of columns are kept: the SHA-256 of their canonical JSON."""
    return digest_of(dict(kinds))


def write_schema(store: Store, kinds: Mapping[str, str]) -> str:
    """Keep the kinds of columns in the lake, and return their digest; again is fine.

    Raises
    ------
    BadFeatureSchema
        When a column is called as one of ours.
    """
    check_names(kinds)
    digest = schema_digest(kinds)
    keep_schema(store, digest, columns_of(kinds))
    return digest


def check_names(names: Iterable[str]) -> None:
    """Raise where a column is called as one of ours.

    Raises
    ------
    BadFeatureSchema
    """
    taken = sorted(set(names) & set(KEY_COLUMNS))
    if taken:
        raise BadFeatureSchema(f'a column may not be called "{taken[0]}": the log has one of that name', seen=taken[0])


def columns_of(kinds: Mapping[str, str]) -> tuple[FeatureColumn, ...]:
    """Return the columns of a schema but those called as ours, by name."""
    return tuple(FeatureColumn(name, kind) for name, kind in sorted(kinds.items()) if name not in KEY_COLUMNS)


def keep_schema(store: Store, digest: str, columns: tuple[FeatureColumn, ...]) -> None:
    """Keep the columns of a schema in the lake; again is fine."""
    if not store.exists(_key(digest)):
        store.put(_key(digest), msgspec.json.encode(_Document(columns)))


def read_schema(store: Store, digest: str) -> tuple[FeatureColumn, ...]:
    """Return the columns of a schema.

    Raises
    ------
    SchemaMissing
    BadFeatureSchema
    """
    try:
        return msgspec.json.decode(store.get(_key(digest)), type=_Document).columns
    except KeyMissing:
        raise SchemaMissing(
            f"the lake has no schema {digest[:12]}, which records of the log name; publish the bundle again",
            digest=digest,
        ) from None
    except msgspec.DecodeError as error:
        raise BadFeatureSchema(f"the schema {digest[:12]} in the lake cannot be read: {error}") from error


def _key(digest: str) -> str:
    return f"schemas/{digest}.json"
