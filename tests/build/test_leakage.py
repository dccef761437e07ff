from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from trueup.build.leakage import Leakage, find_leakage
from trueup.build.recipe import Task
from trueup.build.runner import ModelRunner
from trueup.data.history import History, HistoryColumn
from trueup.kernel.periods import NEVER

DAY = 86_400_000_000
ROWS = 3000


def history_of(
    folder: Path, table: pa.Table, *, roles: dict[str, str], outcome: NDArray[np.float64], known: NDArray[np.int64]
) -> History:
    """Build the record by hand; the event time is the column `happened`, outcomes are final 30 days later."""
    pq.write_table(table, folder / "table.parquet")
    kinds = {pa.string(): "category", pa.large_string(): "category", pa.timestamp("us"): "date"}
    event_time = table["happened"].cast(pa.int64()).to_numpy()
    return History(
        folder=folder,
        table_version="1",
        rows=table.num_rows,
        columns=tuple(
            HistoryColumn(f.name, kinds.get(f.type, "number"), roles.get(f.name, "feature")) for f in table.schema
        ),
        classes=(),
        event_time=event_time,
        known_at=known,
        final_at=event_time + 30 * DAY,
        outcome=outcome,
        payoffs=None,
        baseline=None,
        unit_hash=np.zeros(table.num_rows, dtype=np.uint64),
        data_end=int(event_time[-1]) + 1,
    )


def loans(folder: Path, *, role_of_closed: str = "feature") -> History:
    """Loans with honest columns, and three that were written after the decision."""
    random = np.random.default_rng(5)
    happened = np.sort(random.integers(0, 400 * DAY, ROWS))
    income = random.normal(3000, 800, ROWS)
    bad = (random.random(ROWS) < 1 / (1 + np.exp((income - 2500) / 500))).astype(np.float64)
    # a good loan is closed as planned, a bad one before
    planned = happened + random.integers(20, 60, ROWS) * DAY
    closed = planned - np.where(bad == 1, random.integers(1, 15, ROWS), 0) * DAY
    table = pa.table(
        {
            "happened": pa.array(happened, pa.timestamp("us")),
            "income": income,
            "region": random.choice(["north", "south"], ROWS),
            "planned": pa.array(planned, pa.timestamp("us")),
            "closed": pa.array(closed, pa.timestamp("us")),
            "state": np.where(bad == 1, "written off", np.where(random.random(ROWS) < 0.5, "paid", "late")),
            "bad": bad,
            "reminders": random.poisson(0.5 + bad),
        }
    )
    roles = {"happened": "time", "bad": "label", "closed": role_of_closed, "reminders": "excluded"}
    return history_of(folder, table, roles=roles, outcome=bad, known=closed)


def search(runner: ModelRunner, history: History, task: Task = "binary") -> Leakage:
    return find_leakage(runner, history, task=task, rows=np.flatnonzero(history.final_at < NEVER))


def test_columns_written_after_the_decision_are_named_and_honest_ones_are_not(
    tmp_path: Path, runner: ModelRunner
) -> None:
    found = search(runner, loans(tmp_path))
    assert [(s.column, s.kind) for s in found.suspicions] == [("closed", "written-after"), ("state", "explains-alone")]
    closed = found.suspicions[0]
    assert '"planned"' in closed.why
    assert "when the outcome became known" in closed.why
    assert closed.notice().code == "data.leakage-suspected"
    assert "Add it to data.exclude" in closed.notice().message


def test_a_column_is_found_also_where_it_is_excluded(tmp_path: Path, runner: ModelRunner) -> None:
    found = search(runner, loans(tmp_path, role_of_closed="label_known_at"))
    assert [s.column for s in found.suspicions] == ["closed", "state"]
    assert "left out of the features" in found.suspicions[0].notice().message


def test_each_suspected_or_excluded_column_comes_with_the_effect_of_keeping_it(
    tmp_path: Path, runner: ModelRunner
) -> None:
    found = search(runner, loans(tmp_path))
    assert [effect.column for effect in found.effects] == ["reminders"]
    state, reminders = found.effect_of_keeping("state"), found.effect_of_keeping("reminders")
    assert state is not None
    assert reminders is not None
    assert state.kept == 1.0
    assert state.without == reminders.without
    assert state.effect > 0.1
    assert 0.0 < reminders.effect < state.effect
    assert found.effect_of_keeping("income") is None


