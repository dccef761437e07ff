"""A case has one name, one hash and one time, whether a table or a server reads its row."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.align.case_reading import association_of, event_time_reader, unit_hash
from trueup.kernel.rowplan import Plan

words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
LOCAL: Plan = ("column", "at", "moment")


def hash_in_a_table(*values: object) -> int:
    columns = ", ".join(f"CAST(${i + 1} AS VARCHAR)" for i in range(len(values)))
    found = duckdb.execute(f"SELECT md5_number_lower(concat_ws('|', {columns}))", list(values)).fetchone()
    assert found is not None
    return int(found[0])


@given(
    values=st.lists(
        st.one_of(words, st.integers(-(2**62), 2**62), st.booleans(), st.floats(allow_nan=False)),
        min_size=1,
        max_size=3,
    )
)
def test_a_case_has_the_hash_that_a_table_gives_it(values: list[object]) -> None:
    row = {str(i): value for i, value in enumerate(values)}
    name = association_of(row, tuple(row))
    assert name is not None
    assert unit_hash(name) == hash_in_a_table(*values)


def test_dates_and_decimals_are_named_as_a_table_prints_them() -> None:
    assert association_of({"a": "2016-05-01", "b": 7}, ("a", "b")) == "2016-05-01|7"
    when, amount = datetime(2016, 5, 1, 10, 0, 0, 500_000), Decimal("1.10")
    assert unit_hash("2016-05-01 10:00:00.5|1.10") == hash_in_a_table(when, amount)
    assert association_of({"a": when, "b": amount}, ("a", "b")) == "2016-05-01 10:00:00.5|1.10"


def test_missing_parts_are_left_out_and_a_case_without_any_has_no_name() -> None:
    assert association_of({"a": None, "b": "x"}, ("a", "b")) == "x"
    assert association_of({"a": None}, ("a", "b")) is None
    assert association_of({"a": None}, ("a",)) is None
    assert association_of({"a": 1}, ()) is None


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2016-07-01 12:00:00", 1_467_367_200_000_000),  # Berlin is two hours ahead in summer
        ("2016-07-01T12:00:00+02:00", 1_467_367_200_000_000),
        ("2016-07-01T10:00:00Z", 1_467_367_200_000_000),
        ("2016-10-30 02:30:00", 1_477_791_000_000_000),  # shown twice: the later one, as DuckDB says
        ("2016-03-27 02:30:00", 1_459_042_200_000_000),  # skipped: 03:30 in summer time, as DuckDB says
        ("soon", None),
        (None, None),
    ],
)
def test_times_without_an_offset_are_read_in_the_time_zone_of_the_charter(
    text: str | None, microseconds: int | None
) -> None:
    assert event_time_reader(LOCAL, timezone="Europe/Berlin")({"at": text}) == microseconds


def test_an_expression_over_times_keeps_their_offset() -> None:
    later: Plan = ("shift", "day", LOCAL, ("number", 1.0))
    read = event_time_reader(later, timezone="Europe/Berlin")
    assert read({"at": "2016-07-01T10:00:00Z"}) == 1_467_367_200_000_000 + 86_400_000_000
    assert read({"at": "9999-12-31"}) is None
