"""What would two years of a lender's applications look like, with fraud that changes its ways?

Our own seeded simulator, the example everybody can run without data of their own. Every number in it is invented. Five
kinds of applicants are mixed, and an application's columns are drawn for its kind:

* honest people, most of whom never notice any of this;
* lone fraudsters, whom nothing distinguishes: no model finds them, and none should claim to;
* a **ring** of three brokers that inflates incomes; in the second year most of it moves to two other brokers and learns
  to claim a long job tenure;
* **synthetic identities** that apply through mobile at night from fresh devices; in the second year they triple, and
  most move to the web in the evening and age their devices first.

In the second year the feed of four honest brokers also sends job tenure in months instead of years for two weeks.
Without drift none of that changes over time: any two months are alike but for the season.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_DAY = dt.date(2023, 1, 1)
FINAL_AFTER_DAYS = 45
"""No news this long after the application means that it was honest."""
INCIDENT_DAYS = (500, 514)
"""First day and the day after the last on which the broken feed sends months."""
BROKEN_FEED = ("broker-02", "broker-05", "broker-09", "broker-14")
RING_BROKERS = (("broker-07", "broker-13", "broker-18"), ("broker-03", "broker-11"))
"""Where the ring works before and after it moved."""
HONEST, LONE, RING, SYNTHETIC = 0, 1, 2, 3
_N_BROKERS = 20
_TWO_YEARS = 731
_AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
_CHANNELS = ("broker", "branch", "web", "mobile")
_DEVICES = ("none", "desktop", "android", "ios")
_REFERRERS = ("search", "newsletter", "comparison", "none")
_DAY_US = 86_400_000_000
_WEEKDAY = (1.15, 1.2, 1.1, 1.05, 1.0, 0.8, 0.7)
_MONTH = (1.05, 0.95, 1.0, 1.0, 1.05, 1.0, 0.9, 0.85, 1.0, 1.05, 1.1, 1.05)
_DAYTIME = np.array([1, 0.6, 0.4, 0.3, 0.3, 0.6, 1.5, 3, 5, 7, 8, 8, 7, 7, 7, 7, 7, 7, 6, 6, 5, 4, 3, 2])
_NIGHT = np.array([6.0, 8, 9, 9, 7, 4] + [0.3] * 16 + [2, 4])
_EVENING = np.array([0.5] * 17 + [4.0, 6, 8, 9, 8, 6, 3])

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _Cases:
    """What is drawn first: day, kind of applicant, and whether its kind has already changed its ways."""

    day: NDArray[np.int64]
    kind: NDArray[np.int64]
    changed: NDArray[np.bool_]
    rng: np.random.Generator

    @property
    def n(self) -> int:
        return len(self.day)

    def share(self, p: float | NDArray[np.float64]) -> NDArray[np.bool_]:
        """Draw who belongs to a share `p` (0 to 1)."""
        return self.rng.random(self.n) < p

    def pick(self, values: tuple[str, ...] | list[str], weights: NDArray[np.float64] | list[float]) -> NDArray[Any]:
        """Draw one of `values` for every case."""
        p = np.asarray(weights, dtype=float)
        return np.asarray(values)[np.searchsorted(np.cumsum(p / p.sum()), self.rng.random(self.n), side="right")]


def simulate(*, seed: int = 7, days: int = 731, per_day: float = 100.0, drift: bool = True) -> Columns:
    """Return `days` days of applications as columns, sorted by time.

    Parameters
    ----------
    seed : int
        The same seed gives the same columns.
    days : int
        Days from `FIRST_DAY`, at least 1. The default is two years, 2023 and 2024.
    per_day : float
        Mean applications a day, above 0; about 2 % are fraud.
    drift : bool
        Whether fraud and feeds change in the second year. Without it the joint distribution of columns and outcome is
        the same in every year, so that a refitted model knows nothing a first one did not.

    Returns
    -------
    dict of str to ndarray
        Times are ``datetime64[us]`` in UTC, NaT where unknown; missing numbers are NaN. The last outcomes were waited
        for: `confirmed_at` reaches 45 days beyond the last application.

    Notes
    -----
    O(n) time and memory; 80,000 applications take about 0.3 s.
    """
    if days < 1 or per_day <= 0:
        raise ValueError(f"days is {days} and per_day {per_day:g}; at least one day and more than 0 a day are needed")
    rng = np.random.Generator(np.random.PCG64(seed))
    cases = _draw_cases(rng, days=days, per_day=per_day, drift=drift)
    applied_at, hour = _draw_times(cases)
    cases, applied_at, hour = _in_time_order(cases, applied_at, hour)
    columns: Columns = {"application_id": _numbered("A", np.arange(1, cases.n + 1)), "applied_at": applied_at}
    columns["hour_utc"] = hour
    columns |= _draw_customers(cases)
    columns |= _draw_ways(cases, hour)
    columns |= _draw_means(cases, columns["broker"], columns["age_band"])
    columns["referrer"] = cases.pick(_REFERRERS, [5, 1, 3, 4])
    if drift:
        columns["job_tenure_years"] = _with_incident(columns["job_tenure_years"], columns["broker"], cases.day)
    return columns | _draw_outcome(cases, applied_at)


def write_applications(
    path: Path, /, *, seed: int = 7, days: int = 731, per_day: float = 100.0, drift: bool = True
) -> int:
    """Write simulated applications as one Parquet file and return the number of rows.

    The file appears complete or not at all. The same arguments give the same bytes.
    """
    import pyarrow.parquet as pq

    table = as_table(simulate(seed=seed, days=days, per_day=per_day, drift=drift))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    pq.write_table(table, unfinished, compression="zstd")
    unfinished.replace(path)
    return int(table.num_rows)


def next_applications(*, days: int, seed: int = 7, per_day: float = 100.0, drift: bool = True) -> Columns:
    """Return the applications of the `days` after the first two years, which no table holds; see `simulate`.

    They are drawn from a seed of their own, with ids that begin with B.
    """
    columns = simulate(seed=seed + 1, days=_TWO_YEARS + days, per_day=per_day, drift=drift)
    new = columns["applied_at"] >= np.datetime64(FIRST_DAY, "us") + np.timedelta64(_TWO_YEARS, "D")
    later = {name: values[new] for name, values in columns.items()}
    return later | {"application_id": np.char.replace(later["application_id"], "A", "B")}


def as_table(columns: Columns) -> pa.Table:
    """Return simulated columns as an Arrow table: times in UTC, missing values as nulls."""
    import pyarrow as pa

    arrays = {}
    for name, values in columns.items():
        if values.dtype.kind == "M":
            arrays[name] = pa.array(values, type=pa.timestamp("us", tz="UTC"))
        else:
            arrays[name] = pa.array(values, from_pandas=True)
    return pa.table(arrays)


def _draw_cases(rng: np.random.Generator, *, days: int, per_day: float, drift: bool) -> _Cases:
    """Draw how many apply each day, of which kind, and which have changed their ways."""
    dates = [FIRST_DAY + dt.timedelta(days=d) for d in range(days)]
    season = np.array([_WEEKDAY[d.weekday()] * _MONTH[d.month - 1] for d in dates])
    day = np.repeat(np.arange(days), rng.poisson(per_day * season))
    synthetic = 0.006 + (0.012 * _ramp(day, 380, 540) if drift else 0.0)
    ring = 0.011 - (0.003 * _ramp(day, 400, 460) if drift else 0.0)
    edges = np.stack(np.broadcast_arrays(synthetic, synthetic + ring, synthetic + ring + 0.003, day * 0.0 + 1))
    which = (rng.random(len(day)) >= edges).sum(axis=0)
    kind = np.array([SYNTHETIC, RING, LONE, HONEST])[which]
    moved = np.where(kind == RING, 0.6 * _ramp(day, 400, 450), 0.7 * _ramp(day, 420, 500)) if drift else day * 0.0
    changed = (rng.random(len(day)) < moved) & ((kind == RING) | (kind == SYNTHETIC))
    return _Cases(day=day, kind=kind, changed=changed, rng=rng)


def _ramp(day: NDArray[np.int64], first: int, last: int) -> NDArray[np.float64]:
    """Return 0 before `first`, 1 after `last`, a straight line between."""
    return np.clip((day - first) / (last - first), 0.0, 1.0)


def _draw_times(cases: _Cases) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Draw the moment of each application, and its hour of the day (UTC)."""
    hours = list(range(24))
    usual, night, evening = (cases.pick(hours, w) for w in (_DAYTIME, _NIGHT, _EVENING))  # type: ignore[arg-type]
    synthetic = cases.kind == SYNTHETIC
    hour = np.where(synthetic, np.where(cases.changed, evening, night), usual).astype(np.int64)
    within = cases.rng.integers(0, 3_600_000_000, cases.n)
    start = np.datetime64(FIRST_DAY, "us")
    return start + (cases.day * _DAY_US + hour * 3_600_000_000 + within).astype("timedelta64[us]"), hour


