"""One by one and in batches, cases are decided by one law; no clock and no retry creates capacity."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.align.allocation import (
    CONTROL_SALT,
    EXPLORATION_SALT,
    Pace,
    StreamAllocator,
    Wanted,
    learn_pace,
    uniform_of,
)
from trueup.align.streaming import (
    PACE_GAINS,
    REASONS,
    UNCOUNTED,
    BadPace,
    Decision,
    MemoryTokens,
    StreamDecider,
    Terms,
    canary_of,
    draw_of,
    pace_document,
    pace_from,
)
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import Calendar, local_moment

DAY = MICROSECONDS_PER_DAY
HOUR = DAY // 24
BERLIN = "Europe/Berlin"
MARCH = local_moment(2016, 3, 25, timezone=BERLIN)  # two days before the clocks go forward
FLAT = Pace(np.ones(168), HOUR, np.array([9.0, 5.0, 3.0, 1.0, -1.0]))


def case_id(number: int) -> bytes:
    return number.to_bytes(20, "big")


class Uncounted(MemoryTokens):
    """Tokens that cannot be counted at first."""

    def __init__(self, *, allowed: bool) -> None:
        super().__init__()
        self.is_broken, self._allowed = True, allowed

    def allowed(self, period_start: int, cases: int) -> tuple[int, float]:
        broken = self.is_broken and not self._allowed
        return (0, 0.0) if broken else super().allowed(period_start, cases)

    def used_before(self, period_start: int, slot_start: int) -> tuple[int, int]:
        return UNCOUNTED if self.is_broken else super().used_before(period_start, slot_start)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_slot_that_could_not_be_solved_is_solved_with_the_next_case(allowed: bool) -> None:
    tokens = Uncounted(allowed=allowed)
    decider = decider_of(cases=5, tokens=tokens)
    first = decider.decide(moment=0, gain=1.0, unit=1, prediction_id=b"a")
    assert (first.acted, first.reason) == (False, "no_capacity")
    tokens.is_broken = False
    assert decider.decide(moment=1, gain=1.0, unit=1, prediction_id=b"b").acted


def decider_of(
    *,
    cases: int | None = 2,
    per: str = "day",
    pace: Pace | None = None,
    tokens: MemoryTokens | None = None,
    **shares: float,
) -> StreamDecider:
    return StreamDecider(Terms(Calendar(BERLIN, per), cases, **shares), pace=pace, tokens=tokens or MemoryTokens())


def decide(decider: StreamDecider, number: int, *, moment: int = MARCH, gain: float = 5.0, unit: int = 1) -> Decision:
    return decider.decide(moment=moment, gain=gain, unit=unit, prediction_id=case_id(number))


@dataclass(frozen=True)
class Stream:
    moments: list[int]
    gains: list[float]
    baseline: list[bool]
    cuts: list[int]
    terms: Terms
    pace: Pace


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    count = draw(st.integers(1, 60))
    steps = st.sampled_from([0, 1, HOUR // 3, HOUR, 5 * HOUR, DAY, 9 * DAY])
    moments = np.cumsum(draw(st.lists(steps, min_size=count, max_size=count))) + MARCH
    gain = st.sampled_from([-5.0, 0.0, 1.0, 2.0, 2.0, 7.5, math.nan]) | st.floats(-3, 9)
    per = draw(st.sampled_from(["hour", "day", "week", "month"]))
    pace_gains = sorted(draw(st.lists(st.floats(-3, 9), max_size=30)), reverse=True)
    return Stream(
        moments=[int(moment) for moment in moments],
        gains=draw(st.lists(gain, min_size=count, max_size=count)),
        baseline=draw(st.lists(st.booleans(), min_size=count, max_size=count)),
        cuts=sorted(draw(st.lists(st.integers(0, count), max_size=5))),
        terms=Terms(
            Calendar(BERLIN, per),
            draw(st.integers(0, 12)),
            exploration_share=draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
            control_group=draw(st.sampled_from([0.0, 0.2, 1.0])),
        ),
        pace=Pace(np.full(168, draw(st.floats(0, 2))), draw(st.sampled_from([0, HOUR])), np.array(pace_gains)),
    )


@settings(max_examples=400)
@given(stream=streams())
def test_one_by_one_and_in_any_batches_the_same_cases_are_acted_on(stream: Stream) -> None:
    count, terms = len(stream.moments), stream.terms
    units = [int(unit) for unit in np.random.default_rng(3).integers(0, 2**63, count, dtype=np.uint64)]
    decider = StreamDecider(terms, pace=stream.pace, tokens=MemoryTokens())

    one_by_one = [
        decider.decide(moment=moment, gain=gain, unit=unit, prediction_id=case_id(i), baseline=baseline)
        for i, (moment, gain, unit, baseline) in enumerate(
            zip(stream.moments, stream.gains, units, stream.baseline, strict=True)
        )
    ]

    assert terms.cases is not None
    allocator = StreamAllocator(terms.calendar, terms.cases, terms.reserve())
    hashes = np.array(units, dtype=np.uint64)
    rate = stream.pace.exploration_rate(terms.reserve(), terms.calendar.per)
    forced, drawn = uniform_of(hashes, CONTROL_SALT) < terms.control_group, uniform_of(hashes, EXPLORATION_SALT) < rate
    tokens, acted, explored, cutoffs = None, [], [], []
    for first, last in zip([0, *stream.cuts], [*stream.cuts, count], strict=True):
        part = slice(first, last)
        allotment = allocator.allot(
            np.array(stream.moments[part], dtype=np.int64),
            np.array(stream.gains[part], dtype=np.float64),
            pace=stream.pace,
            tokens=tokens,
            wanted=Wanted(forced[part], np.array(stream.baseline[part], dtype=bool), drawn[part]),
        )
        tokens = allotment.tokens if last > first else tokens
        acted += allotment.acted.tolist()
        explored += allotment.explored.tolist()
        cutoffs += allotment.cutoffs.tolist()

    assert [decision.acted for decision in one_by_one] == acted
    assert [decision.role == "exploration" for decision in one_by_one] == explored
    assert [decision.cutoff for decision in one_by_one] == cutoffs
    assert [decision.role == "control" for decision in one_by_one] == forced.tolist()


@given(stream=streams(), order=st.randoms(use_true_random=False))
def test_no_order_of_moments_creates_capacity(stream: Stream, order: object) -> None:
    moments = list(stream.moments)
    order.shuffle(moments)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    decider = StreamDecider(stream.terms, pace=stream.pace, tokens=MemoryTokens(kept_periods=2))
    acted: Counter[int] = Counter()
    for i, (moment, gain) in enumerate(zip(moments, stream.gains, strict=True)):
        decision = decider.decide(moment=moment, gain=gain, unit=i * 7919, prediction_id=case_id(i), baseline=True)
        acted[stream.terms.calendar.start_of(moment)] += decision.acted
    assert max(acted.values()) <= (stream.terms.cases or 0)


@pytest.mark.parametrize(
    ("gain", "reason", "acted", "qualifies"),
    [
        (9.0, "worth_it", True, True),
        (0.0, "not_worth_it", False, False),
        (math.nan, "not_worth_it", False, False),
        (0.5, "below_cutoff", False, True),
    ],
)
def test_a_decision_says_why(gain: float, reason: str, *, acted: bool, qualifies: bool) -> None:
    # 24 cases a day are expected and 2 may be acted on: only gains in the best twelfth of the pace's
    decision = decide(decider_of(pace=FLAT), 1, gain=gain)
    assert (decision.reason, decision.acted, decision.qualifies, decision.role) == (
        reason,
        acted,
        qualifies,
        "champion",
    )
    assert decision.cutoff == 9.0
    assert reason in REASONS


def test_without_a_token_nobody_acts_and_the_case_still_qualifies() -> None:
    decider = decider_of(cases=2)
    decisions = [decide(decider, number) for number in range(3)]
    assert [d.acted for d in decisions] == [True, True, False]
    assert (decisions[2].reason, decisions[2].qualifies) == ("no_capacity", True)


def test_a_retry_keeps_its_token_and_takes_no_second_one() -> None:
    decider = decider_of(cases=2)
    assert [decide(decider, number).acted for number in (1, 1, 1, 2, 3, 2)] == [True, True, True, True, False, True]


def test_without_a_capacity_every_case_that_pays_is_acted_on() -> None:
    decider = decider_of(cases=None, control_group=1.0)
    assert [decide(decider_of(cases=None), n, gain=g).acted for n, g in enumerate((1.0, 2.0, -1.0))] == [
        True,
        True,
        False,
    ]
    ruled = decider.decide(moment=MARCH, gain=-1.0, unit=5, prediction_id=case_id(1), baseline=True)
    assert (ruled.acted, ruled.reason) == (True, "control")


def test_the_control_group_does_what_the_old_rule_says_under_the_same_capacity() -> None:
    decider = decider_of(cases=1, control_group=1.0)
    rule = (True, False, True)
    decisions = [
        decider.decide(moment=MARCH, gain=5.0, unit=n, prediction_id=case_id(n), baseline=acts)
        for n, acts in enumerate(rule)
    ]
    assert [(d.acted, d.role, d.reason) for d in decisions] == [
        (True, "control", "control"),
        (False, "control", "control"),
        (False, "control", "no_capacity"),
    ]
    assert {d.propensity for d in decisions} == {1.0}


def test_chances_are_those_of_the_draws() -> None:
    # 168 cases a week, 24 a day; 6 of 12 tokens a day explore: a quarter of the cases is drawn
    decider = decider_of(cases=12, pace=FLAT, control_group=0.2, exploration_share=0.5)
    seen: dict[tuple[str, str], float] = {}
    for number in range(400):
        decision = decide(
            decider, number, gain=-1.0, unit=number * 0x9E3779B97F4A7C15 & (2**64 - 1), moment=MARCH + number
        )
        seen.setdefault((decision.role, decision.reason), decision.propensity)
    assert seen["control", "control"] == 0.2
    assert math.isclose(seen["exploration", "exploration"], 0.8 * 0.25)
    assert math.isclose(seen["champion", "not_worth_it"], 0.8 * 0.75)
    # once the reserve is used, chance has no part in it but the control group's
    late = decide(decider, 999, gain=-1.0, unit=4, moment=MARCH + 500)
    assert (late.role, late.propensity) == ("champion", 0.8)


def test_a_canary_is_decided_alike_and_logged_with_its_share() -> None:
    decider = decider_of(control_group=0.2)
    unit = next(unit for unit in range(100) if not decider.is_control(unit))
    decision = decider.decide(moment=MARCH, gain=1.0, unit=unit, prediction_id=case_id(1), role="canary", share=0.1)
    assert (decision.role, decision.acted) == ("canary", True)
    assert math.isclose(decision.propensity, 0.8 * 0.1)


def test_the_fallback_needs_a_token_and_leaves_the_control_group_alone() -> None:
    decider = decider_of(cases=1)

    def fall_back(number: int, *, acts: bool) -> Decision:
        return decider.fall_back(
            moment=MARCH, acts=acts, unit=1, prediction_id=case_id(number), reason="fallback:model_failed"
        )

    assert fall_back(1, acts=False)[:4] == (False, False, "fallback", "fallback:model_failed")
    assert fall_back(2, acts=True)[:4] == (True, True, "fallback", "fallback:model_failed")
    assert fall_back(3, acts=True)[:4] == (False, True, "fallback", "no_capacity")
    everybody = decider_of(control_group=1.0).fall_back(
        moment=MARCH, acts=False, unit=1, prediction_id=case_id(1), reason="fallback:model_failed", baseline=True
    )
    assert everybody[:4] == (True, True, "control", "control")


def test_a_clock_that_goes_back_finds_what_was_left_then() -> None:
    decider = decider_of(cases=1)
    yesterday, today = MARCH, MARCH + DAY
    moments = (yesterday, today, yesterday, yesterday + HOUR, today)
    assert [decide(decider, n, moment=m).acted for n, m in enumerate(moments)] == [True, True, False, False, False]


def test_a_period_that_is_no_longer_counted_is_closed() -> None:
    decider = decider_of(cases=5, tokens=MemoryTokens(kept_periods=2))
    moments = [MARCH + day * DAY for day in (3, 4, 5, 3, 4)]
    assert [decide(decider, n, moment=m).acted for n, m in enumerate(moments)] == [True, True, True, False, True]


def test_a_lower_capacity_counts_what_was_already_used() -> None:
    tokens = MemoryTokens()
    before = decider_of(cases=5, tokens=tokens)
    assert all(decide(before, number).acted for number in range(3))
    lowered = decider_of(cases=3, tokens=tokens)
    assert not decide(lowered, 9).acted


def test_all_who_share_a_capacity_have_one_cutoff_in_a_slot_whoever_comes_when() -> None:
    tokens = MemoryTokens()
    first, second = (decider_of(cases=12, pace=FLAT, tokens=tokens) for _ in range(2))
    # 12 tokens for 24 cases: the best half of the five gains of the pace
    assert [decide(first, number).cutoff for number in range(6)] == [3.0] * 6
    assert decide(second, 6, gain=1.0).cutoff == 3.0
    # an hour later 6 tokens are left for 23 cases
    assert decide(second, 7, moment=MARCH + HOUR, gain=1.0).cutoff == 5.0
    assert decide(first, 8, moment=MARCH + HOUR, gain=1.0).cutoff == 5.0
    # a process that was started again, and hears late of a case of the first slot
    assert decide(decider_of(cases=12, pace=FLAT, tokens=tokens), 10, gain=1.0).cutoff == 3.0


def test_draws_are_those_of_the_rehearsal() -> None:
    units = np.random.default_rng(1).integers(0, 2**63, 2_000, dtype=np.uint64) * np.uint64(2)
    for salt in (1, 2, 1_007, 123_456_789_012):
        ours = np.array([draw_of(int(unit), salt) for unit in units]) / 2**53
        assert np.array_equal(ours, uniform_of(units, salt))
    chosen = [canary_of(int(unit), salt=7, share=0.1) for unit in units]
    assert chosen == (uniform_of(units, 1_007) < 0.1).tolist()


def test_a_pace_is_the_same_after_its_way_through_json() -> None:
    rng = np.random.default_rng(2)
    moments = MARCH + np.sort(rng.integers(0, 28 * DAY, 9_000))
    gains = rng.normal(-1, 4, 9_000)
    pace = learn_pace(moments, gains, first=MARCH, last=MARCH + 28 * DAY, calendar=Calendar(BERLIN, "day"))
    document = pace_document(pace)

    back = pace_from(json.loads(json.dumps(document)))

    assert pace_document(back) == document
    assert len(back.gains) == PACE_GAINS
    assert len(json.dumps(document)) < 30_000
    span = {"first": MARCH + 28 * DAY, "last": MARCH + 29 * DAY}
    # 9,000 gains thinned to 2,000: the cut-off of the best tenth moves by less than a hundredth of their spread
    assert math.isclose(back.cutoff(tokens=32, **span), pace.cutoff(tokens=32, **span), abs_tol=0.04)
    assert back.cutoff(tokens=250, **span) == pace.cutoff(tokens=250, **span) == 0.0


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"cases_per_hour": [1.0]},
        {"cases_per_hour": [-1.0] * 168},
        {"cases_per_hour": None},
        {"gains": [1.0, 2.0]},
        {"gains": ["many"]},
        {"of": 1},
    ],
)
def test_a_document_that_is_no_pace_is_refused(change: dict[str, object]) -> None:
    document = pace_document(replace(FLAT, gains=np.array([3.0, 2.0, -1.0])))
    with pytest.raises(BadPace):
        pace_from({**document, **change})
