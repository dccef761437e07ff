"""The flights example: where does refitting pay, and does the recommendation follow the money?"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from trueup.align.project_file import read_project
from trueup.data.ingest import ingest
from trueup.kernel.periods import moment_of
from trueup.lake.rehearsals import Rehearsal, Strategy
from trueup.loop.prepare import Workspace, open_tables, table_name
from trueup.loop.rehearse import rehearse

pytestmark = [pytest.mark.data, pytest.mark.timeout(900)]
EXAMPLE = Path(__file__).parents[2] / "examples" / "nycflights13"
PREPARED = "flights_with_weather.parquet"
AS_OF = moment_of(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


def prepare(folder: Path, real_data: Path) -> Path:
    """Run the example's one command in a copy of it, and return the file it writes."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".trueup", "*.parquet"))
    environment = {**os.environ, "TRUEUP_TEST_DATA": str(real_data)}
    subprocess.run([sys.executable, "prepare.py"], cwd=folder, env=environment, check=True, capture_output=True)
    return folder / PREPARED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Path:
    folder = tmp_path_factory.mktemp("nycflights13")
    prepare(folder, real_data)
    project = read_project(folder)
    tables = open_tables(Workspace(folder / ".trueup"))
    ingest(str(project.data.source), tables=tables, name=table_name(project), as_of=AS_OF, base=folder)
    return folder


def rehearsed(folder: Path, retraining_cost: float | None = None) -> Rehearsal:
    project = read_project(folder)
    if retraining_cost is not None:
        project = replace(project, charter=replace(project.charter, retraining_cost=retraining_cost))
    return rehearse(project, Workspace(folder / ".trueup"), only=("as-agreed",), guided=False)


@pytest.fixture(scope="module")
def flights(folder: Path) -> Rehearsal:
    return rehearsed(folder)


def named(rehearsal: Rehearsal, name: str) -> Strategy:
    return next(s for s in rehearsal.strategies if s.name == name)


def auc_by_month(strategy: Strategy) -> dict[str, float]:
    return {w.start[:7]: w.auc or 0.0 for w in strategy.windows}


def gains_by_month(rehearsal: Rehearsal) -> dict[str, float]:
    never, refitted = named(rehearsal, "never"), named(rehearsal, "as-agreed")
    pairs = zip(never.windows, refitted.windows, strict=True)
    return {one.start[:7]: (two.value or 0.0) - (one.value or 0.0) for one, two in pairs}


def test_preparing_keeps_every_flight_in_order_and_writes_the_same_bytes_again(
    folder: Path, tmp_path: Path, real_data: Path
) -> None:
    first = folder / PREPARED
    assert prepare(tmp_path / "again", real_data).read_bytes() == first.read_bytes()
    flights = pq.read_table(real_data / "nycflights13" / "flights.parquet")
    kept = pq.read_table(first)
    assert [name for name in flights.column_names if kept[name].to_pylist() != flights[name].to_pylist()] == []


def test_a_flight_gets_the_weather_of_the_hour_before_its_schedule(folder: Path, real_data: Path) -> None:
    prepared = pq.read_table(folder / PREPARED).slice(0, 1).to_pylist()[0]
    assert (prepared["origin"], prepared["sched_dep_minute"]) == ("EWR", 5 * 60 + 15)
    hours = pq.read_table(real_data / "nycflights13" / "weather.parquet").to_pylist()
    known = {h["hour"]: h["temp"] for h in hours if (h["origin"], h["month"], h["day"]) == ("EWR", 1, 1)}
    assert prepared["temp"] == known[4] != known[5]


def test_auc_follows_the_reference_with_and_without_refitting(flights: Rehearsal) -> None:
    # the table in the README of nycflights13; it joined the weather of the flight's own hour, known a little too late
    static = [0.683, 0.745, 0.733, 0.727, 0.726, 0.701, 0.693, 0.695, 0.727]
    refitted = [0.683, 0.761, 0.759, 0.765, 0.750, 0.749, 0.715, 0.686, 0.733]
    for name, reference in (("never", static), ("as-agreed", refitted)):
        assert list(auc_by_month(named(flights, name)).values()) == pytest.approx(reference, abs=0.025), name


def test_september_gains_the_most_auc_by_refitting(flights: Rehearsal) -> None:
    static, refitted = auc_by_month(named(flights, "never")), auc_by_month(named(flights, "as-agreed"))
    gains = {month: refitted[month] - auc for month, auc in static.items()}
    assert max(gains, key=lambda month: gains[month]) == "2013-09"
    assert sorted(gains.values())[-1] > 0.045 > sorted(gains.values())[-2]


def test_in_money_refitting_gains_little_in_most_months_and_most_in_may_not_september(flights: Rehearsal) -> None:
    gains = gains_by_month(flights)
    assert gains.pop("2013-04") == 0  # both strategies start with the same model
    usual_month = named(flights, "never").value / 9
    assert max(gains, key=lambda month: gains[month]) == "2013-05"
    assert [month for month, gain in gains.items() if gain > 0.2 * usual_month] == ["2013-05"]
    # more AUC is not more money: on most days the 50 flights are full of delays for either model, or there are few
    assert gains["2013-09"] < 0.1 * usual_month


def test_the_centre_never_handles_more_than_50_flights_a_day(flights: Rehearsal) -> None:
    assert [s.max_cases_in_period for s in flights.strategies] == [50, 50]


def test_retraining_is_recommended_at_its_own_cost(flights: Rehearsal) -> None:
    assert flights.recommended == "as-agreed"
    assert named(flights, "as-agreed").net_value > named(flights, "never").net_value


def test_dear_retraining_is_refused_with_the_reason_in_money(folder: Path, flights: Rehearsal) -> None:
    dear = rehearsed(folder, retraining_cost=3_000)
    never, refitted = named(dear, "never"), named(dear, "as-agreed")
    assert refitted.value == named(flights, "as-agreed").value  # the same models, priced otherwise
    assert dear.recommended == "never"
    assert "retraining is not worth it" in dear.reason
    assert f"${never.net_value - refitted.net_value:,.0f} less" in dear.reason
