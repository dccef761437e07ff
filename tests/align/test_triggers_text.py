"""Are the short texts of a charter read as their words say?"""

from __future__ import annotations

import pytest

from trueup.align.charter import ExposureStep, Limit, Trigger
from trueup.align.triggers_text import check_exposure, parse_exposure, parse_limit, parse_trigger
from trueup.kernel.durations import parse_duration


def test_a_rhythm_is_a_duration_or_a_period() -> None:
    assert parse_trigger("every 30d") == Trigger("every 30d", "every", every=parse_duration("30d"))
    assert parse_trigger("every month") == Trigger("every month", "every", every_period="month")


@pytest.mark.parametrize(
    ("text", "metric", "limit", "relative", "window"),
    [
        ("drift_cost > 5% of promise for 7d", "drift_cost", Limit(">", 0.05), True, "7d"),
        ("realised_value < 80% of promise over 30d", "realised_value", Limit("<", 0.8), True, "30d"),
        ("realised_performance < 0.7 over 60d", "realised_performance", Limit("<", 0.7), False, "60d"),
        ("estimated_performance<95% of release over 30d", "estimated_performance", Limit("<", 0.95), True, "30d"),
        ("estimated_value <= -5e3 over 2w", "estimated_value", Limit("<=", -5000.0), False, "2w"),
    ],
)
def test_a_condition_is_metric_limit_and_window(
    text: str, metric: str, limit: Limit, relative: bool, window: str
) -> None:
    trigger = parse_trigger(text)
    assert (trigger.text, trigger.kind, trigger.metric, trigger.limit) == (text, "metric", metric, limit)
    assert (trigger.relative_to_promise, trigger.window) == (relative, parse_duration(window))


def test_new_final_outcomes_are_counted() -> None:
    assert parse_trigger("new_final_outcomes >= 5000").count == 5000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("every fortnight", "every and a duration"),
        ("every 0d", "every and a duration"),
        ("every mont", 'did you mean "month"?'),
        ("drift > 5% of promise for 7d", "drift_cost"),
        ("drift_cost < 5% of promise for 7d", "gets worse as it rises"),
        ("realised_value > 5% of promise for 7d", "gets worse as it falls"),
        ("realised_value < 80% of release over 30d", "compared with the promise"),
        ("realised_performance < 80% of promise over 30d", "compared with the release"),
        ("realised_value < 80% over 30d", "a share needs both"),
        ("realised_value < 80 of promise over 30d", "a share needs both"),
        ("realised_value < 80% of promise", "has no window"),
        ("realised_value < 80% of promise over 3 months", "is not a duration"),
        ("new_final_outcomes >= 0", "1 or more"),
        ("when the moon is full", "is not a trigger"),
    ],
)
def test_a_text_that_is_no_trigger_says_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        parse_trigger(text)


def test_a_limit_is_a_sign_and_a_number() -> None:
    assert parse_limit(">= 0.70") == Limit(">=", 0.7)
    with pytest.raises(ValueError, match="is not a limit"):
        parse_limit("= 4")


def test_exposure_only_ever_grows_and_ends_with_everybody() -> None:
    steps = tuple(parse_exposure(text) for text in ("shadow 1d", "canary 10% 2d", "canary 50% 12h", "full"))
    assert [step.share for step in steps] == [0.0, 0.1, 0.5, 1.0]
    assert steps[0] == ExposureStep("shadow", 0.0, parse_duration("1d"))
    check_exposure(steps)
    with pytest.raises(ValueError, match="more cases than the one before"):
        check_exposure((steps[2], steps[1], steps[3]))
    with pytest.raises(ValueError, match="must be"):
        check_exposure(steps[:2])
