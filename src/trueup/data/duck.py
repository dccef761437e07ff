"""How is DuckDB opened here? Always with limits, never with the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

_POLL_SECONDS = 0.1


def connect(*, memory_limit_mb: int = 1024, threads: int = 2, temp_directory: Path) -> duckdb.DuckDBPyConnection:
    """Return a fresh in-memory DuckDB.

    No extension is ever fetched, the time zone is UTC, and no statement can change the configuration afterwards. Files
    can be read because reading our own files is what it is for: never run a person's SQL on it unparsed.

    Parameters
    ----------
    memory_limit_mb : int
        Above it, sorts and joins spill to `temp_directory`.
    temp_directory : Path
        Where to spill; the caller removes it.
    """
    import duckdb

    settings: dict[str, Any] = {
        "memory_limit": f"{memory_limit_mb}MB",
        "threads": threads,
        "temp_directory": str(temp_directory),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "preserve_insertion_order": True,
    }
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = true")  # so that `rows_with_progress` can ask; nothing is printed
    connection.execute("SET enable_progress_bar_print = false")
    connection.execute("SET lock_configuration = true")
    return connection


def rows_with_progress(
    connection: duckdb.DuckDBPyConnection, query: str, on_share: Callable[[float], None]
) -> list[tuple[Any, ...]]:
    """Run a query and return its rows, telling ten times a second which share (0 to 1) is done.

    An exception from `on_share`, or Ctrl-C, stops the query.
    """
    answer: list[list[tuple[Any, ...]]] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(connection.execute(query).fetchall())
        except BaseException as error:  # noqa: BLE001  # handed to the caller's thread below
            failure.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    try:
        while worker.is_alive():
            worker.join(_POLL_SECONDS)
            on_share(max(0.0, min(1.0, connection.query_progress() / 100)))
    except BaseException:
        connection.interrupt()
        worker.join()
        raise
    if failure:
        raise failure[0]
    return answer[0]


def quoted(name: str) -> str:
    """Return a column name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """Return a text as SQL."""
    return "'" + text.replace("'", "''") + "'"