def _in_time_order(
    cases: _Cases, applied_at: NDArray[Any], hour: NDArray[np.int64]
) -> tuple[_Cases, NDArray[Any], NDArray[np.int64]]:
    order = np.argsort(applied_at, kind="stable")
    ordered = _Cases(day=cases.day[order], kind=cases.kind[order], changed=cases.changed[order], rng=cases.rng)
    return ordered, applied_at[order], hour[order]


def _draw_customers(cases: _Cases) -> Columns:
    """Draw who applies: a returning customer or a new one; names and account numbers are plainly invented."""
    known = max(cases.n // 2, 1)
    returning = cases.share(0.6) & (cases.kind != SYNTHETIC)
    number = np.where(returning, cases.rng.integers(0, known, cases.n), known + np.arange(cases.n))
    plain = cases.pick(_AGE_BANDS, [10, 26, 24, 20, 13, 7])
    young = cases.pick(_AGE_BANDS, [30, 45, 15, 6, 3, 1])
    return {
        "customer_id": _numbered("C", number),
        "name": _numbered("Invented Person ", number),
        "iban": _numbered("ZZ00TEST", number),
        "age_band": np.where((cases.kind == SYNTHETIC) & ~cases.changed, young, plain),
    }


def _numbered(prefix: str, number: NDArray[np.int64]) -> NDArray[Any]:
    return np.char.add(prefix, np.char.zfill(number.astype(str), 7))


def _draw_ways(cases: _Cases, hour: NDArray[np.int64]) -> Columns:
    """Draw channel, broker, device and network."""
    ring, synthetic = cases.kind == RING, cases.kind == SYNTHETIC
    night = (hour < 6) | (hour >= 22)
    channel = np.where(night, cases.pick(_CHANNELS, [0, 0, 45, 55]), cases.pick(_CHANNELS, [35, 15, 28, 22]))
    channel = np.where(ring, "broker", channel)
    channel = np.where(synthetic, np.where(cases.changed, "web", "mobile"), channel)
    brokers = [f"broker-{i:02d}" for i in range(1, _N_BROKERS + 1)]
    usual = cases.pick(brokers, 1.0 / np.sqrt(np.arange(1, _N_BROKERS + 1)))
    before, after = (cases.pick(names, [1.0] * len(names)) for names in RING_BROKERS)
    broker = np.where(ring, np.where(cases.changed, after, before), usual)
    online = (channel == "web") | (channel == "mobile")
    device = np.where(channel == "mobile", cases.pick(_DEVICES[2:], [55, 45]), "desktop")
    known_days = cases.rng.gamma(1.2, 260.0, cases.n)
    fresh_days = np.where(cases.changed, cases.rng.uniform(10, 60, cases.n), cases.rng.exponential(2.0, cases.n))
    km = cases.rng.lognormal(2.2, 1.1, cases.n)
    far_km = cases.rng.lognormal(np.where(cases.changed, 6.0, 3.5), 0.8)
    return {
        "channel": channel,
        "broker": np.where(channel == "broker", broker, "direct"),
        "device": np.where(online, device, "none"),
        "device_known_days": np.where(online, np.round(np.where(synthetic, fresh_days, known_days), 1), np.nan),
        "ip_distance_km": np.where(online, np.round(np.where(synthetic, far_km, km), 1), np.nan),
    }


def _draw_means(cases: _Cases, broker: NDArray[Any], age_band: NDArray[Any]) -> Columns:
    """Draw amount, income and job tenure; what a ring claims does not fit together."""
    rng, n = cases.rng, cases.n
    ring, synthetic = cases.kind == RING, cases.kind == SYNTHETIC
    age = np.searchsorted(np.array(_AGE_BANDS), age_band)
    income = rng.lognormal(7.75 + 0.08 * np.minimum(age, 4), 0.32, n)
    income = np.where(ring, income * rng.uniform(1.6, 2.4, n), income)
    tenure = np.minimum(rng.gamma(1.3, 1.5 + 1.4 * np.minimum(age, 4)), 45.0)
    claimed = np.where(cases.changed, rng.uniform(8, 16, n), rng.uniform(0.1, 1.2, n))
    tenure = np.where(ring, claimed, np.where(synthetic & ~cases.changed, rng.uniform(0, 1.5, n), tenure))
    median = np.select([ring, synthetic & cases.changed, synthetic], [9_000.0, 6_500.0, 4_000.0], 6_000.0)
    amount = np.clip(median * rng.lognormal(0.0, np.where(ring | synthetic, 0.35, 0.7), n), 500, 50_000)
    unknown = cases.share(0.04) & (broker == "direct") & ~synthetic
    return {
        "amount": np.round(amount, -2),
        "monthly_income": np.where(unknown, np.nan, np.round(income, -1)),
        "job_tenure_years": np.round(tenure, 1),
    }


def _with_incident(tenure: NDArray[np.float64], broker: NDArray[Any], day: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return job tenure as the broken feed sent it: months where years were agreed."""
    broken = np.isin(broker, BROKEN_FEED) & (day >= INCIDENT_DAYS[0]) & (day < INCIDENT_DAYS[1])
    return np.where(broken, np.round(tenure * 12, 1), tenure)


def _draw_outcome(cases: _Cases, applied_at: NDArray[Any]) -> Columns:
    """Draw when a fraud is confirmed: 3 to 44 days later, well before 45 local days are over.

    `collection_stage` is written long after the decision: a column that gives the outcome away.
    """
    delay_days = np.clip(cases.rng.lognormal(np.log(16.0), 0.55, cases.n), 3.0, FINAL_AFTER_DAYS - 1.0)
    confirmed = applied_at + (delay_days * _DAY_US).astype("timedelta64[us]")
    fraud = cases.kind != HONEST
    late_payer = cases.share(0.05)
    stage = np.where(fraud & cases.share(0.9), "legal", np.where(late_payer, "reminder", "none"))
    return {
        "is_fraud": fraud.astype(np.int8),
        "confirmed_at": np.where(fraud, confirmed, np.datetime64("NaT", "us")),
        "collection_stage": stage,
    }
