"""Do suggested rules hold on the data they come from, parse, and keep personal values to themselves?"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.align.charter import DataSpec
from trueup.align.quality_rules import QualityRule
from trueup.align.reading import Section
from trueup.align.rules_text import read_rules
from trueup.data.duck import connect
from trueup.data.quality.checking import Rows, Surroundings, check_rows
from trueup.data.quality.suggesting import Suggestion, suggest_rules
from trueup.kernel.errors import Mistake
from trueup.kernel.periods import moment_of

AS_OF = moment_of(dt.datetime(2024, 6, 1, tzinfo=dt.UTC))
N = 2_000


@pytest.fixture
def duck(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(connect(temp_directory=tmp_path / "duckdb")) as connection:
        yield connection


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    start = np.datetime64("2024-02-20", "us")
    table = {
        "id": np.arange(N) + 7_000_000,
        "at": start + np.arange(N) * np.timedelta64(4_300_000_000, "us"),  # 20 a day, to 2024-05-29
        "channel": rng.choice(["web", 'it\'s "odd" \\ \U0001f600\n', "shop"], N),
        "customer": [f"K{i % 700:05d}" for i in range(N)],
        "iban": [f"DE{i % 90 + 10}{i:018d}" for i in range(N)],
        "kind_of_person": rng.choice(["secret-a", "secret-b"], N),
        "salary": rng.integers(31_337, 99_991, N),
        "amount": pa.array(rng.exponential(100, N), mask=np.arange(N) == 5),
        "balance": rng.normal(0, 10, N),
        "score": rng.random(N),
        "flag": rng.integers(0, 2, N),
        "rare": ["common"] * (N - 1) + ["once"],
        "free": [f"text {i} of {i * 7919 % 1009}" for i in range(N)],
        "constant": ["x"] * N,
        "nothing": pa.array([None] * N, pa.float64()),
        "endless": [float("inf")] + [1.0, 2.0] * ((N - 1) // 2) + [3.0],
    }
    file = tmp_path / "orders.parquet"
    pq.write_table(pa.table(table), file)
    return file


SPEC = DataSpec("orders.parquet", "flag", ("id",), "at", personal=("iban", "kind_of_person", "salary"))


def parsed(suggestions: tuple[Suggestion, ...]) -> tuple[QualityRule, ...]:
    text = "\n".join(suggestion.as_toml() for suggestion in suggestions)
    mistakes: list[Mistake] = []
    section = Section(tomllib.loads(text).get("data", {}), "data", file="t", mistakes=mistakes)
    rules = read_rules(section)
    assert mistakes == []
    return rules


def passing(rules: tuple[QualityRule, ...], rows: Rows) -> dict[str, str]:
    around = Surroundings(AS_OF, None, lambda named, _: named)
    return {result.rule: f"{result.status} {result.detail}" for result in check_rows(rules, rows, around)}


def test_suggestions_parse_and_hold_on_the_rows_they_come_from(
    duck: duckdb.DuckDBPyConnection, orders: Path, tmp_path: Path
) -> None:
    rows = Rows(duck, (orders,), tmp_path / "own")
    rules = parsed(suggest_rules(rows, SPEC, as_of=AS_OF))
    assert len({rule.kind for rule in rules}) == 8
    broken = {name: said for name, said in passing(rules, rows).items() if not said.startswith("passed")}
    assert broken == {}


def test_what_is_suggested_follows_from_what_was_seen(
    duck: duckdb.DuckDBPyConnection, orders: Path, tmp_path: Path
) -> None:
    rows = Rows(duck, (orders,), tmp_path / "own")
    found = {
        (s.keys[0][1], str(dict(s.keys).get("columns"))): dict(s.keys) for s in suggest_rules(rows, SPEC, as_of=AS_OF)
    }
    assert found["unique", "['id']"]["level"] == "prevent"
    assert found["pattern", "customer"]["regex"] == "[A-Z]+[0-9]+"
    assert found["set", "flag"]["values"] == [0, 1]
    assert found["range", "amount"]["low"] == 0
    assert found["range", "balance"]["low"] < -50
    assert (found["range", "score"]["low"], found["range", "score"]["high"]) == (0, 1)
    # newest 2024-05-29: 3 days old, no day without cases; 1.5 times that, rounded up
    assert found["freshness", "at"]["within"] == "5d"
    assert {"rare", "free", "constant", "nothing", "endless"}.isdisjoint(
        {columns for kind, columns in found if kind != "not_null"}
    )
    (full,) = [columns for kind, columns in found if kind == "not_null" and "iban" in columns]
    assert "amount" not in full


def test_no_value_of_a_personal_column_is_written_down(
    duck: duckdb.DuckDBPyConnection, orders: Path, tmp_path: Path
) -> None:
    found = suggest_rules(Rows(duck, (orders,), tmp_path / "own"), SPEC, as_of=AS_OF)
    text = "".join(suggestion.as_toml() for suggestion in found)
    assert "IBANs" in text  # a common way of writing is no value
    assert not any(secret in text for secret in ("secret", "DE1", "31337", "3133", "99991"))
    named = {str(dict(s.keys).get("columns")) for s in found if s.keys[0][1] in ("range", "set")}
    assert named.isdisjoint({"iban", "kind_of_person", "salary"})


def test_old_data_get_no_rule_about_freshness(duck: duckdb.DuckDBPyConnection, orders: Path, tmp_path: Path) -> None:
    later = AS_OF + 100 * 86_400_000_000
    found = suggest_rules(Rows(duck, (orders,), tmp_path / "own"), SPEC, as_of=later)
    assert "freshness" not in {s.keys[0][1] for s in found}


def test_few_rows_suggest_nothing(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    file = tmp_path / "few.parquet"
    pq.write_table(pa.table({"id": range(99), "flag": [0] * 99}), file)
    assert suggest_rules(Rows(duck, (file,), tmp_path / "own"), DataSpec("f", "flag", ("id",)), as_of=AS_OF) == ()


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "spec"),
    [
        ("hotel_bookings/hotel_bookings.parquet", DataSpec("h", "is_canceled", ("booking_id",), "booking_date")),
        ("nycflights13/flights.parquet", DataSpec("f", "arr_delay", (), "make_date(year, month, day)")),
    ],
)
def test_suggestions_hold_on_real_data(
    duck: duckdb.DuckDBPyConnection, real_data: Path, tmp_path: Path, file: str, spec: DataSpec
) -> None:
    rows = Rows(duck, (real_data / file,), tmp_path / "own")
    rules = parsed(suggest_rules(rows, spec, as_of=AS_OF))
    assert len(rules) > 10
    assert {n: s for n, s in passing(rules, rows).items() if not s.startswith("passed")} == {}
