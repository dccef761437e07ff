"""Does a named connection find its database, with the secret it was given and none shown?"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from trueup.align.data_source import Connection, QuerySource
from trueup.data.databases import open_query
from trueup.data.errors import ConnectionUnset
from trueup.data.postgres import PostgresQuery
from trueup.data.sqlite import SqliteQuery

QUERY = QuerySource("warehouse", "SELECT 1 AS id")


def opened(url: str | None, **variables: str) -> PostgresQuery | SqliteQuery:
    found = open_query(QUERY, Connection("warehouse", url), variables=variables, base=Path("/projects/fraud"))
    assert isinstance(found, PostgresQuery | SqliteQuery)
    return found


def test_a_secret_of_any_characters_arrives_unchanged() -> None:
    secret = "p@ss/w:rd?#%41 ü"
    found = opened("postgresql://reader:${SECRET}@db:5432/sales", SECRET=secret)
    assert isinstance(found, PostgresQuery)
    parsed = psycopg.conninfo.conninfo_to_dict(found.url)
    assert (parsed["password"], parsed["host"], parsed["dbname"]) == (secret, "db", "sales")
    assert "p@ss" not in repr(found)
    assert "p%40ss" not in repr(found)


def test_the_environment_may_hold_the_whole_url() -> None:
    whole = "postgresql://reader:secret@db/sales"
    for found in (
        opened(None, TRUEUP_CONNECTION_WAREHOUSE=whole),
        opened("postgresql://other@db/sales", TRUEUP_CONNECTION_WAREHOUSE=whole),
        opened("${WAREHOUSE}", WAREHOUSE=whole),
    ):
        assert isinstance(found, PostgresQuery)
        assert found.url == whole


def test_a_sqlite_file_starts_from_the_project_folder() -> None:
    for url, path in (
        ("sqlite:///data/a.db", "/projects/fraud/data/a.db"),
        ("sqlite:////data/a.db", "/data/a.db"),
        ("sqlite:///${FOLDER}/a.db", "/mnt/with space/a.db"),
    ):
        found = opened(url, FOLDER="/mnt/with space")
        assert isinstance(found, SqliteQuery)
        assert str(found.file) == path


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConnectionUnset, match="environment variable SECRET, which is not set"):
        opened("postgresql://reader:${SECRET}@db/sales")
    with pytest.raises(ConnectionUnset, match="TRUEUP_CONNECTION_WAREHOUSE"):
        opened(None)


def test_a_url_of_another_kind_is_refused_without_being_shown() -> None:
    for url in ("mysql://root:secret@db/sales", "secret", "http://[secret"):
        with pytest.raises(ConnectionUnset, match="must begin with postgresql://") as caught:
            opened(None, TRUEUP_CONNECTION_WAREHOUSE=url)
        assert "secret" not in caught.value.message
