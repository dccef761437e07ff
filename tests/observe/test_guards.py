"""A guard warns on its window, and says error only on proof."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from trueup.align.charter import Guard, Limit
from trueup.kernel.durations import MICROSECONDS_PER_DAY as DAY
from trueup.kernel.durations import Duration
from trueup.measure.errors import OutOfRange
from trueup.observe.guards import GuardState, guard_status, record_guard, start_guard

Flags = NDArray[np.bool_]
FALSE_ALARMS = Guard(
    "False alarms per fraud caught",
    "acted AND NOT outcome",
    "acted AND outcome",
    Limit("<=", 4.0),
    Duration(7 * DAY),
    "rollback",
)


def flags(*, false_alarms: int, hits: int, others: int = 0) -> tuple[Flags, Flags]:
    count = np.array([True] * false_alarms + [False] * (hits + others))
    per = np.array([False] * false_alarms + [True] * hits + [False] * others)
    return count, per


def played(days: list[tuple[int, int]], *, guard: Guard = FALSE_ALARMS) -> GuardState:
    rng = np.random.default_rng(0)
    state = start_guard(guard)
    for day, (false_alarms, hits) in enumerate(days):
        count, per = flags(false_alarms=false_alarms, hits=hits)
        order = rng.permutation(len(count))
        state = record_guard(state, day * DAY, count=count[order], per=per[order])
    return state


def test_a_guard_within_its_limit_is_healthy_and_shows_its_ratio() -> None:
    status = guard_status(played([(6, 2)] * 10), 9 * DAY)
    assert (status.status, status.value, status.count, status.per) == ("healthy", 3.0, 42, 14)
    assert status.within_limit
    assert status.p_value > 0.05


def test_a_bad_week_alone_is_a_warning_not_an_error() -> None:
    status = guard_status(played([(6, 2)] * 3 + [(9, 2)] * 7), 9 * DAY)
    assert (status.status, status.value) == ("warning", 4.5)
    assert not status.proved
    assert "not proved yet" in status.reason


def test_a_clear_breach_is_an_error_that_stays() -> None:
    state = played([(30, 2)] * 20)
    status = guard_status(state, 19 * DAY)
    assert status.status == "error"
    assert status.proved
    assert status.breach == "rollback"
    assert guard_status(state, 90 * DAY).status == "error"


def test_a_guard_without_cases_has_no_data_and_no_ratio() -> None:
    fresh = guard_status(start_guard(FALSE_ALARMS), 0)
    assert (fresh.status, fresh.value, fresh.within_limit) == ("no_data", None, None)
    count, per = flags(false_alarms=0, hits=0, others=5)
    idle = guard_status(record_guard(start_guard(FALSE_ALARMS), 0, count=count, per=per), 0)
    assert (idle.status, idle.value) == ("no_data", None)


def test_counts_without_any_denominator_are_beyond_the_limit_but_have_no_ratio() -> None:
    status = guard_status(played([(2, 0)]), 0)
    assert (status.status, status.value, status.within_limit) == ("warning", None, False)


def test_old_days_leave_the_window_but_not_the_proof() -> None:
    status = guard_status(played([(8, 2)] * 30), 29 * DAY)
    assert status.count == 7 * 8
    assert status.cases == 30 * 10


def test_a_guard_from_below_is_proved_broken_when_the_share_falls() -> None:
    caught = Guard("Caught", "acted", "outcome", Limit(">=", 0.7), Duration(7 * DAY), "alert")

    def day(state: GuardState, at: int, *, acted: int) -> GuardState:
        order = np.random.default_rng(at).permutation(20)
        return record_guard(state, at * DAY, count=(np.arange(20) < acted)[order], per=np.ones(20))

    good = bad = start_guard(caught)
    for at in range(30):
        good, bad = day(good, at, acted=16), day(bad, at, acted=8)
    assert guard_status(good, 29 * DAY).status == "healthy"
    assert guard_status(bad, 29 * DAY).status == "error"


def test_a_limit_of_zero_is_proved_broken_by_one_case() -> None:
    never = Guard("Children contacted", "acted", "true", Limit("<=", 0.0), Duration(7 * DAY), "fallback")
    state = record_guard(start_guard(never), 0, count=np.zeros(500), per=np.ones(500))
    assert guard_status(state, 0).status == "healthy"
    assert guard_status(record_guard(state, DAY, count=np.ones(1), per=np.ones(1)), DAY).status == "error"


def test_expressions_outside_zero_and_one_are_refused_by_name() -> None:
    with pytest.raises(OutOfRange, match='guard "False alarms per fraud caught": per goes from 0 to 3'):
        record_guard(start_guard(FALSE_ALARMS), 0, count=np.zeros(2), per=np.array([0.0, 3.0]))
