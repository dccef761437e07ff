"""Is a source read as it was meant, and are secrets kept out of the file?"""

from __future__ import annotations

from typing import Any

import pytest

from trueup.align.data_source import (
    Connection,
    QuerySource,
    SheetSource,
    Source,
    check_connection,
    read_connections,
    read_data_source,
)
from trueup.align.reading import Section
from trueup.kernel.errors import Mistake


def source_of(written: Any) -> tuple[Source | None, list[str]]:
    mistakes: list[Mistake] = []
    found = read_data_source(Section({"source": written}, "data", file="trueup.toml", mistakes=mistakes))
    return found, [f"{m.where} {m.message}" for m in mistakes]


def connections_of(written: Any) -> tuple[tuple[Connection, ...], list[str]]:
    mistakes: list[Mistake] = []
    found = read_connections(Section({"connections": written}, "", file="trueup.toml", mistakes=mistakes))
    return found, [f"{m.where} {m.message}" for m in mistakes]


def test_a_text_is_a_file_and_a_table_is_a_sheet_or_a_query() -> None:
    assert source_of("cases.csv") == ("cases.csv", [])
    assert source_of({"file": "a.xlsx", "sheet": "March", "header_row": 3}) == (SheetSource("a.xlsx", "March", 3), [])
    query = {"connection": "warehouse", "query": "SELECT 1"}
    assert source_of(query) == (QuerySource("warehouse", "SELECT 1"), [])


def test_mistakes_in_a_source_are_said_together_with_the_nearest_spelling() -> None:
    found, mistakes = source_of({"connection": "warehouse", "quary": "SELECT 1"})
    assert found is None
    assert any("query" in m for m in mistakes)
    assert any("quary" in m for m in mistakes)
    assert source_of({"file": "a.xlsx", "header_row": 0})[1]
    assert source_of(7)[1]


def test_a_connection_that_is_not_in_the_file_is_named_with_the_nearest() -> None:
    mistakes: list[Mistake] = []
    file = Section({}, "", file="trueup.toml", mistakes=mistakes)
    check_connection(QuerySource("warehose", "SELECT 1"), (Connection("warehouse", None),), file)
    (mistake,) = mistakes
    assert 'no connection "warehose"' in mistake.message
    assert '"warehouse"' in mistake.message


def test_a_connection_has_a_url_a_timeout_and_a_variable() -> None:
    (found,), mistakes = connections_of({"warehouse": {"url": "postgresql://reader@db/sales", "timeout": "5h"}})
    assert mistakes == []
    assert (found.name, found.url, found.variable) == (
        "warehouse",
        "postgresql://reader@db/sales",
        "TRUEUP_CONNECTION_WAREHOUSE",
    )
    assert found.timeout.microseconds == 5 * 3600 * 1_000_000


@pytest.mark.parametrize(
    "url",
    ["postgresql://reader:hunter2@db/sales", "postgresql://reader@db/sales?password=hunter2"],
)
def test_a_password_in_the_file_is_refused_and_not_repeated(url: str) -> None:
    (message,) = connections_of({"warehouse": {"url": url}})[1]
    assert "a password does not belong in the file" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "url",
    ["postgresql://reader:${SECRET}@db/sales", "${WAREHOUSE}", "sqlite:///data/a.db", "postgres://db/sales"],
)
def test_a_variable_in_the_place_of_a_secret_is_allowed(url: str) -> None:
    assert connections_of({"warehouse": {"url": url}})[1] == []


def test_other_databases_and_bad_names_are_refused() -> None:
    assert "mysql" in connections_of({"warehouse": {"url": "mysql://db/sales"}})[1][0]
    assert connections_of({"Ware-House": {"url": "postgresql://db/sales"}})[1]
    assert connections_of({"warehouse": {"uri": "postgresql://db/sales"}})[1]
