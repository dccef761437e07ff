"""Hand-made rehearsals: invented figures that obviously come from nowhere, for reports to be written about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import pytest

from trueup.align.charter import Capacity, Charter, Kpi, PayoffMatrix, PayoffPerCase
from trueup.lake.rehearsals import (
    FeatureDrift,
    GuardResult,
    KpiResult,
    Notice,
    Rehearsal,
    Release,
    Strategy,
    Window,
)

_NEVER_EARNED = (21_400, 19_850, 18_300, 17_100, 16_250, 15_020, 14_100, 12_050, 11_040, 9_020, 8_010, 7_030)
_MONTHLY_EARNED = (21_400, 20_100, 19_900, 20_300, 19_750, 21_010, 20_500, 19_070, 20_090, 20_900, 19_080, 6_130)
_MATURITY = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.97, 0.84, 0.31)


def month_starts(first: date, count: int) -> list[date]:
    """Return the first days of `count` months and of the one after."""
    months = [(first.year * 12 + first.month - 1 + i) for i in range(count + 1)]
    return [date(m // 12, m % 12 + 1, 1) for m in months]


def windows_of(values: tuple[int, ...], *, auc: float | None = 0.8, mae: float | None = None) -> tuple[Window, ...]:
    """Return one monthly window per value from October 2015 on."""
    starts = month_starts(date(2015, 10, 1), len(values))
    return tuple(
        Window(
            start=starts[i].isoformat(),
            end=starts[i + 1].isoformat(),
            rows=4_100 + 13 * i,
            label_maturity=_MATURITY[i] if i < len(_MATURITY) else 1.0,
            value=float(value),
            auc=None if auc is None else round(auc - 0.004 * i, 3),
            mae=None if mae is None else mae + i,
            estimated_value=20_000.0 + 111 * i,
            mean_score=0.31,
            outcome_rate=0.29,
            cases_acted=None if auc is None else 300,
            true_positives=None if auc is None else 201 - i,
            baseline_payoff=-50_000.0,
        )
        for i, value in enumerate(values)
    )


def releases_of(count: int) -> tuple[Release, ...]:
    """Return a first model, monthly refits, one of them refused and one taken back."""
    starts = month_starts(date(2015, 10, 1), count)
    made = [Release("2015-10-01", "monthly-1", "first", "The first model; nothing was live before.", 31_204)]
    for i in range(1, count):
        kind, reason = "retrained", "Every month. Not worse than the live model on the newest final cases."
        if i == 4:
            kind, reason = "refused", "Would change the number of qualifying cases by 31%, the envelope allows 15%."
        made.append(
            Release(
                at=starts[i].isoformat(),
                model=f"monthly-{i + 1}",
                kind=kind,
                reason=reason,
                trained_rows=31_204 + 2_900 * i,
                trained_from="2014-07-01",
                trained_to=starts[i - 1].isoformat(),
                latest_final_at=starts[i].isoformat(),
                value_gain=0.42 * i - 1.1,
                value_gain_interval=(0.42 * i - 2.0, 0.42 * i + 0.2),
                change_in_cases=0.01 * i,
            )
        )
    if count > 7:
        broken = "Guard “False alarms per call” broke its limit of 4; the last release decides again."
        made.insert(8, Release(starts[7].replace(day=19).isoformat(), "monthly-7", "rollback", broken))
    return tuple(made)


NEVER = Strategy(
    name="never",
    description="Trained once, before the rehearsal, and never again",
    value=169_170.0,
    value_interval=(141_300.0, 198_450.0),
    retraining_cost=0.0,
    net_value=169_170.0,
    cases_acted=3_597,
    max_cases_in_period=300,
    capacity_filled=0.999,
    value_of_one_more_case=31.0,
    releases=releases_of(1),
    windows=windows_of(_NEVER_EARNED),
)
MONTHLY = Strategy(
    name="monthly",
    description="Refitted on the first of every month on all final outcomes",
    value=228_230.0,
    value_interval=(197_040.0, 260_870.0),
    retraining_cost=2_750.0,
    net_value=225_480.0,
    cases_acted=3_600,
    max_cases_in_period=300,
    capacity_filled=1.0,
    value_of_one_more_case=47.0,
    releases=releases_of(12),
    windows=windows_of(_MONTHLY_EARNED, auc=0.86),
    kpis=(
        KpiResult("Cancellations caught", 0.724, ">= 0.7", True),
        KpiResult("Nights saved per call", 1.31, ">= 1.5", False),
        KpiResult("Calls answered", None, None, None),
    ),
    guards=(
        GuardResult("False alarms per call that helped", 3.5, "<= 4.0", 1, "rollback"),
        GuardResult("Guests called twice", 0.0046, "<= 0.005", 0, "alert"),
        GuardResult("Calls per desk", 61.0, "<= 120", 0, "fallback"),
        GuardResult("Share of corporate guests", None, "<= 0.2", 0, "alert"),
    ),
)
CHARTER = replace(
    MONTHLY,
    name="charter",
    description="As the charter says: when estimated value falls under 85% of the promise, on the last year",
    value=219_900.0,
    value_interval=(188_000.0, 251_700.0),
    retraining_cost=750.0,
    net_value=219_150.0,
    releases=releases_of(4),
    windows=windows_of(tuple(v - 690 for v in _MONTHLY_EARNED), auc=0.85),
)
TRAILING = replace(
    MONTHLY,
    name="trailing-30d",
    description="Refitted every month on the last 30 days only",
    value=-12_400.0,
    value_interval=(-31_000.0, 6_200.0),
    retraining_cost=2_750.0,
    net_value=-15_150.0,
    windows=windows_of(tuple(-1_100 + 120 * i for i in range(12)), auc=0.62),
)

BOOKINGS = Rehearsal(
    project="hotel-bookings",
    title="Late cancellations",
    task="binary",
    objective="Call the guests most likely to cancel, at most 300 a month, and keep the nights sold.",
    currency="EUR",
    charter_digest="3f9a51c07e" * 6,
    table_version="c07e3f9a51" * 6,
    start="2015-10-01",
    end="2016-09-30",
    turns=366,
    rows=49_871,
    capacity={"cases": 300, "per": "month"},
    assumptions=(
        "30% of the calls to guests who would cancel keep the booking; signed, not measured.",
        "A call costs €4; a kept night is worth its price.",
        "Without the model nobody is called.",
    ),
    strategies=(NEVER, MONTHLY, CHARTER, TRAILING),
    recommended="monthly",
    reason="Refitting monthly earns €56,310 more than never refitting, and its eleven retrainings cost €2,750.",
    warnings=(
        Notice(
            "data.leakage-suspected",
            "It explains the outcome almost alone and is written after the stay. It is not used.",
            "reservation_status",
            0.143,
        ),
        Notice(
            "data.labels-immature",
            "Of the outcomes known after a month 86% are cancellations; of all 27%. Only final outcomes are used.",
        ),
    ),
    drift=(
        FeatureDrift("deposit_type", "2016-08-01", 0.31, 0.0, 1, -2.42),
        FeatureDrift("lead_time", "2016-07-01", 0.22, 0.004, 0, -0.61),
        FeatureDrift("country", "2016-08-01", 0.47, 0.021, 6, None),
    ),
    candidates=(
        {"name": "rule", "value": 61_000.0, "interval": (48_000.0, 75_000.0), "auc": 0.64, "chosen": False},
        {"name": "linear", "value": 158_000.0, "interval": (131_000.0, 183_000.0), "auc": 0.79, "chosen": False},
        {"name": "boosting", "value": 191_000.0, "interval": (164_000.0, 220_000.0), "auc": 0.86, "chosen": True},
    ),
    promise={"value": 18_790.0, "per": "month", "interval": (16_190.0, 21_510.0)},
    facts={"longest_wait_days": 503, "seed": 0},
)
AGREEMENT = Charter(
    objective=BOOKINGS.objective,
    currency="EUR",
    timezone="Europe/Lisbon",
    sponsor="head-of-reservations@example.com",
    payoff=PayoffMatrix("0.3 * adr * nights - 4", "-4", "0", "0"),
    capacity=Capacity(300, "month"),
    action="prevents",
    success_share=0.3,
    retraining_cost=250.0,
    kpis=(Kpi("Cancellations caught", "count(*) FILTER (acted AND outcome) / count(*) FILTER (outcome)", ">= 0.7"),),
)


def rides() -> Rehearsal:
    """Return a forecast: nobody decides, errors cost money, a trailing window wins."""
    never = replace(
        NEVER,
        value=-14_200.0,
        value_interval=(-19_000.0, -9_600.0),
        net_value=-14_200.0,
        cases_acted=None,
        max_cases_in_period=None,
        capacity_filled=None,
        value_of_one_more_case=None,
        windows=windows_of((-900, -1_150, -1_210, -1_300, -1_420, -1_800), auc=None, mae=92.0),
    )
    trailing = replace(
        never,
        name="monthly-90d",
        description="Refitted every month on the last 90 days",
        value=41_000.0,
        value_interval=(36_500.0, 45_800.0),
        retraining_cost=50.0,
        net_value=40_950.0,
        releases=releases_of(6),
        windows=windows_of((6_100, 6_600, 7_050, 7_000, 7_150, 7_100), auc=None, mae=41.0),
    )
    return replace(
        BOOKINGS,
        project="bike-sharing",
        title="Rides per hour",
        task="regression",
        objective="Have enough bikes out: an unserved ride costs three times a bike that waits.",
        end="2016-03-31",
        capacity=None,
        strategies=(never, trailing),
        recommended="monthly-90d",
        reason="Demand grows by two thirds; only the last months tell what is asked for now.",
        assumptions=("An unserved ride costs €3, an idle bike €1.",),
        warnings=(),
        drift=(),
        candidates=(),
        promise={"value": 6_820.0, "per": "month", "interval": (6_080.0, 7_600.0)},
    )


RIDES_AGREEMENT = replace(
    AGREEMENT,
    payoff=PayoffPerCase("-3 * greatest(outcome - prediction, 0) - greatest(prediction - outcome, 0)"),
    capacity=None,
    action="reveals",
    success_share=None,
    kpis=(),
    retraining_cost=10.0,
)


@dataclass(frozen=True)
class Sample:
    """A rehearsal with the charter it was played under."""

    rehearsal: Rehearsal
    charter: Charter


def samples() -> dict[str, Sample]:
    """Return every sample by name."""
    quiet = replace(
        BOOKINGS,
        recommended="never",
        reason="Refitting monthly earns €580 more and costs €2,750.",
        strategies=(
            NEVER,
            replace(MONTHLY, value=169_750.0, value_interval=(141_900.0, 199_100.0), net_value=167_000.0),
        ),
        promise={"value": 14_100.0, "per": "month", "interval": (11_700.0, 16_500.0)},
    )
    desks = replace(RIDES_AGREEMENT, payoff=PayoffPerCase("CASE WHEN prediction = outcome THEN 1 ELSE -2 END"))
    species = replace(rides(), task="multiclass", title="Which desk answers", capacity=None)
    hopeless = replace(BOOKINGS, strategies=(TRAILING,), recommended="trailing-30d", promise=None)
    empty = replace(BOOKINGS, strategies=(replace(NEVER, windows=(), releases=()),), recommended="never", drift=())
    none = replace(BOOKINGS, strategies=(), recommended="", promise=None)
    return {
        "bookings": Sample(BOOKINGS, AGREEMENT),
        "rides": Sample(rides(), RIDES_AGREEMENT),
        "quiet": Sample(quiet, AGREEMENT),
        "multiclass": Sample(species, desks),
        "hopeless": Sample(hopeless, AGREEMENT),
        "no_windows": Sample(empty, AGREEMENT),
        "no_strategies": Sample(none, AGREEMENT),
        "stress": Sample(stress(), AGREEMENT),
    }  # fmt: skip


def stress() -> Rehearsal:
    """Return long German names, hostile text, 60 windows, missing outcomes and very large and negative amounts."""
    long = "Kreditantragsbetrugserkennungsüberprüfungsverfahren für Geschäftskunden <script>alert('x')</script>"
    values = tuple(-4_000_000 + 310_000 * (i % 29) for i in range(60))
    windows = list(windows_of(values))
    windows[30] = replace(windows[30], value=None, label_maturity=0.0, estimated_value=None, auc=None)
    windows[59] = replace(windows[59], value=None, label_maturity=0.0, rows=0, cases_acted=0, true_positives=None)
    wordy = replace(
        MONTHLY,
        name="Wiedereinarbeitung-jeden-Monat-auf-den-letzten-zwölf-Monaten",
        description=long,
        windows=tuple(windows),
        releases=releases_of(60),
        value=-1_234_567.0,
        value_interval=(-99_000_000.0, 2_000_000.0),
        net_value=-1_237_317.0,
        guards=(GuardResult(long, 4.2, "<= 4.0", 0, "rollback"),),
        kpis=(KpiResult(long, None, ">= 0.7", None),),
    )
    return replace(
        BOOKINGS,
        title=long,
        objective=f"{long}. {long}",
        strategies=(
            wordy,
            replace(NEVER, value=-9_000_000.0, net_value=-9_000_000.0, windows=windows_of(values[::-1])),
        ),
        recommended=wordy.name,
        reason=long,
        assumptions=(long,),
        end="2020-09-30",
        warnings=(Notice("data.leakage-suspected", long, long, 0.2), Notice("data.unheard-of", "Plain.")),
        drift=(FeatureDrift("x" * 90, "2016-08-01", 1.0, 1.0, 12_345, -0.000001),),
        candidates=({"name": long, "value": None},),
        facts={long: long},
    )


@pytest.fixture
def bookings() -> Sample:
    """Return a use case worth refitting every month."""
    return samples()["bookings"]


@pytest.fixture(params=sorted(samples()))
def sample(request: pytest.FixtureRequest) -> Sample:
    """Return each sample in turn."""
    return samples()[request.param]


@pytest.fixture
def every_sample() -> dict[str, Sample]:
    """Return all samples by name."""
    return samples()
