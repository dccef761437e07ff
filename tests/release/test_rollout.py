"""A release bakes before it decides everything, and can always be taken back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trueup.align.charter import ExposureStep
from trueup.kernel.durations import parse_duration
from trueup.release.rollout import Live, Rollout, advance, deciding_share, go_back, start_release

DAY = parse_duration("1d").microseconds
ONE, TWO = Live("one", 0, 0), Live("two", 0, 0)
STEPS = (
    ExposureStep("shadow", 0.0, parse_duration("1d")),
    ExposureStep("canary", 0.1, parse_duration("2d")),
    ExposureStep("full", 1.0, None),
)
FULL = (ExposureStep("full", 1.0, None),)


def test_without_steps_a_release_decides_at_once_and_the_champion_stays_ready() -> None:
    rollout = start_release(Rollout(ONE), TWO, steps=FULL, as_of=0)
    assert rollout == Rollout(TWO, previous=ONE)
    assert go_back(rollout, FULL) == Rollout(ONE)


def test_a_step_lasts_its_whole_bake_period() -> None:
    rollout = start_release(Rollout(ONE), TWO, steps=STEPS, as_of=0)
    same, step = advance(rollout, steps=STEPS, as_of=DAY - 1)
    assert (same, step) == (rollout, None)
    canary, step = advance(rollout, steps=STEPS, as_of=DAY)
    assert step == STEPS[1]
    assert deciding_share(canary, STEPS) == 0.1
    full, step = advance(canary, steps=STEPS, as_of=3 * DAY)
    assert step == STEPS[2]
    assert full.champion.name == "two"
    assert full.champion.since == 3 * DAY


def test_a_canary_taken_back_leaves_the_champion_where_it_was() -> None:
    shadow = start_release(Rollout(ONE), TWO, steps=STEPS, as_of=0)
    canary, _ = advance(shadow, steps=STEPS, as_of=DAY)
    assert go_back(canary, STEPS) == Rollout(ONE)


def test_a_shadow_that_decides_nothing_is_not_blamed_for_the_champion() -> None:
    shadow = start_release(Rollout(ONE), TWO, steps=STEPS, as_of=0)
    assert not shadow.can_go_back(STEPS)
    three = start_release(Rollout(ONE, previous=Live("zero", 0, 0)), TWO, steps=STEPS, as_of=0)
    assert go_back(three, STEPS) == Rollout(Live("zero", 0, 0))


def test_where_there_is_nothing_to_go_back_to_the_champion_stays() -> None:
    assert not Rollout(ONE).can_go_back(STEPS)
    assert go_back(Rollout(ONE), STEPS) == Rollout(ONE)


@given(days=st.lists(st.integers(0, 3), max_size=12), back_at=st.integers(0, 12))
def test_there_is_always_a_champion_and_never_an_unknown_model(days: list[int], back_at: int) -> None:
    rollout, now = start_release(Rollout(ONE), TWO, steps=STEPS, as_of=0), 0
    for turn, gap in enumerate(days):
        now += gap * DAY
        rollout = go_back(rollout, STEPS) if turn == back_at else advance(rollout, steps=STEPS, as_of=now)[0]
        assert rollout.champion.name in ("one", "two")
        assert 0.0 <= deciding_share(rollout, STEPS) <= 1.0
