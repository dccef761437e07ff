"""Does a query on a real PostgreSQL come in with every value, whole or not at all, without telling a secret?"""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pyarrow as pa
import pytest

from trueup.data.errors import (
    ConnectionFailed,
    ConnectionLost,
    DuplicateColumns,
    QueryRefused,
    QueryTimeout,
    UnsupportedColumn,
)
from trueup.data.ingest import IngestReport, ingest
from trueup.data.postgres import PostgresQuery
from trueup.kernel.errors import TrueupError
from trueup.kernel.periods import moment_of
from trueup.lake.tables import Tables

AS_OF = moment_of(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
SAID = "a query on warehouse"


@pytest.fixture
def admin(postgres_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        yield connection


@pytest.fixture
def lake(tmp_path: Path) -> Tables:
    return Tables(tmp_path / "lake")


def read(query: str, url: str, tables: Tables, *, seconds: float = 60) -> tuple[IngestReport, pa.Table]:
    report = ingest(PostgresQuery(SAID, query, url, seconds), tables=tables, name="cases", as_of=AS_OF)
    return report, pa.Table.from_batches(tables.batches("cases"))


def told(query: str, url: str, tables: Tables, *, seconds: float = 60) -> TrueupError:
    with pytest.raises(TrueupError) as caught:
        read(query, url, tables, seconds=seconds)
    return caught.value


def test_every_type_of_a_business_table_comes_in_as_declared(
    admin: psycopg.Connection[tuple[object, ...]], postgres_url: str, lake: Tables
) -> None:
    admin.execute("CREATE TYPE channel AS ENUM ('web', 'branch')")
    admin.execute("CREATE DOMAIN euros AS numeric(12, 2)")
    admin.execute(
        "CREATE TABLE cases (id bigint, small smallint, amount numeric(12,2), price euros, ratio real, share double "
        "precision, paid boolean, day date, at timestamp, moment timestamptz, via channel, note text, zip varchar(5), "
        "key uuid, document jsonb, cash money)"
    )
    admin.execute(
        "INSERT INTO cases VALUES (9007199254740993, 7, 1234567890.12, 0.10, 0.1, 0.1, true, '2025-03-30', "
        "'2025-03-30 02:30:00.123456', '2025-03-30 02:30:00+02', 'web', E'line one\nline \"two\", and more', '01067', "
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', 12.5), "
        "(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    )
    report, table = read("SELECT * FROM cases ORDER BY id DESC;", postgres_url, lake)
    row = table.to_pylist()[0]
    assert (report.format, report.rows) == ("postgresql", 2)
    assert row["id"] == 9007199254740993
    assert (row["small"], row["amount"], row["price"], row["cash"]) == (7, 1234567890.12, 0.10, 12.5)
    assert (row["ratio"], row["share"], row["paid"]) == (0.1, 0.1, True)
    assert row["day"] == dt.date(2025, 3, 30)
    assert row["at"] == dt.datetime(2025, 3, 30, 2, 30, 0, 123456)
    assert row["moment"] == dt.datetime(2025, 3, 30, 0, 30, tzinfo=dt.UTC)
    assert (row["via"], row["zip"]) == ("web", "01067")
    assert row["note"] == 'line one\nline "two", and more'
    assert row["key"] == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    assert row["document"] == '{"a": 1}'
    assert all(value is None for name, value in table.to_pylist()[1].items() if name != "id")


def test_infinite_dates_and_those_outside_the_calendar_are_missing_and_counted(
    admin: psycopg.Connection[tuple[object, ...]], postgres_url: str, lake: Tables
) -> None:
    query = (
        "SELECT * FROM (VALUES (1, date 'infinity', timestamptz '-infinity'), (2, date '0044-03-15 BC', "
        "timestamptz '20000-01-01 UTC'), (3, date '2025-01-01', timestamptz '2025-01-01 12:00 UTC')) AS t(id, day, at)"
    )
    report, table = read(query, postgres_url, lake)
    assert table.column("day").to_pylist() == [None, None, dt.date(2025, 1, 1)]
    assert table.column("at").to_pylist() == [None, None, dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC)]
    assert sorted(n.message for n in report.notices if n.code == "data.infinite-dates") == [
        "at: 2 moments infinite or outside the years 1 to 9999, read as missing",
        "day: 2 moments infinite or outside the years 1 to 9999, read as missing",
    ]


def test_not_a_number_is_missing(
    admin: psycopg.Connection[tuple[object, ...]], postgres_url: str, lake: Tables
) -> None:
    query = "SELECT * FROM (VALUES (float8 'NaN', numeric 'NaN', numeric(5,2) 'NaN'), (1.5, 1.5, 1.5)) AS t(a, b, c)"
    table = read(query, postgres_url, lake)[1]
    assert table.to_pylist() == [{"a": None, "b": None, "c": None}, {"a": 1.5, "b": 1.5, "c": 1.5}]


def test_whole_numbers_of_any_size_keep_their_digits(
    admin: psycopg.Connection[tuple[object, ...]], postgres_url: str, lake: Tables
) -> None:
    table = read(
        "SELECT n::numeric AS n FROM generate_series(9007199254740992, 9007199254740995) n", postgres_url, lake
    )
    assert table[1].column("n").to_pylist() == [9007199254740992 + i for i in range(4)]


def test_an_empty_text_differs_from_a_missing_one_even_in_a_single_column(
    admin: psycopg.Connection[tuple[object, ...]], postgres_url: str, lake: Tables
) -> None:
    table = read("SELECT * FROM (VALUES ('a'), (''), (NULL), ('\\.'), ('b')) AS t(word)", postgres_url, lake)[1]
    assert table.column("word").to_pylist() == ["a", "", None, "\\.", "b"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [("ARRAY[1, 2]", "an array"), ("'x'::bytea", "binary"), ("ROW(1, 2)", "a record")],
)
def test_what_no_table_holds_is_refused_by_the_name_of_its_column(
    postgres_url: str, lake: Tables, value: str, kind: str
) -> None:
    error = told(f"SELECT 1 AS id, {value} AS tags", postgres_url, lake)
    assert isinstance(error, UnsupportedColumn)
    assert f'the column "tags" is {kind}' in error.message


def test_two_columns_of_one_name_are_refused(postgres_url: str, lake: Tables) -> None:
    assert isinstance(told("SELECT 1 AS a, 2 AS a", postgres_url, lake), DuplicateColumns)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM cases",
        "WITH gone AS (DELETE FROM cases RETURNING id) SELECT * FROM gone",
        "SELECT 1; DELETE FROM cases",
        "SELECT 1) TO STDOUT; COMMIT; DELETE FROM cases; COPY (SELECT 1",
        "SELECT setval('cases_id_seq', 99)",
        "DROP TABLE cases",
        "SELECT 1 AS a INTO other",
        "COMMIT",
    ],
)
def test_a_query_that_does_more_than_read_changes_nothing(
    admin: psycopg.Connection[tuple[object, ...]], postgres_url: str, lake: Tables, query: str
) -> None:
    admin.execute("CREATE TABLE cases (id serial)")
    admin.execute("INSERT INTO cases DEFAULT VALUES")
    assert isinstance(told(query, postgres_url, lake), QueryRefused)
    assert admin.execute("SELECT count(*), max(id) FROM cases").fetchone() == (1, 1)
    assert admin.execute("SELECT last_value FROM cases_id_seq").fetchone() == (1,)
    assert lake.find("cases") is None


