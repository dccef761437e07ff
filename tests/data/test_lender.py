"""Does the simulated lender keep what its docstring promises?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from trueup.data import lender

DAY = np.timedelta64(1, "D")
Numbers = NDArray[np.float64]


@pytest.fixture(scope="module")
def drifting() -> lender.Columns:
    return lender.simulate(seed=7)


@pytest.fixture(scope="module")
def steady() -> lender.Columns:
    return lender.simulate(seed=7, drift=False)


def _days(columns: lender.Columns) -> NDArray[np.int64]:
    return ((columns["applied_at"] - np.datetime64(lender.FIRST_DAY, "us")) / DAY).astype(np.int64)


def _features(columns: lender.Columns) -> Numbers:
    names = ("channel", "broker", "device", "age_band")
    codes = [np.unique(columns[name], return_inverse=True)[1] for name in names]
    numbers = ("amount", "monthly_income", "job_tenure_years", "device_known_days", "ip_distance_km")
    hour = (columns["applied_at"] - columns["applied_at"].astype("datetime64[D]")) / np.timedelta64(1, "h")
    return np.column_stack([*codes, *(columns[name] for name in numbers), hour])


def _auc_of_last_quarter(columns: lender.Columns, *, trained_until_day: int) -> float:
    day, features, fraud = _days(columns), _features(columns), columns["is_fraud"]
    train, test = day < trained_until_day, (day >= 640) & (day < 730)
    model = HistGradientBoostingClassifier(
        max_iter=60, min_samples_leaf=40, random_state=0, categorical_features=[0, 1, 2, 3]
    ).fit(features[train], fraud[train])
    return float(roc_auc_score(fraud[test], model.predict_proba(features[test])[:, 1]))


def test_the_same_seed_gives_the_same_columns() -> None:
    first, again = lender.simulate(seed=3, days=30), lender.simulate(seed=3, days=30)
    assert all(np.array_equal(first[name].astype(str), again[name].astype(str)) for name in first)


def test_another_seed_gives_other_columns() -> None:
    first, other = lender.simulate(seed=3, days=30), lender.simulate(seed=4, days=30)
    assert len(first["amount"]) != len(other["amount"]) or not np.array_equal(first["amount"], other["amount"])


def test_two_years_hold_about_seventy_thousand_applications_and_two_percent_fraud(drifting: lender.Columns) -> None:
    assert 66_000 < len(drifting["amount"]) < 85_000
    assert 0.018 < drifting["is_fraud"].mean() < 0.026


def test_applications_are_sorted_by_time_and_ids_are_unique(drifting: lender.Columns) -> None:
    assert np.all(np.diff(drifting["applied_at"]) >= np.timedelta64(0, "us"))
    assert len(np.unique(drifting["application_id"])) == len(drifting["application_id"])


def test_only_frauds_are_confirmed_and_between_3_and_44_days_later(drifting: lender.Columns) -> None:
    confirmed = ~np.isnat(drifting["confirmed_at"])
    assert np.array_equal(confirmed, drifting["is_fraud"] == 1)
    delay = (drifting["confirmed_at"][confirmed] - drifting["applied_at"][confirmed]) / DAY
    assert delay.min() >= 3
    assert delay.max() <= lender.FINAL_AFTER_DAYS - 1
    assert 14 < np.median(delay) < 18


def test_the_last_outcomes_were_waited_for(drifting: lender.Columns) -> None:
    end = np.datetime64(lender.FIRST_DAY, "us") + np.timedelta64(731, "D")
    assert drifting["applied_at"].max() < end < np.nanmax(drifting["confirmed_at"])
    last_weeks = _days(drifting) >= 731 - 28
    assert drifting["is_fraud"][last_weeks].mean() > 0.018


def test_every_weekday_and_hour_has_its_own_volume(drifting: lender.Columns) -> None:
    weekday = (drifting["applied_at"].astype("datetime64[D]").astype(int) + 3) % 7
    counts = np.bincount(weekday)
    assert counts[1] > 1.4 * counts[6]
    hour = drifting["applied_at"].astype("datetime64[h]").astype(int) % 24
    assert np.bincount(hour)[10] > 5 * np.bincount(hour)[3]


def test_the_broken_feed_sends_months_for_two_weeks(drifting: lender.Columns) -> None:
    day, feed = _days(drifting), np.isin(drifting["broker"], lender.BROKEN_FEED)
    first, after = lender.INCIDENT_DAYS
    during = feed & (day >= first) & (day < after)
    before = feed & (day >= first - 14) & (day < first)
    tenure = drifting["job_tenure_years"]
    assert after - first == 14
    assert during.sum() > 50
    assert 8 < np.median(tenure[during]) / np.median(tenure[before]) < 18


def test_without_drift_there_is_no_incident(steady: lender.Columns) -> None:
    assert steady["job_tenure_years"].max() < 60


def test_drift_makes_the_first_years_model_lose_and_a_later_one_win(drifting: lender.Columns) -> None:
    static = _auc_of_last_quarter(drifting, trained_until_day=320)
    refitted = _auc_of_last_quarter(drifting, trained_until_day=595)
    assert static < 0.8
    assert refitted > static + 0.15


def test_without_drift_a_later_model_is_no_better(steady: lender.Columns) -> None:
    static = _auc_of_last_quarter(steady, trained_until_day=320)
    refitted = _auc_of_last_quarter(steady, trained_until_day=595)
    assert static > 0.85
    assert abs(refitted - static) < 0.03


def test_without_drift_fraud_keeps_its_share(steady: lender.Columns) -> None:
    day = _days(steady)
    first, second = (steady["is_fraud"][(day >= a) & (day < a + 365)].mean() for a in (0, 365))
    # two standard errors of a difference of shares of 2 % over 36,500 cases each are 0.2 points
    assert abs(first - second) < 0.003


def test_the_referrer_says_nothing_and_the_collection_stage_gives_the_outcome_away(drifting: lender.Columns) -> None:
    fraud = drifting["is_fraud"] == 1
    search = drifting["referrer"] == "search"
    assert abs(fraud[search].mean() - fraud[~search].mean()) < 0.003
    assert fraud[drifting["collection_stage"] == "legal"].all()


def test_names_and_account_numbers_are_plainly_invented(drifting: lender.Columns) -> None:
    assert all(name.startswith("Invented Person ") for name in drifting["name"][:1000])
    assert all(iban.startswith("ZZ00TEST") for iban in drifting["iban"][:1000])


def test_writing_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "applications.parquet", tmp_path / "b" / "applications.parquet"
    rows = lender.write_applications(first, seed=1, days=20)
    lender.write_applications(second, seed=1, days=20)
    assert first.read_bytes() == second.read_bytes()
    assert [p.name for p in first.parent.iterdir()] == ["applications.parquet"]
    table = pq.read_table(first)
    assert table.num_rows == rows
    assert str(table.schema.field("applied_at").type) == "timestamp[us, tz=UTC]"
    assert table.column("device_known_days").null_count > 0


@pytest.mark.parametrize(("days", "per_day"), [(0, 100.0), (10, 0.0)])
def test_an_empty_world_is_refused_with_the_values_seen(days: int, per_day: float) -> None:
    with pytest.raises(ValueError, match="at least one day"):
        lender.simulate(seed=1, days=days, per_day=per_day)


def test_the_next_applications_follow_the_first_two_years_and_have_ids_of_their_own(drifting: lender.Columns) -> None:
    later = lender.next_applications(days=7, seed=7)
    assert drifting["applied_at"].max() < np.datetime64("2025-01-01")
    assert later["applied_at"].min() >= np.datetime64("2025-01-01")
    assert later["applied_at"].max() < np.datetime64("2025-01-08")
    assert not set(later["application_id"]) & set(drifting["application_id"])
