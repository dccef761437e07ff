"""Does every DuckDB we open keep its limits?"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from trueup.data.duck import connect, quoted, quoted_text, rows_with_progress


def test_no_statement_can_lift_the_limits(tmp_path: Path) -> None:
    with connect(memory_limit_mb=100, threads=1, temp_directory=tmp_path) as connection:
        for statement in ("SET memory_limit = '10GB'", "SET autoinstall_known_extensions = true"):
            with pytest.raises(duckdb.Error, match="lock"):
                connection.execute(statement)


def test_no_extension_is_fetched(tmp_path: Path) -> None:
    with connect(temp_directory=tmp_path) as connection, pytest.raises(duckdb.Error):
        connection.execute("SELECT * FROM sqlite_scan('x.db', 'y')")


def test_a_failing_query_fails_in_the_callers_thread(tmp_path: Path) -> None:
    with connect(temp_directory=tmp_path) as connection, pytest.raises(duckdb.ConversionException):
        rows_with_progress(connection, "SELECT CAST('x' AS INTEGER)", lambda share: None)


def test_an_exception_in_progress_stops_the_query_and_frees_the_connection(tmp_path: Path) -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with connect(temp_directory=tmp_path) as connection:
        with pytest.raises(KeyboardInterrupt):
            rows_with_progress(connection, "SELECT sum(a.range * b.range) FROM range(100000) a, range(1000000) b", stop)
        assert rows_with_progress(connection, "SELECT 1", lambda share: None) == [(1,)]


def test_names_and_texts_survive_quoting(tmp_path: Path) -> None:
    name, text = 'a "b" c', "it's"
    with connect(temp_directory=tmp_path) as connection:
        row = connection.execute(f"SELECT {quoted_text(text)} AS {quoted(name)}")
        assert row.description is not None
        assert (row.description[0][0], row.fetchall()) == (name, [(text,)])
