"""Joined counts are those of the rows themselves, as known at a moment, and no row is lost silently."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from trueup.data.outcome_counts import (
    NotJoinable,
    OutcomeFiles,
    PredictionFiles,
    count_late_outcomes,
    count_outcomes,
)
from trueup.measure.gaincounts import Top, count_gains, top_by_gain
from trueup.measure.scorecounts import auc_from, calibration_error_from, count_scores, log_loss_from, merge_scores

DAY = 86_400_000_000
MAY = datetime(2023, 5, 1)
AS_OF = 1_684_000_000_000_000  # 2023-05-13T17:46:40Z
MAY_FIRST = 19_478  # days from 1970-01-01 to 2023-05-01: 53 * 365 + 13 leap days + 120


def written(path: Path, table: pa.Table, **how: Any) -> Path:
    pq.write_table(table, path, **how)
    return path


def predictions_in(folder: Path, rows: list[tuple[Any, Any, Any]], name: str = "p") -> PredictionFiles:
    ids, times, scores = zip(*rows, strict=True)
    table = pa.table(
        {
            "prediction_id": pa.array(ids, pa.int64()),
            "event_time": pa.array(times, pa.timestamp("us")),
            "score": pa.array(scores, pa.float64()),
        }
    )
    return PredictionFiles([written(folder / f"{name}.parquet", table)])


def outcomes_in(folder: Path, rows: list[tuple[Any, Any, Any]], name: str = "o") -> OutcomeFiles:
    ids, values, known = zip(*rows, strict=True)
    table = pa.table(
        {
            "prediction_id": pa.array(ids, pa.int64()),
            "outcome": pa.array(values, pa.float64()),
            "known_at": pa.array(known, pa.timestamp("us")),
            "paid": pa.array([None if v is None else 10.0 * v for v in values], pa.float64()),
        }
    )
    return OutcomeFiles([written(folder / f"{name}.parquet", table)], payoff_if_acted="paid")


def test_every_row_is_in_one_of_the_counts(tmp_path: Path) -> None:
    predictions = predictions_in(
        tmp_path,
        [
            (1, MAY, 0.25),
            (2, MAY + timedelta(hours=23), 1.0),
            (3, MAY + timedelta(days=1), 0.5),  # known too late
            (4, MAY + timedelta(days=1), 0.5),  # never known
            (5, MAY + timedelta(days=1), 0.75),  # taken back
            (6, MAY, None),
            (7, MAY, float("nan")),
            (8, MAY, 1.5),
            (9, None, 0.5),
        ],
    )
    outcomes = outcomes_in(
        tmp_path,
        [
            (1, 0.0, MAY + timedelta(days=1)),
            (1, 1.0, MAY + timedelta(days=2)),  # the latest that was known
            (1, 0.0, datetime(2023, 6, 1)),
            (2, 0.0, MAY),
            (3, 1.0, datetime(2023, 5, 20)),
            (5, 1.0, MAY),
            (5, None, MAY + timedelta(days=1)),
            (6, 1.0, MAY),
            (9, 1.0, MAY),
            (77, 1.0, MAY),
            (None, 1.0, MAY),
            (4, 1.0, None),
        ],
    )
    found = count_outcomes(predictions, outcomes, as_of=AS_OF, scratch=tmp_path / "scratch")
    assert list(found.days) == [MAY_FIRST, MAY_FIRST + 1]
    first, second = found.days.values()
    assert first.cases.nonzero()[0].tolist() == [500, 1999]
    assert first.positives.nonzero()[0].tolist() == [500]
    assert first.gain.sum() == 10.0
    assert auc_from(first) == 0.0
    assert first.losses[500] == pytest.approx(-math.log(0.25))
    assert first.losses[1999] == pytest.approx(52 * math.log(2))  # sure, and wrong: 1 - score counts as 2**-52
    assert second.cases.sum() == 3
    assert second.final.sum() == 0
    assert (found.predictions, found.without_score, found.without_time, found.waiting) == (9, 3, 1, 3)
    assert (found.outcome_rows, found.not_known_yet, found.superseded, found.without_prediction) == (12, 3, 2, 2)


def many(rows: int) -> tuple[pa.Table, pa.Table]:
    rng = np.random.default_rng(4)
    score = rng.beta(1.0, 4.0, rows)
    outcome = (rng.random(rows) < score).astype(np.int8)
    at = np.sort(rng.integers(0, 5 * DAY, rows))
    predictions = pa.table(
        {"prediction_id": np.arange(rows), "event_time": pa.array(at, pa.timestamp("us")), "score": score}
    )
    outcomes = pa.table(
        {
            "prediction_id": np.arange(rows),
            "outcome": outcome,
            "known_at": pa.array(at + DAY, pa.timestamp("us")),
            "acted": np.where(outcome == 1, -30.0, -55.0),
            "not": rng.normal(size=rows),
        }
    )
    return predictions, outcomes.take(pa.array(rng.permutation(rows)))


def test_days_equal_the_rows_and_scikit_learn(tmp_path: Path) -> None:
    predictions, outcomes = many(50_000)
    found = count_outcomes(
        PredictionFiles([written(tmp_path / "p.parquet", predictions)]),
        OutcomeFiles([written(tmp_path / "o.parquet", outcomes)], payoff_if_acted="acted", payoff_if_not="not"),
        as_of=100 * DAY,
        scratch=tmp_path,
        memory_limit_mb=256,
    )
    ordered = outcomes.sort_by("prediction_id")
    day = predictions["event_time"].to_numpy().astype("datetime64[D]").astype(np.int64)
    score, outcome = predictions["score"].to_numpy(), ordered["outcome"].to_numpy().astype(np.float64)
    assert list(found.days) == [0, 1, 2, 3, 4]
    for number, counts in found.days.items():
        own = day == number
        by_hand = count_scores(
            score[own],
            outcome[own],
            payoff_if_acted=ordered["acted"].to_numpy()[own],
            payoff_if_not=ordered["not"].to_numpy()[own],
        )
        assert np.allclose(counts.table, by_hand.table, rtol=1e-12, atol=1e-9)
        assert auc_from(counts) == pytest.approx(roc_auc_score(outcome[own], score[own]), abs=1e-4)
        assert log_loss_from(counts) == pytest.approx(log_loss(outcome[own], score[own]), rel=1e-12)
        assert calibration_error_from(counts) == pytest.approx(calibration_error_from(by_hand), abs=1e-12)


def test_days_by_expected_gain_equal_the_rows(tmp_path: Path) -> None:
    predictions, outcomes = many(20_000)
    rng = np.random.default_rng(9)
    edges = np.ldexp(1.0, rng.integers(-1074, 1000, 3_000))
    awkward = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, 0.0), [0.0, -0.0, 5e-324, 1e308]])
    gain = np.concatenate([awkward, -awkward, rng.lognormal(3, 2, 10_000)])[: len(predictions)]
    gain = rng.permutation(np.resize(gain, len(predictions)))
    missing = rng.random(len(predictions)) < 0.01
    told = np.where(missing, rng.choice([np.nan, np.inf, -np.inf], len(predictions)), gain)
    found = count_outcomes(
        PredictionFiles(
            [written(tmp_path / "p.parquet", predictions.append_column("gain", pa.array(told)))], expected_gain="gain"
        ),
        OutcomeFiles([written(tmp_path / "o.parquet", outcomes)], payoff_if_acted="acted", payoff_if_not="not"),
        as_of=100 * DAY,
        scratch=tmp_path,
    )
    ordered = outcomes.sort_by("prediction_id")
    day = predictions["event_time"].to_numpy().astype("datetime64[D]").astype(np.int64)
    assert list(found.gains) == list(found.days) == [0, 1, 2, 3, 4]
    assert found.without_gain == missing.sum()
    for number, counts in found.gains.items():
        own = (day == number) & ~missing
        by_hand = count_gains(
            gain[own],
            ordered["outcome"].to_numpy()[own].astype(np.float64),
            payoff_if_acted=ordered["acted"].to_numpy()[own],
            payoff_if_not=ordered["not"].to_numpy()[own],
        )
        assert np.array_equal(counts.keys, by_hand.keys)
        assert np.allclose(counts.table, by_hand.table, rtol=1e-12, atol=1e-9)


def test_a_prediction_without_a_score_or_a_time_is_told_beside_its_gain(tmp_path: Path) -> None:
    table = pa.table(
        {
            "prediction_id": [1, 2, 3, 4],
            "event_time": pa.array([MAY, None, MAY, MAY], pa.timestamp("us")),
            "score": [None, 0.5, 0.5, 0.5],
            "gain": pa.array([2.0, 3.0, None, -4.0], pa.float64()),
        }
    )
    predictions = PredictionFiles([written(tmp_path / "p.parquet", table)], expected_gain="gain")
    found = count_outcomes(predictions, outcomes_in(tmp_path, [(4, 1.0, MAY)]), as_of=AS_OF, scratch=tmp_path)
    assert (found.without_gain, found.without_score, found.without_time) == (1, 1, 1)
    assert list(found.gains) == [MAY_FIRST]
    assert found.gains[MAY_FIRST].cases.sum() == 2
    assert top_by_gain(found.gains[MAY_FIRST], 5) == Top(cases=1.0, positives=1.0, expected=-4.0, realised=10.0)


def test_late_batches_add_up_to_the_whole(tmp_path: Path) -> None:
    predictions, outcomes = many(3_000)
    files = PredictionFiles([written(tmp_path / "p.parquet", predictions, row_group_size=500)])
    whole = count_outcomes(
        files, OutcomeFiles([written(tmp_path / "o.parquet", outcomes)]), as_of=100 * DAY, scratch=tmp_path
    )
    begun = count_outcomes(
        files,
        OutcomeFiles([written(tmp_path / "first.parquet", outcomes.slice(0, 1_000))]),
        as_of=100 * DAY,
        scratch=tmp_path,
    )
    late = OutcomeFiles([written(tmp_path / "late.parquet", outcomes.slice(1_000))])
    more = count_late_outcomes(files, late, as_of=100 * DAY, scratch=tmp_path)
    assert begun.waiting == 2_000
    for day, counts in whole.days.items():
        assert np.allclose(merge_scores(begun.days[day], more[day]).table, counts.table, rtol=1e-12)
    assert reduce(merge_scores, more.values()).cases.sum() == 0


def test_predictions_before_1970_and_yes_no_outcomes_are_counted(tmp_path: Path) -> None:
    predictions = predictions_in(tmp_path, [(1, datetime(1969, 12, 31, 23), 0.5)])
    table = pa.table({"prediction_id": [1], "outcome": [True]})
    outcomes = OutcomeFiles([written(tmp_path / "o.parquet", table)], known_at=None)
    found = count_outcomes(predictions, outcomes, as_of=AS_OF, scratch=tmp_path)
    assert list(found.days) == [-1]
    assert found.days[-1].positives.sum() == 1


def test_a_key_of_two_predictions_is_refused(tmp_path: Path) -> None:
    predictions = predictions_in(tmp_path, [(1, MAY, 0.5), (1, MAY, 0.6)])
    with pytest.raises(NotJoinable, match="1 predictions have the prediction_id of another one"):
        count_outcomes(predictions, outcomes_in(tmp_path, [(1, 1.0, MAY)]), as_of=AS_OF, scratch=tmp_path)


def test_what_cannot_be_joined_says_why(tmp_path: Path) -> None:
    predictions = predictions_in(tmp_path, [(1, MAY, 0.5)])
    outcomes = outcomes_in(tmp_path, [(1, 1.0, MAY)])
    with pytest.raises(NotJoinable, match="label"):
        count_outcomes(predictions, OutcomeFiles(outcomes.files, outcome="label"), as_of=AS_OF, scratch=tmp_path)
    with pytest.raises(NotJoinable, match="no file"):
        count_outcomes(predictions, OutcomeFiles([]), as_of=AS_OF, scratch=tmp_path)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1")
    with pytest.raises(NotJoinable, match="cannot be joined"):
        count_outcomes(predictions, OutcomeFiles([broken]), as_of=AS_OF, scratch=tmp_path)
