"""What did the prediction server do, and what was it worth? Figures of the log alone, as known at a moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trueup.align.decision_policy import DecisionPolicy
from trueup.align.streaming import Terms
from trueup.data.prediction_log import IS_BATCH, PredictionLog, completeness, open_log
from trueup.kernel.periods import Calendar, local_iso
from trueup.lake.desired_state import ServerStatus, read_desired, read_statuses
from trueup.lake.served_results import Served, ServedPeriod, ServedValue
from trueup.lake.store import Store
from trueup.loop.serve import manifest_in_lake

Row = dict[str, Any]
SETTLED_SHARE = 0.99
"""With this share of a day's outcomes known, its cases count as settled."""
_OF_CASES = ("role", "model_version", "expected_gain", "qualifies", "acted", "reason", "outcome_flag")
_OWN = "trueup$"
"""What the columns of a case start with beside those of its row, which may have any name."""
_CASES = f"""
    SELECT {", ".join(f'c.{name} AS "{_OWN}{name}"' for name in _OF_CASES)},
        epoch_us(c.decided_at) AS "{_OWN}decided", f.*
    FROM cases c LEFT JOIN features f ON f._prediction_id = c.prediction_id
    ORDER BY c.decided_at, c.prediction_id
"""  # noqa: S608  # our own text
_LATENCIES = f"""
    SELECT quantile_cont(latency_us, 0.5), quantile_cont(latency_us, 0.99) FROM predictions
    WHERE role != 'shadow' AND "row" = 0 AND NOT {IS_BATCH}
"""  # noqa: S608  # our own text


def served_report(
    store: Store, project: str, *, scratch: Path, as_of: int | None = None, until: int | None = None
) -> Served:
    """Return what the log of a project says.

    Parameters
    ----------
    store : Store
        The lake; its log, statuses of servers, and the policy of the present champion.
    project : str
    scratch : Path
        As `data.prediction_log.open_log` takes it.
    as_of : int, optional
        What was known at this moment, in microseconds UTC; None: everything.
    until : int, optional
        Read the log no further than this entry of its manifest.

    Raises
    ------
    NothingServed
        When the project was never served.

    Notes
    -----
    Realised value counts the cases of days of which at least `SETTLED_SHARE` of the outcomes are known: early news
    alone is one-sided. All others are estimated by what their scores expect. The baseline is the old rule under the
    same capacity, first come, first served in each period; without a rule, nobody. Needs some 2 kB of memory a case.
    """
    champion = manifest_in_lake(store, read_desired(store, project).champion.digest)
    statuses = read_statuses(store, project)
    with open_log(store, project, scratch=scratch, as_of=as_of, until=until) as log:
        return _report(log, champion.policy, statuses, project)


def _report(log: PredictionLog, policy: Mapping[str, Any], statuses: Sequence[ServerStatus], project: str) -> Served:
    cases = _rows(log, _CASES)
    capacity, zone = policy["capacity"], policy["timezone"]
    calendar = Calendar(zone, capacity["per"] if capacity else "day")
    [latencies] = log.database.execute(_LATENCIES).fetchall()
    complete = completeness(statuses, log)
    return Served(
        project=project,
        currency=policy["currency"],
        position=log.position,
        as_of=None if log.as_of is None else local_iso(log.as_of, zone),
        first=local_iso(cases[0][f"{_OWN}decided"], zone) if cases else None,
        last=local_iso(cases[-1][f"{_OWN}decided"], zone) if cases else None,
        cases=len(cases),
        predictions=log.count("predictions", "role != 'shadow'"),
        qualify=sum(case[f"{_OWN}qualifies"] for case in cases),
        acted=sum(case[f"{_OWN}acted"] for case in cases),
        by_role=_counted(cases, "role"),
        by_reason=_counted(cases, "reason"),
        by_model=_counted(cases, "model_version"),
        capacity=capacity,
        periods=tuple(_periods(cases, calendar)),
        fallback=sum(case[f"{_OWN}reason"].startswith("fallback:") for case in cases),
        outcomes=log.count(
            "cases", "coalesce(outcome_flag::VARCHAR, outcome_number::VARCHAR, outcome_class) IS NOT NULL"
        ),
        value=_value(cases, DecisionPolicy(policy)) if policy["task"] == "binary" else None,
        latency_p50_ms=None if latencies[0] is None else latencies[0] / 1000,
        latency_p99_ms=None if latencies[1] is None else latencies[1] / 1000,
        served=complete.served,
        logged=complete.logged,
        sealed=complete.sealed,
        batch=complete.batch,
    )


def _rows(log: PredictionLog, query: str) -> list[Row]:
    found = log.database.execute(query)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _counted(cases: Sequence[Row], column: str) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for case in cases:
        counts[case[_OWN + column]] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _periods(cases: Sequence[Row], calendar: Calendar) -> list[ServedPeriod]:
    by_start: dict[int, list[Row]] = defaultdict(list)
    for case in cases:
        by_start[calendar.start_of(case[f"{_OWN}decided"])].append(case)
    return [
        ServedPeriod(
            local_iso(start, calendar.timezone),
            calendar.label(start),
            len(by_start[start]),
            sum(case[f"{_OWN}acted"] for case in by_start[start]),
        )
        for start in sorted(by_start)
    ]


def _value(cases: Sequence[Row], policy: DecisionPolicy) -> ServedValue:
    settled_days = _settled_days(cases, policy.timezone)
    baseline = _baseline(cases, policy, Terms.of(policy))
    realised = estimated = 0.0
    settled = unpriced = 0
    for case, ruled in zip(cases, baseline, strict=True):
        more = int(case[f"{_OWN}acted"]) - int(ruled)
        if case[f"{_OWN}outcome_flag"] is not None and _day(case, policy.timezone) in settled_days:
            settled += 1
            # the gain of a certain outcome is what acting on it pays more than not acting
            realised += more * policy.gain(1.0 if case[f"{_OWN}outcome_flag"] else 0.0, case)
        elif case[f"{_OWN}expected_gain"] is None:
            unpriced += 1
        else:
            estimated += more * case[f"{_OWN}expected_gain"]
    return ServedValue(realised, settled, estimated, len(cases) - settled, unpriced)


def _settled_days(cases: Sequence[Row], timezone: str) -> set[str]:
    """Return the local days of which so many outcomes are known that the rest can hardly change the picture."""
    decided: dict[str, int] = defaultdict(int)
    known: dict[str, int] = defaultdict(int)
    for case in cases:
        day = _day(case, timezone)
        decided[day] += 1
        known[day] += case[f"{_OWN}outcome_flag"] is not None
    return {day for day, count in decided.items() if known[day] >= SETTLED_SHARE * count}


def _day(case: Row, timezone: str) -> str:
    return local_iso(case[f"{_OWN}decided"], timezone)[:10]


def _baseline(cases: Sequence[Mapping[str, Any]], policy: DecisionPolicy, terms: Terms) -> list[bool]:
    """Return what the old rule would have acted on: first come, first served, under the same capacity."""
    used: dict[int, int] = defaultdict(int)
    acted = []
    for case in cases:
        acts = bool(policy.baseline(case))
        if acts and terms.cases is not None:
            start = terms.calendar.start_of(case[f"{_OWN}decided"])
            acts = used[start] < terms.cases
            used[start] += acts
        acted.append(acts)
    return acted
