"""Does each rule count exactly the rows that break it, and say so without a value?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.align.quality_rules import (
    Check,
    Figure,
    ForeignKey,
    Fresh,
    Matches,
    NotNull,
    OneOf,
    QualityRule,
    Query,
    Range,
    RowHolds,
    Unique,
    Volume,
)
from trueup.data.duck import connect
from trueup.data.quality.checking import Rows, Surroundings, check_rows, rules_digest
from trueup.kernel.durations import parse_duration
from trueup.kernel.periods import moment_of
from trueup.lake.quality_results import RuleResult

CheckOne = Callable[..., RuleResult]
DAY = dt.timedelta(days=1)
NOON = dt.datetime(2024, 6, 1, 12)
AS_OF = moment_of(NOON.replace(tzinfo=dt.UTC))

COUNTED: list[tuple[Check, list[object], int, int]] = [
    (NotNull("x"), [1, None, 3, None], 2, 4),
    (Unique(("x",)), [1, 1, 1, 2, None, None], 2, 4),
    (Range("x", 0.0, 10.0), [0, 10, -1, 11, None], 2, 4),
    (Range("x", None, 0.5), [0.5, 0.6, float("inf"), float("-inf")], 2, 4),
    (Range("x", "2024-01-01 00:00:00", None), [dt.date(2023, 12, 31), dt.date(2024, 1, 1)], 1, 2),
    (Range("x", None, "2024-01-01 00:00:00"), [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 0, 0, 1)], 1, 2),
    (OneOf("x", ("a", "b'c")), ["a", "b'c", "A", "", None], 2, 4),
    (OneOf("x", (1.0, 2.5)), [1.0, 2.5, 3.0, None], 1, 3),
    (OneOf("x", (True,)), [True, False, None], 1, 2),
    (Matches("x", "[A-Z]{2}[0-9]+"), ["DE1", "xDE1", "DE1x", None], 2, 3),
    (RowHolds("x > 1"), [1, 2, None], 1, 2),
    (RowHolds("x IS NULL OR x > 1"), [1, 2, None], 1, 3),
]


@pytest.mark.parametrize(("check", "values", "failing", "checked"), COUNTED)
def test_the_rows_that_break_a_rule_are_counted(
    check_one: CheckOne, check: Check, values: list[object], failing: int, checked: int
) -> None:
    result = check_one(check, {"x": values})
    assert (result.failing, result.checked, result.status) == (failing, checked, "failed")
    assert result.share == failing / checked


def test_a_share_of_failing_rows_may_be_allowed(check_one: CheckOne) -> None:
    column = {"x": [1, None, 3, 4]}
    assert check_one(NotNull("x"), column, allowed_share=0.25).status == "passed"
    assert check_one(NotNull("x"), column, allowed_share=0.24).status == "failed"


def test_a_rule_without_a_value_to_check_is_neither_kept_nor_broken(check_one: CheckOne) -> None:
    empty = {"x": pa.array([None, None], pa.float64())}
    for check in (Range("x", 0.0, 1.0), Unique(("x",)), RowHolds("x > 1"), Figure("avg(x)", "<= 1")):
        result = check_one(check, empty)
        assert (result.status, result.share if result.checked else None) == ("no_data", None)


def test_a_combination_of_columns_must_be_unique_together(check_one: CheckOne) -> None:
    columns = {"a": [1, 1, 2, 2, None], "b": ["x", "y", "x", "x", "x"]}
    result = check_one(Unique(("a", "b")), columns)
    assert (result.failing, result.checked, result.examples) == (1, 4, ("row 3", "row 4"))


def test_failing_rows_are_named_by_their_case_and_no_value_is_told(check_one: CheckOne) -> None:
    columns = {"id": ["c-1", "c-2", "c-3"], "iban": ["DE77secret", "FR1", "zz99secret"]}
    result = check_one(Matches("iban", "FR[0-9]"), columns, case_id=("id",))
    assert result.examples == ("c-1", "c-3")
    assert "secret" not in str(result)
    assert result.detail == "2 of 3 rows fail (66.7 %); for example c-1, c-3"


def test_failing_rows_without_an_id_are_named_by_their_place(check_one: CheckOne) -> None:
    assert check_one(NotNull("x"), {"x": [None, *range(7), None]}).examples == ("row 1", "row 9")


@pytest.mark.parametrize(
    ("values", "status", "failing"),
    [
        ([NOON - 2 * DAY], "passed", 0),
        ([NOON - 2 * DAY - dt.timedelta(microseconds=1)], "failed", 1),
        ([NOON - 9 * DAY, dt.datetime(2099, 1, 1)], "failed", 1),
        ([dt.datetime(2099, 1, 1)], "failed", 1),
        ([dt.date(2024, 6, 1), dt.date(2020, 1, 1)], "passed", 0),
        (pa.array([None], pa.timestamp("us")), "no_data", 0),
        (pa.array([NOON - DAY], pa.timestamp("us", tz="UTC")), "passed", 0),
    ],
    ids=["just in time", "just too late", "a date in the future hides nothing", "only future", "dates", "none", "zone"],
)
def test_the_newest_past_moment_decides_whether_data_are_fresh(
    check_one: CheckOne, values: object, status: str, failing: int
) -> None:
    result = check_one(Fresh("at", parse_duration("2d")), {"at": values}, as_of=AS_OF)
    assert (result.status, result.failing) == (status, failing)


@pytest.mark.parametrize(
    ("volume", "previous", "status"),
    [
        (Volume(4, 6, None), None, "passed"),
        (Volume(6, None, None), None, "failed"),
        (Volume(None, 4, None), None, "failed"),
        (Volume(None, None, 0.25), 4, "passed"),
        (Volume(None, None, 0.24), 4, "failed"),
        (Volume(None, None, 0.5), 11, "failed"),
        (Volume(None, None, 0.5), None, "no_data"),
        (Volume(1, None, 0.5), None, "passed"),
    ],
)
def test_the_number_of_rows_keeps_to_its_bounds(
    check_one: CheckOne, volume: Volume, previous: int | None, status: str
) -> None:
    assert check_one(volume, {"x": [1, 2, 3, 4, 5]}, previous=previous).status == status


def test_a_figure_over_all_rows_keeps_to_its_limit(check_one: CheckOne) -> None:
    columns = {"x": [1, 2, 6], "ok": [True, False, False]}
    assert check_one(Figure("avg(x)", "<= 3"), columns).status == "passed"
    assert check_one(Figure("count(*) FILTER (ok) / count(*)", ">= 0.5"), columns).status == "failed"


def test_values_that_the_other_table_lacks_break_a_foreign_key(check_one: CheckOne, tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text("customer,name\n1,a\n2,b\n2,again\nx,odd\n,none\n")
    key = ForeignKey(("c",), "customers.csv", ("customer",))
    result = check_one(key, {"c": [1, 2, 3, 3, None], "id": list("abcde")}, case_id=("id",))
    assert (result.failing, result.checked, result.examples) == (2, 4, ("c", "d"))
    pair = ForeignKey(("c", "n"), "customers.csv", ("customer", "name"))
    assert check_one(pair, {"c": [1, 2], "n": ["a", "a"]}).failing == 1


def test_ones_own_query_counts_the_rows_it_returns(check_one: CheckOne) -> None:
    columns = {"id": [7, 8, 9], "x": [1, 2, 3]}
    result = check_one(Query("SELECT * FROM cases WHERE x > (SELECT avg(x) FROM cases)"), columns, case_id=("id",))
    assert (result.failing, result.checked, result.examples) == (1, 3, ("9",))
    assert check_one(Query("SELECT 1 FROM cases WHERE x > 5"), columns).status == "passed"


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (NotNull("amuont"), 'no column "amuont" (did you mean "amount"?)'),
        (Unique(("amuont",)), 'no column "amuont"'),
        (Range("name", 0.0, None), "needs number values"),
        (Matches("amount", "x"), "needs text values"),
        (OneOf("amount", ("x",)), "needs text values"),
        (Fresh("amount", parse_duration("1d")), "needs date values"),
        (Range("amount", "2020-01-01", None), "needs date values"),
        (RowHolds("amuont > 1"), "amuont"),
        (RowHolds("amount = 'x'"), "amount"),
        (Figure("avg(amuont)", "<= 1"), "amuont"),
        (Matches("name", "x**"), "DuckDB refused it"),
        (ForeignKey(("amount",), "absent.csv", ("amount",)), "absent.csv"),
        (Query("SELECT nothing FROM cases"), "nothing"),
    ],
)
def test_a_rule_that_does_not_fit_the_table_has_failed_and_says_why(
    check_one: CheckOne, check: Check, expected: str
) -> None:
    result = check_one(check, {"amount": [1.0], "name": ["n"]})
    assert result.status == "failed"
    assert expected in result.detail


def test_one_rule_that_cannot_run_does_not_keep_the_others_from_theirs(tmp_path: Path) -> None:
    file = tmp_path / "cases.parquet"
    pq.write_table(pa.table({"a": ["x", None], "b": [1, 2]}), file)
    checks: tuple[Check, ...] = (Matches("a", "x**"), NotNull("a"), Range("c", 0.0, 1.0), Range("b", 0.0, 1.0))
    rules = [QualityRule(str(n), "k", check) for n, check in enumerate(checks)]
    with closing(connect(temp_directory=tmp_path / "duckdb")) as connection:
        around = Surroundings(0, None, lambda named, _: named)
        results = check_rows(rules, Rows(connection, (file,), tmp_path / "spill"), around)
    assert [(r.status, r.failing) for r in results] == [("failed", 0), ("failed", 1), ("failed", 0), ("failed", 1)]


def test_other_rules_have_another_digest() -> None:
    one, other = (QualityRule("r", "range", Range("x", low, None)) for low in (0.0, 1.0))
    assert rules_digest([one]) == rules_digest([QualityRule("r", "range", Range("x", 0.0, None))])
    assert rules_digest([one]) != rules_digest([other])