def test_a_comment_at_the_end_of_the_query_is_no_harm(postgres_url: str, lake: Tables) -> None:
    assert read("SELECT 1 AS id -- the last line", postgres_url, lake)[0].rows == 1


def test_a_missing_table_is_named_as_the_database_names_it(postgres_url: str, lake: Tables) -> None:
    error = told("SELECT * FROM nowhere", postgres_url, lake)
    assert isinstance(error, QueryRefused)
    assert 'relation "nowhere" does not exist' in error.message


def test_an_error_about_a_value_does_not_repeat_it(
    admin: psycopg.Connection[tuple[object, ...]], postgres_url: str, lake: Tables
) -> None:
    admin.execute("CREATE TABLE cases (word text)")
    admin.execute("INSERT INTO cases VALUES ('anna.schmidt@example.com')")
    error = told("SELECT word::int AS n FROM cases", postgres_url, lake)
    assert "anna" not in error.message
    assert "InvalidTextRepresentation" in error.message


def test_a_query_without_an_end_is_stopped(postgres_url: str, lake: Tables) -> None:
    error = told("SELECT count(*) AS n FROM generate_series(1, 1000000000000) n", postgres_url, lake, seconds=0.3)
    assert isinstance(error, QueryTimeout)


def test_a_wrong_password_host_or_database_is_said_without_the_secret(
    admin: psycopg.Connection[tuple[object, ...]], postgres_url: str, lake: Tables
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    folder = quote(postgres_url.split("host=", 1)[1], safe="") if "host=" in postgres_url else ""
    urls = [
        f"postgresql://reader:hunter2@127.0.0.1:{closed}/sales",
        "postgresql://reader:hunter2@nowhere.invalid/sales",
        f"postgresql://reader:hunter2@/nowhere?host={folder}",
        "postgresql://reader:hunter2@host:port/sales",
        "postgresql://reader:hun/ter2@host/sales",
    ]
    for url in urls:
        error = told("SELECT 1 AS id", url, lake)
        assert isinstance(error, ConnectionFailed), url
        for seen in (error.message, repr(error), str(error.__cause__), repr(PostgresQuery(SAID, "", url, 1))):
            assert "hunter2" not in seen
            assert "ter2" not in seen
        assert error.__suppress_context__


def test_a_connection_lost_midway_leaves_the_previous_version(
    admin: psycopg.Connection[tuple[object, ...]], postgres_url: str, lake: Tables
) -> None:
    read("SELECT 1 AS id, 'old' AS word", postgres_url, lake)
    large = "SELECT n AS id, repeat('x', 1000) AS word FROM generate_series(1, 200000) n"

    def cut(done: int, total: int) -> None:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trueup'")

    with pytest.raises(ConnectionLost, match="nothing was changed"):
        ingest(PostgresQuery(SAID, large, postgres_url, 60), tables=lake, name="cases", as_of=AS_OF, progress=cut)
    assert pa.Table.from_batches(lake.batches("cases")).to_pylist() == [{"id": 1, "word": "old"}]


def test_rows_that_change_while_they_are_read_are_seen_as_of_one_moment(
    admin: psycopg.Connection[tuple[object, ...]], postgres_url: str, lake: Tables
) -> None:
    admin.execute("CREATE TABLE cases AS SELECT n AS id, repeat('x', 100) AS word FROM generate_series(1, 100000) n")

    def change(done: int, total: int) -> None:
        admin.execute("UPDATE cases SET word = 'changed' WHERE id > 90000")
        admin.execute("DELETE FROM cases WHERE id = 100000")

    source = PostgresQuery(SAID, "SELECT * FROM cases ORDER BY id", postgres_url, 60)
    ingest(source, tables=lake, name="cases", as_of=AS_OF, progress=change)
    table = pa.Table.from_batches(lake.batches("cases"))
    assert table.column("id").to_pylist() == list(range(1, 100_001))
    assert set(table.column("word").to_pylist()) == {"x" * 100}


def test_the_same_rows_again_make_no_new_version(postgres_url: str, lake: Tables) -> None:
    query = "SELECT n AS id, n / 7.0 AS share FROM generate_series(1, 1000) n"
    assert read(query, postgres_url, lake)[0].is_new
    assert not read(query, postgres_url, lake)[0].is_new
