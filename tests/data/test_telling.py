"""A table becomes a history: what happened, when, and when it was known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.align.charter import PayoffMatrix, PayoffPerCase, Project
from trueup.align.project_file import parse_project
from trueup.data.duck import connect
from trueup.data.history import History
from trueup.data.outcomes import LabelError
from trueup.data.pricing import CasePricer
from trueup.data.telling import HistoryError, MissingColumn, tell_history
from trueup.kernel.periods import NEVER, local_moment

PROJECT = """
[project]
name = "loans"
title = "Loans"
[charter]
objective = "x"
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "s@example.com"
[charter.payoff]
true_positive = "-5"
false_positive = "-5"
false_negative = "-2 * amount"
true_negative = "0"
[data]
source = "x.parquet"
case_id = "case"
time = "applied"
label = "bad"
label_known_at = "confirmed"
label_final_at = "applied + INTERVAL 10 DAY"
exclude = ["note"]
personal = ["iban"]
"""


def day(number: int) -> int:
    return local_moment(2016, 7, number, timezone="Europe/Berlin")


def times(*numbers: int | None) -> pa.Array:
    """Return local midnights of July 2016, as a table without time zones holds them."""
    july = np.datetime64("2016-06-30")
    return pa.array(
        [None if n is None else (july + n).astype("datetime64[us]").item() for n in numbers], pa.timestamp("us")
    )


def loans(**columns: Any) -> pa.Table:
    table = {
        "case": [4, 3, 2, 1],
        "applied": times(3, 1, 2, 1),
        "amount": [400.0, 300.0, 200.0, 100.0],
        "broker": ["a", "b", None, "a"],
        "bad": [True, False, None, True],
        "confirmed": times(5, None, None, 20),
        "note": ["x", "y", "z", "x"],
        "iban": ["i1", "i2", "i3", "i4"],
    }
    return pa.table({**table, **columns})


def told(folder: Path, table: pa.Table, project: Project | None = None, **data: Any) -> History:
    project = project or parse_project(PROJECT, folder=str(folder))
    project = replace(project, data=replace(project.data, **data))
    source = folder / "source.parquet"
    pq.write_table(table, source)
    connection = connect(temp_directory=folder / "spill")
    try:
        return tell_history(
            project, connection=connection, file_uris=[str(source)], table_version="loans@0", folder=folder / "history"
        )
    finally:
        connection.close()


def test_cases_stand_in_the_order_they_happened_then_by_id(tmp_path: Path) -> None:
    history = told(tmp_path, loans())
    assert pq.read_table(history.table_path)["case"].to_pylist() == [1, 3, 2, 4]
    assert history.event_time.tolist() == [day(1), day(1), day(2), day(3)]


def test_no_news_by_the_final_day_means_the_negative_outcome(tmp_path: Path) -> None:
    history = told(tmp_path, loans())
    assert history.outcome.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert history.classes == ("False", "True")


def test_an_outcome_is_final_when_the_charter_says_or_when_late_news_came(tmp_path: Path) -> None:
    history = told(tmp_path, loans())
    # case 1 was confirmed on the 20th, after its final day, the 11th
    assert history.final_at.tolist() == [day(20), day(11), day(12), day(13)]
    assert {n.code for n in history.notices} == {"data.outcomes-after-final"}


def test_the_data_end_with_the_latest_event_or_news(tmp_path: Path) -> None:
    assert told(tmp_path, loans()).data_end == day(20) + 1


def test_payoffs_are_evaluated_for_every_case(tmp_path: Path) -> None:
    history = told(tmp_path, loans())
    assert history.payoffs is not None
    assert history.payoffs[:, 2].tolist() == [-200.0, -600.0, -400.0, -800.0]
    assert history.payoffs[:, 0].tolist() == [-5.0] * 4


def test_a_payoff_per_case_gives_the_same_four_cells(tmp_path: Path) -> None:
    project = parse_project(PROJECT, folder=str(tmp_path))
    text = "CASE WHEN prediction = 1 THEN -5 WHEN outcome = 1 THEN -2 * amount ELSE 0 END"
    per_case = replace(project, charter=replace(project.charter, payoff=PayoffPerCase(text)))
    assert np.array_equal(
        np.asarray(told(tmp_path, loans(), per_case).payoffs), np.asarray(told(tmp_path, loans()).payoffs)
    )


def test_only_columns_known_before_the_decision_are_features(tmp_path: Path) -> None:
    roles = {c.name: c.role for c in told(tmp_path, loans()).columns}
    assert roles == {
        "case": "case_id",
        "applied": "time",
        "amount": "feature",
        "broker": "feature",
        "bad": "label",
        "confirmed": "label_known_at",
        "note": "excluded",
        "iban": "personal",
    }


def test_without_any_delay_outcomes_count_as_known_at_once_and_it_is_said(tmp_path: Path) -> None:
    table = loans(bad=[True, False, False, True])
    history = told(tmp_path, table, label_known_at=None, label_final_at=None)
    assert history.final_at.tolist() == history.event_time.tolist()
    assert "data.label-delay-missing" in {n.code for n in history.notices}


def test_an_empty_label_without_a_final_day_is_never_an_outcome(tmp_path: Path) -> None:
    history = told(tmp_path, loans(), label_known_at=None, label_final_at=None)
    assert history.final_at[2] == NEVER
    assert np.isnan(history.outcome[2])


def test_rows_without_a_time_are_left_out_and_counted(tmp_path: Path) -> None:
    history = told(tmp_path, loans(applied=times(3, None, 2, 1)))
    assert history.rows == 3
    assert "1 of 4 rows" in next(n.message for n in history.notices if n.code == "data.rows-without-time")


def test_rows_of_one_moment_keep_their_order_when_no_id_is_given(tmp_path: Path) -> None:
    rows = 50_000
    table = pa.table(
        {"applied": times(*[1] * rows), "amount": np.arange(rows, dtype=float), "bad": np.arange(rows) % 2 == 0}
    )
    project = parse_project(PROJECT, folder=str(tmp_path))
    project = replace(project, charter=replace(project.charter, payoff=PayoffMatrix("0", "0", "0", "0")))
    history = told(
        tmp_path, table, project, case_id=(), label_known_at=None, label_final_at=None, exclude=(), personal=()
    )
    assert pq.read_table(history.table_path)["amount"].to_pylist() == list(range(rows))


def test_a_label_of_yes_and_no_is_read_as_people_mean_it(tmp_path: Path) -> None:
    history = told(tmp_path, loans(bad=["Yes", "No", "No", "Yes"]))
    assert history.outcome.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert history.classes == ("No", "Yes")


def test_a_label_may_be_a_condition_and_its_columns_are_no_features(tmp_path: Path) -> None:
    history = told(tmp_path, loans(), label="amount > 250")
    assert history.outcome.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert next(c.role for c in history.columns if c.name == "amount") == "label"


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ([True] * 4, "same value in all 4 rows"),
        ([1, 2, 3, 1], "3 different values"),
        (["a", "b", "a", "b"], "which one is the positive"),
        ([None] * 4, "empty in every row"),
    ],
)
def test_a_label_that_cannot_be_learned_is_refused_with_what_to_do(tmp_path: Path, label: list[Any], says: str) -> None:
    with pytest.raises(LabelError, match=says):
        told(tmp_path, loans(bad=pa.array(label)), label_known_at=None, label_final_at=None)


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    project = parse_project(PROJECT.replace("-2 * amount", "-2 * amonut"), folder=str(tmp_path))
    with pytest.raises(MissingColumn, match=r'"amonut".*did you mean "amount"'):
        told(tmp_path, loans(), project)


def test_times_written_as_text_are_refused_with_how_to_write_them(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="2016-05-31"):
        told(tmp_path, loans(applied=["3/7", "1/7", "2/7", "1/7"]), label_known_at=None, label_final_at=None)


def test_guards_and_kpis_are_evaluated_over_the_cases(tmp_path: Path) -> None:
    history = told(tmp_path, loans())
    connection = connect(temp_directory=tmp_path / "spill")
    pricer = CasePricer(history, connection)
    ways = pricer.truth_table("acted AND NOT outcome AND amount > 150")
    assert ways[:, 1].tolist() == [False, True, True, True]
    assert not ways[:, [0, 2, 3]].any()
    assert pricer.truth_table("acted AND outcome").tolist() == [[True, False, False, False]]
    rows, acted = np.arange(4), np.array([True, True, False, False])
    caught = "count(*) FILTER (acted AND outcome) / count(*) FILTER (outcome)"
    outcome, score = np.asarray(history.outcome), np.zeros(4)
    assert pricer.kpi(caught, rows=rows, acted=acted, outcome=outcome, score=score) == 0.5
    assert pricer.kpi(caught, rows=rows, acted=acted, outcome=np.zeros(4), score=score) is None
    assert pricer.kpi("sum(amount) FILTER (acted)", rows=rows, acted=acted, outcome=outcome, score=score) == 400.0
    connection.close()


def test_a_prediction_is_priced_by_the_signed_expression(tmp_path: Path) -> None:
    history = told(tmp_path, loans())
    connection = connect(temp_directory=tmp_path / "spill")
    paid = CasePricer(history, connection).payoffs_of(
        "-3 * greatest(outcome - prediction, 0) - greatest(prediction - outcome, 0) + 0 * amount",
        rows=slice(1, 4),
        prediction=np.array([1.0, 5.0, 5.0]),
        outcome=np.array([3.0, 3.0, np.nan]),
    )
    assert paid[:2].tolist() == [-6.0, -2.0]
    assert np.isnan(paid[2])
    connection.close()
