"""A broken feed is named with its days, its place and its factor; drift, bunches and growing columns are not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from trueup.data.columns import category_codes_of, numbers_of
from trueup.data.lender import BROKEN_FEED, INCIDENT_DAYS, as_table, simulate
from trueup.lake.incidents import DataIncident
from trueup.measure.stretches import Stretch
from trueup.observe.data_incidents import (
    Kind,
    Sign,
    category_signs,
    cause_words,
    factor_words,
    find_incident,
    group_words,
    locate,
    number_signs,
    suspected_factor,
)

Found = dict[tuple[str, Kind], Stretch]
YEAR = 365
LENDERS = ("amount", "monthly_income", "job_tenure_years", "hour_utc", "device_known_days", "ip_distance_km")
LENDERS_WORDS = ("channel", "broker", "device", "age_band", "referrer")


def find(
    columns: Mapping[str, NDArray[np.float64]],
    codes: Mapping[str, NDArray[np.int64]],
    days: NDArray[np.int64],
    past: int,
) -> Found:
    signs: list[tuple[str, Sign]] = []
    for name, values in columns.items():
        signs += [(name, sign) for sign in number_signs(values, days, past=past)]
    for name, of_cases in codes.items():
        signs += [(name, sign) for sign in category_signs(of_cases, days, past=past)]
    found = {(name, s.kind): find_incident(s, days, past=past, looks=len(signs)) for name, s in signs}
    return {key: stretch for key, stretch in found.items() if stretch is not None}


def lender(*, seed: int, drift: bool) -> tuple[Found, NDArray[np.int64], Mapping[str, NDArray[np.int64]]]:
    table = as_table(simulate(seed=seed, per_day=65, drift=drift))
    days = np.asarray(table["applied_at"].to_numpy()).astype("datetime64[D]").astype(np.int64)
    days -= days[0]
    past = int((days < YEAR).sum())
    codes = {name: category_codes_of(table[name])[0] for name in LENDERS_WORDS}
    return find({name: numbers_of(table[name]) for name in LENDERS}, codes, days, past), days, codes


@pytest.mark.parametrize("seed", [7, 1, 2, 3])
def test_the_seeded_incident_is_found_on_its_days_and_no_other_is(seed: int) -> None:
    found, _, _ = lender(seed=seed, drift=True)
    ((where, stretch),) = found.items()
    assert where == ("job_tenure_years", "above")
    assert INCIDENT_DAYS[0] <= stretch.first <= INCIDENT_DAYS[0] + 1
    assert INCIDENT_DAYS[1] - 1 <= stretch.last <= INCIDENT_DAYS[1]


@pytest.mark.parametrize("seed", range(8))
def test_a_lender_without_drift_has_no_incident(seed: int) -> None:
    assert lender(seed=seed, drift=False)[0] == {}


@pytest.mark.parametrize("seed", [7, 1, 2, 3])
def test_the_broken_feed_and_its_factor_are_told(seed: int) -> None:
    table = as_table(simulate(seed=seed, per_day=65))
    days = np.asarray(table["applied_at"].to_numpy()).astype("datetime64[D]").astype(np.int64)
    days -= days[0]
    tenure = numbers_of(table["job_tenure_years"])
    inside, past = (days >= INCIDENT_DAYS[0]) & (days < INCIDENT_DAYS[1]), days < YEAR
    codes = {name: category_codes_of(table[name]) for name in LENDERS_WORDS}
    flags = tenure[inside] > tenure[past].max()
    where = locate(flags, {name: of_cases[inside] for name, (of_cases, _) in codes.items()})
    assert where is not None
    assert where.column == "broker"
    assert {codes["broker"][1][code] for code in where.codes} == set(BROKEN_FEED)
    theirs = np.isin(codes["broker"][0], where.codes)
    assert suspected_factor(tenure[past & theirs], tenure[inside & theirs]) == 12.0


def test_a_slow_rise_is_drift_and_no_incident() -> None:
    rng = np.random.default_rng(1)
    days = np.repeat(np.arange(2 * YEAR), 60)
    codes = np.where(rng.random(len(days)) < np.clip((days - 400) / 300, 0, 0.4), 1, 0)
    assert find({}, {"kind": codes}, days, YEAR * 60) == {}


def test_one_day_of_many_new_ones_is_somebodys_order() -> None:
    days = np.repeat(np.arange(2 * YEAR), 60)
    codes = np.where((days == 500) & (np.arange(len(days)) % 2 == 0), 1, 0)
    assert find({}, {"kind": codes}, days, YEAR * 60) == {}


def test_a_column_that_always_brings_new_values_stays_quiet() -> None:
    days = np.repeat(np.arange(2 * YEAR), 60)
    numbers = np.arange(len(days))
    assert find({"number": numbers.astype(np.float64)}, {"id": numbers}, days, YEAR * 60) == {}


def test_values_that_go_missing_for_a_week_are_named() -> None:
    rng = np.random.default_rng(2)
    days = np.repeat(np.arange(2 * YEAR), 60)
    values = rng.normal(size=len(days))
    values[rng.random(len(days)) < 0.05] = np.nan
    values[(days >= 600) & (days < 607) & (rng.random(len(days)) < 0.7)] = np.nan
    found = find({"income": values}, {}, days, YEAR * 60)
    assert list(found) == [("income", "missing")]
    assert (found["income", "missing"].first, found["income", "missing"].last) == (600, 607)


def test_an_incident_that_does_not_end_reaches_the_last_day() -> None:
    rng = np.random.default_rng(3)
    days = np.repeat(np.arange(2 * YEAR), 60)
    cents = np.where(days >= 700, 100.0, 1.0) * rng.lognormal(3, 0.5, len(days))
    found = find({"amount": cents}, {}, days, YEAR * 60)
    assert found["amount", "above"].last == 2 * YEAR
    assert suspected_factor(cents[days < YEAR], cents[days >= 700]) == 100.0


def test_a_short_past_calls_nothing_unusual() -> None:
    days = np.repeat(np.arange(40), 20)
    codes = np.where(days >= 30, 1, 0)
    assert find({}, {"kind": codes}, days, 600) == {}


def test_hotel_bookings_broke_nowhere(real_data: Path) -> None:
    # group bookings fill single days with one agent and one company, and new agents come all the time
    table = pq.read_table(real_data / "hotel_bookings" / "hotel_bookings.parquet").sort_by("booking_date")
    booked = np.asarray(table["booking_date"].cast("date32").cast("int32").to_numpy()).astype(np.int64)
    start = int(np.datetime64("2015-10-01", "D").astype(np.int64))
    kept = booked >= start - YEAR
    days, past = booked[kept] - booked[kept][0], int((booked[kept] < start).sum())
    codes = {}
    for name in ("country", "market_segment", "distribution_channel", "reserved_room_type", "deposit_type", "meal"):
        codes[name] = category_codes_of(table[name])[0][kept]
    numbers = {}
    for name in (
        "lead_time",
        "agent",
        "company",
        "adults",
        "children",
        "booking_changes",
        "adr",
        "days_in_waiting_list",
    ):
        numbers[name] = numbers_of(table[name])[kept]
    assert find(numbers, codes, days, past) == {}


def test_flagged_cases_that_are_anywhere_have_no_place() -> None:
    rng = np.random.default_rng(4)
    assert locate(rng.random(4_000) < 0.1, {"shop": rng.integers(0, 10, 4_000)}) is None


def test_no_factor_is_named_for_values_as_before_nor_for_ones_that_no_factor_explains() -> None:
    rng = np.random.default_rng(6)
    before = rng.lognormal(2, 0.5, 2_000)
    assert suspected_factor(before, rng.lognormal(2, 0.5, 300)) is None
    assert suspected_factor(before, rng.uniform(500, 600, 300)) is None
    assert suspected_factor(before, before[:10] * 12) is None  # too few to tell


def test_an_inverse_factor_is_named_too() -> None:
    rng = np.random.default_rng(7)
    before = np.round(rng.lognormal(7, 0.4, 2_000))
    assert suspected_factor(before, np.round(rng.lognormal(7, 0.4, 200)) / 1_000.0) == 1 / 1_000.0


def test_incidents_speak_plainly() -> None:
    months = DataIncident(
        "tenure", "above", "2024-05-15", "2024-05-28", False, 33, 0.0355, 0.0, "broker", ("b1", "b2"), 12.0
    )
    assert cause_words(months) == (
        "3.5% of the cases had values above every one before, only where broker is b1 or b2; values came 12 times as "
        "large"
    )
    gone = DataIncident("income", "missing", "2024-05-15", "2024-05-28", True, 70, 0.7, 0.06)
    assert cause_words(gone) == "70.0% of the cases had no value (at most 6.0% in any week before)"
    assert group_words("broker", ["b1", "b2", "b3"]) == "broker is b1, b2 or b3"
    assert factor_words(1 / 1_000) == "1,000 times as small"