def test_columns_that_add_up_to_the_label_are_named(tmp_path: Path, runner: ModelRunner) -> None:
    random = np.random.default_rng(1)
    members, guests = random.poisson(50, ROWS), random.poisson(50, ROWS)
    table = pa.table(
        {
            "happened": pa.array(np.arange(ROWS) * DAY, pa.timestamp("us")),
            "warm": random.normal(0, 1, ROWS),
            "members": members,
            "guests": guests,
            "rides": members + guests,
        }
    )
    outcome = (members + guests).astype(np.float64)
    known = np.arange(ROWS, dtype=np.int64) * DAY + DAY
    history = history_of(tmp_path, table, roles={"happened": "time", "rides": "label"}, outcome=outcome, known=known)
    found = search(runner, history, "regression")
    assert [(s.column, s.kind) for s in found.suspicions] == [("members", "adds-up"), ("guests", "adds-up")]
    assert found.suspicions[0].why == "members + guests is the outcome"
    keeping = found.effect_of_keeping("members")
    assert keeping is not None
    assert keeping.metric == "MAE"
    assert keeping.effect < -1


def test_several_classes_are_searched_too(tmp_path: Path, runner: ModelRunner) -> None:
    random = np.random.default_rng(2)
    outcome = random.integers(0, 3, ROWS).astype(np.float64)
    table = pa.table(
        {
            "happened": pa.array(np.arange(ROWS) * DAY, pa.timestamp("us")),
            "noise": random.normal(0, 1, ROWS),
            "result": np.array(["lost", "drawn", "won"])[outcome.astype(int)],
        }
    )
    history = history_of(tmp_path, table, roles={"happened": "time"}, outcome=outcome, known=np.full(ROWS, NEVER))
    assert [s.column for s in search(runner, history, "multiclass").suspicions] == ["result"]


def test_two_searches_find_the_same(tmp_path: Path, runner: ModelRunner) -> None:
    history = loans(tmp_path)
    assert search(runner, history) == search(runner, history)


def test_too_few_rows_are_not_searched(tmp_path: Path, runner: ModelRunner) -> None:
    assert find_leakage(runner, loans(tmp_path), task="binary", rows=np.arange(199)) == Leakage((), ())


@pytest.mark.data
@pytest.mark.parametrize("told", [True, False])
def test_hotel_bookings_give_away_their_status_and_its_date(
    real_data: Path, tmp_path: Path, runner: ModelRunner, told: bool
) -> None:
    table = pq.read_table(real_data / "hotel_bookings" / "hotel_bookings.parquet").sort_by("booking_date")
    table = table.add_column(0, "happened", table["booking_date"])
    roles = {"is_canceled": "label", "booking_id": "case_id", "booking_date": "time", "happened": "time"}
    after_the_fact = ["assigned_room_type", "country", "booking_changes", "required_car_parking_spaces"]
    if told:
        roles |= dict.fromkeys([*after_the_fact, "reservation_status", "reservation_status_date"], "excluded")
    known = table["reservation_status_date"].cast(pa.int64()).to_numpy()
    outcome = table["is_canceled"].to_numpy().astype(np.float64)
    found = search(runner, history_of(tmp_path, table, roles=roles, outcome=outcome, known=known))
    # the identifiers were given in the order of hotel, outcome and arrival: they do tell, and are no feature
    assert [s.column for s in found.suspicions] == ["booking_id", "reservation_status", "reservation_status_date"]
    if told:
        gains = {name: found.effect_of_keeping(name) for name in after_the_fact}
        assert all(gain is not None and 0 < gain.effect < 0.1 for gain in gains.values())


@pytest.mark.data
def test_bike_sharing_gives_away_its_two_parts(real_data: Path, tmp_path: Path, runner: ModelRunner) -> None:
    table = pq.read_table(real_data / "bike_sharing" / "hour.parquet").sort_by("ts")
    table = table.add_column(0, "happened", table["ts"])
    known = table["ts"].cast(pa.int64()).to_numpy()
    history = history_of(
        tmp_path,
        table,
        roles={"cnt": "label", "ts": "time", "happened": "time"},
        outcome=table["cnt"].to_numpy().astype(np.float64),
        known=known,
    )
    found = search(runner, history, "regression")
    assert [s.why for s in found.suspicions] == ["casual + registered is the outcome"] * 2
