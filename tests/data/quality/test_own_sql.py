"""Can a person's SQL read anything but the table, change anything, or run for ever?"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.data.quality.own_sql import QueryRefused, QueryTooSlow, count_rows_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cases.parquet"
    pq.write_table(pa.table({"id": range(100), "x": range(100)}), path)
    return path


def count(query: str, file: Path, *, timeout_seconds: float = 60.0) -> int:
    spill = file.parent / "spill"
    return count_rows_of(query, files=[file], spill=spill, timeout_seconds=timeout_seconds)[0]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT * FROM cases WHERE x >= 90", 10),
        ("WITH big AS (SELECT id FROM cases WHERE x > 97) SELECT * FROM big;", 2),
        ("SELECT a.id FROM cases a JOIN cases b ON a.id = b.x + 1 -- pairs", 99),
        ("SELECT * FROM cases WHERE x >= 90; -- why", 10),
        ("SELECT * FROM cases WHERE ';' <> ' -- ' AND x >= 90 /* ; */", 10),
    ],
)
def test_any_select_over_the_table_runs(file: Path, query: str, rows: int) -> None:
    assert count(query, file) == rows


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM '/etc/hostname'",
        "COPY cases TO 'FILE'",
        "COPY (SELECT 1 AS id) TO 'FILE' (FORMAT parquet)",
        "ATTACH 'FILE.db'",
        "SET memory_limit = '100GB'",
        "INSTALL httpfs",
        "SELECT 1; DROP VIEW cases",
        "SELECT 1) TO 'FILE'; --",
        "DROP VIEW cases",
        "not sql",
        "",
    ],
)
def test_whatever_is_not_one_select_over_the_table_is_refused(file: Path, query: str) -> None:
    before = file.read_bytes()
    with pytest.raises(QueryRefused):
        count(query.replace("FILE", str(file)), file)
    assert file.read_bytes() == before


def test_variables_of_this_process_are_no_tables(file: Path) -> None:
    secret = pa.table({"x": [1]})
    with pytest.raises(QueryRefused):
        count("SELECT * FROM secret", file)
    assert secret.num_rows == 1


def test_a_value_that_cannot_be_converted_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "cases.parquet"
    pq.write_table(pa.table({"iban": ["DE77-secret"]}), file)
    with pytest.raises(QueryRefused) as caught:
        count("SELECT * FROM cases WHERE CAST(iban AS INTEGER) > 1", file)
    assert "secret" not in caught.value.message


def test_a_query_without_an_end_is_stopped(file: Path) -> None:
    endless = "SELECT count(*) FROM range(100000000000) a, range(100000000000) b WHERE a.range + b.range = 3"
    with pytest.raises(QueryTooSlow, match=r"0\.2 s"):
        count(endless, file, timeout_seconds=0.2)


def test_a_number_that_overflows_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "cases.parquet"
    pq.write_table(pa.table({"id": [1], "iban": [4711000000000000001]}), path)

    with pytest.raises(QueryRefused) as refused:
        count("SELECT id FROM cases WHERE iban * 1000 > 1", path)

    assert "out of range" in refused.value.message
    assert "4711" not in refused.value.message


def test_a_query_that_needs_too_much_memory_is_refused(file: Path) -> None:
    with pytest.raises(QueryRefused):
        count_rows_of(
            "SELECT 1 FROM (SELECT list(range) AS l FROM range(30000000)) WHERE len(l) = 3 AND l[7] > 0",
            files=[file],
            spill=file.parent / "spill",
            memory_limit_mb=64,
        )
