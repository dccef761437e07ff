"""Does a query on a SQLite file come in with every value, whole or not at all, without touching the file?"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from trueup.data.errors import (
    BrokenFile,
    DuplicateColumns,
    NoRows,
    QueryRefused,
    QueryTimeout,
    SourceMissing,
    UnsupportedColumn,
    WrongEncoding,
)
from trueup.data.ingest import IngestReport, ingest
from trueup.data.sqlite import SqliteQuery
from trueup.kernel.periods import moment_of
from trueup.lake.tables import Tables

AS_OF = moment_of(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
SAID = "a query on branch"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return database(tmp_path / "a b?.db", ["CREATE TABLE cases (id, amount, at, word)"])


def database(path: Path, statements: Sequence[str], rows: Sequence[Sequence[object]] = ()) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
        connection.executemany("INSERT INTO cases VALUES (?, ?, ?, ?)", rows)
    return path


def read(file: Path, query: str, *, seconds: float = 60) -> tuple[IngestReport, pa.Table]:
    tables = Tables(file.parent / "lake")
    report = ingest(SqliteQuery(SAID, query, file, seconds), tables=tables, name="cases", as_of=AS_OF)
    return report, pa.Table.from_batches(tables.batches("cases"))


def test_numbers_dates_and_texts_come_in_as_they_are(file: Path) -> None:
    rows = [
        (9007199254740993, 0.1, "2025-03-01", 'a "quoted", word'),
        (2, 1e300, "2025-03-02", "two\nlines"),
        (3, None, None, None),
    ]
    database(file, [], rows)
    report, table = read(file, "SELECT * FROM cases")
    assert (report.format, report.rows) == ("sqlite", 3)
    assert table.column("id").to_pylist() == [9007199254740993, 2, 3]
    assert table.column("amount").to_pylist() == [0.1, 1e300, None]
    assert table.column("at").to_pylist() == [dt.date(2025, 3, 1), dt.date(2025, 3, 2), None]
    assert table.column("word").to_pylist() == ['a "quoted", word', "two\nlines", None]


def test_texts_among_numbers_of_one_column_are_said(file: Path) -> None:
    database(file, [], [(i, i if i else "none of it", None, None) for i in range(20)])
    report, _ = read(file, "SELECT id, amount FROM cases")
    assert any("amount: 1 of 20 values are no numbers" in notice.message for notice in report.notices)


def test_binary_values_are_refused_by_the_name_of_their_column(file: Path) -> None:
    database(file, [], [(1, None, None, b"\x00\x01")])
    with pytest.raises(UnsupportedColumn, match='the column "word" holds binary values'):
        read(file, "SELECT * FROM cases")


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM cases RETURNING id",
        "INSERT INTO cases VALUES (5, 5, 5, 5)",
        "ATTACH DATABASE 'other.db' AS other",
        "PRAGMA user_version = 7",
        "VACUUM INTO 'copy.db'",
        "SELECT 1 AS a; DELETE FROM cases",
        "SELECT load_extension('evil') AS a",
        "SELECT * FROM nowhere",
        "SELEKT 1",
        "",
    ],
)
def test_a_query_that_does_more_than_read_or_is_wrong_changes_nothing(file: Path, query: str) -> None:
    database(file, [], [(1, 1, None, None)])
    before = file.read_bytes()
    with pytest.raises(QueryRefused):
        read(file, query)
    assert file.read_bytes() == before
    assert {path.name for path in file.parent.iterdir()} <= {file.name, "lake"}
    assert Tables(file.parent / "lake").find("cases") is None


def test_a_query_without_an_end_is_stopped(file: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n"
    with pytest.raises(QueryTimeout, match="raise timeout"):
        read(file, endless, seconds=0.1)


def test_a_missing_file_is_said_with_the_nearest_name_and_not_created(tmp_path: Path) -> None:
    database(tmp_path / "cases.db", ["CREATE TABLE cases (a, b, c, d)"])
    with pytest.raises(SourceMissing, match=r"cases\.db"):
        read(tmp_path / "casess.db", "SELECT 1 AS a")
    assert not (tmp_path / "casess.db").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.db").write_text("id,amount\n1,10\n" * 100)
    with pytest.raises(BrokenFile, match="not a SQLite database"):
        read(tmp_path / "cases.db", "SELECT 1 AS a FROM sqlite_schema")


def test_a_text_that_is_not_utf8_is_refused_without_repeating_it(file: Path) -> None:
    database(file, ["INSERT INTO cases VALUES (1, 1, NULL, CAST(x'4DFC6C6C6572' AS TEXT))"])
    with pytest.raises(WrongEncoding) as caught:
        read(file, "SELECT * FROM cases")
    assert "ller" not in caught.value.message


def test_columns_of_one_name_and_no_rows_are_refused_and_keep_the_previous_version(file: Path) -> None:
    database(file, [], [(1, 1, None, None)])
    read(file, "SELECT id FROM cases")
    with pytest.raises(DuplicateColumns):
        read(file, "SELECT id, amount AS ID FROM cases")
    with pytest.raises(NoRows):
        read(file, "SELECT id FROM cases WHERE id > 5")
    assert Tables(file.parent / "lake").get("cases").rows == 1


def test_a_database_that_is_being_written_is_read_as_of_one_moment(file: Path) -> None:
    with closing(sqlite3.connect(file)) as writer:
        writer.execute("PRAGMA journal_mode = wal")
        writer.executemany("INSERT INTO cases VALUES (?, 1, NULL, 'x')", [(i,) for i in range(20_000)])
        writer.commit()
        changed: list[sqlite3.Cursor] = []

        def change(done: int, total: int) -> None:
            if not changed:
                changed.append(writer.execute("UPDATE cases SET amount = 2"))
                writer.commit()

        tables = Tables(file.parent / "lake")
        source = SqliteQuery(SAID, "SELECT * FROM cases ORDER BY id", file, 60)
        ingest(source, tables=tables, name="cases", as_of=AS_OF, progress=change)
    table = pa.Table.from_batches(tables.batches("cases"))
    assert changed
    assert set(table.column("amount").to_pylist()) == {1}
