"""How is a person's own SQL run on a table? In a DuckDB of its own that can read these files and do nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.data.duck import quoted, quoted_text
from trueup.data.errors import DataError

if TYPE_CHECKING:
    import duckdb

VIEW = "cases"
"""What the table is called in the query."""
_KINDS = (
    ("Conversion", "a value cannot be converted"),
    ("InvalidInput", "a value cannot be converted"),
    ("OutOfRange", "a number is out of range"),
    ("OutOfMemory", "it needs more memory than it may have"),
    ("Permission", "it may read the table and nothing else"),
)
"""Errors of DuckDB whose own words may repeat a value, and what is said instead."""


class QueryRefused(DataError):
    """A query is not one SELECT, or does not run."""

    code = "data.query-refused"


class QueryTooSlow(DataError):
    """A query took longer than it may."""

    code = "data.query-too-slow"


def count_rows_of(
    query: str,
    *,
    files: Sequence[Path],
    spill: Path,
    memory_limit_mb: int = 1024,
    threads: int = 2,
    timeout_seconds: float = 60.0,
    case_id: Sequence[str] = (),
    examples: int = 5,
) -> tuple[int, tuple[str, ...]]:
    """Return how many rows a SELECT over the view ``cases`` gives, and the case ids of some.

    The query sees the table's files and no other, no network, no setting it could change; it stops at its memory limit
    and at its timeout.

    Parameters
    ----------
    spill : Path
        Folder for what does not fit into memory; the caller removes it.
    case_id : sequence of str
        Columns to take ids from, where the query returns all of them.

    Raises
    ------
    QueryRefused
        When it is anything but one SELECT, reads something else, or cannot be evaluated.
    QueryTooSlow
        When it is not done after `timeout_seconds`.
    """
    import duckdb

    select = _one_select(query)
    with _locked_down(files, spill, memory_limit_mb=memory_limit_mb, threads=threads) as connection:
        ended = threading.Event()

        def stop() -> None:
            ended.set()
            connection.interrupt()

        timer = threading.Timer(timeout_seconds, stop)
        timer.start()
        try:
            returned = [str(column[0]) for column in connection.execute(f"DESCRIBE {select}").fetchall()]
            shown = ", ".join(quoted(name) for name in case_id) if set(case_id) <= set(returned) and case_id else ""
            count = _number(connection, f"SELECT count(*) FROM ({select})")  # noqa: S608
            ids: tuple[str, ...] = ()
            if shown and count:
                rows = connection.execute(f"SELECT {shown} FROM ({select}) LIMIT {examples}").fetchall()  # noqa: S608
                ids = tuple(" ".join(map(str, row)) for row in rows)
        except duckdb.InterruptException as error:
            if not ended.is_set():
                raise
            raise QueryTooSlow(f"it was stopped after {timeout_seconds:g} s; make it simpler") from error
        except duckdb.Error as error:
            raise QueryRefused(_reason(error)) from error
        finally:
            timer.cancel()
    return count, ids


def _one_select(query: str) -> str:
    import duckdb

    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise QueryRefused(f"it is not SQL: {_reason(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise QueryRefused("it must be one SELECT, which returns the rows that are wrong")
    return _without_end(statements[0].query)


def _without_end(statement: str) -> str:
    """Return a statement without its semicolon and the comments behind it."""
    from sqlglot import TokenType, tokenize
    from sqlglot.errors import TokenError

    try:
        ends = [token.start for token in tokenize(statement, read="duckdb") if token.token_type is TokenType.SEMICOLON]
    except TokenError:
        ends = []
    return statement[: ends[0] if ends else None].strip() + "\n"


@contextmanager
def _locked_down(
    files: Sequence[Path], spill: Path, *, memory_limit_mb: int, threads: int
) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_limit_mb}MB",
        "threads": threads,
        "temp_directory": str(spill),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    try:
        listed = "[" + ", ".join(quoted_text(str(file)) for file in files) + "]"
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW {VIEW} AS SELECT * FROM read_parquet({listed})")  # noqa: S608
        connection.execute(f"SET allowed_paths = {listed}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _reason(error: Exception) -> str:
    """Return what is wrong with a query; only words about the query itself are passed on, never a value of a row."""
    import duckdb

    if isinstance(error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException):
        return str(error).splitlines()[0][:200]
    return next((words for kind, words in _KINDS if type(error).__name__.startswith(kind)), "it cannot be computed")
