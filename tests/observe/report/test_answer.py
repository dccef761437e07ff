from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import pytest

from trueup.align.charter import Charter, RetrainingPolicy, Trigger
from trueup.kernel.durations import parse_duration
from trueup.lake.rehearsals import Rehearsal
from trueup.observe.report.answer import answer_of, model_phrase, net_interval, recommended_strategy


class Sample(Protocol):
    @property
    def rehearsal(self) -> Rehearsal: ...
    @property
    def charter(self) -> Charter: ...


@dataclass(frozen=True)
class Expected:
    word: str
    say: str


SENTENCES = {
    "bookings": Expected(
        "Yes.",
        "A model refitted every month would have earned €225 k over 12 months; a model that is never refitted €169 k.",
    ),
    "rides": Expected(
        "Yes.",
        "A model refitted every month on the last 90 days would have saved €41 k over 6 months; "
        "a model that is never refitted would have lost €14 k.",
    ),
    "quiet": Expected(
        "Not worth retraining.",
        "A model that is never refitted would have earned €169 k over 12 months; a model refitted every month €167 k.",
    ),
    "hopeless": Expected("No.", "A model refitted as in “trailing-30d” would have lost €15 k over 12 months."),
    "no_strategies": Expected("No answer yet.", "Nothing was rehearsed."),
}  # fmt: skip


@pytest.mark.parametrize("name", SENTENCES)
def test_the_first_sentence_gives_answer_amount_and_comparison(every_sample: dict[str, Sample], name: str) -> None:
    answer = answer_of(every_sample[name].rehearsal, every_sample[name].charter)
    assert Expected(answer.word, answer.say.replace("\u00a0", " ")) == SENTENCES[name]


def test_a_range_that_reaches_below_zero_is_only_probable(bookings: Sample) -> None:
    unsure = replace(bookings.rehearsal.strategies[1], value_interval=(2_000.0, 260_870.0))
    answer = answer_of(replace(bookings.rehearsal, strategies=(unsure,)), bookings.charter)
    assert answer.word == "Probably."
    assert "Likely −€750 to €258 k (9 chances in 10)" in answer.how.replace("\u00a0", " ")


def test_retraining_is_not_judged_when_none_was_rehearsed(every_sample: dict[str, Sample]) -> None:
    alone = every_sample["no_windows"]
    assert answer_of(alone.rehearsal, alone.charter).word == "Yes."


def test_the_range_moves_by_what_the_retrainings_cost(bookings: Sample) -> None:
    assert net_interval(bookings.rehearsal.strategies[1]) == (194_290.0, 258_120.0)


def test_the_answer_says_what_it_is_compared_with(bookings: Sample) -> None:
    with_rule = replace(bookings.charter, baseline_rule="lead_time > 90")
    assert "with doing nothing on the same cases" in answer_of(bookings.rehearsal, bookings.charter).how
    assert "your rule before the model" in answer_of(bookings.rehearsal, with_rule).how


def test_the_best_stands_in_when_the_recommended_name_is_missing(bookings: Sample) -> None:
    chosen = recommended_strategy(replace(bookings.rehearsal, recommended="gone"))
    assert chosen is not None
    assert chosen.name == "monthly"


def test_a_policy_of_the_charter_is_named_by_its_rhythm(bookings: Sample) -> None:
    policy = RetrainingPolicy(
        "our-own", (Trigger("every 30d", "every", every=parse_duration("30d")),), parse_duration("365d")
    )
    ours = replace(bookings.rehearsal.strategies[2], name="our-own")
    phrase = model_phrase(ours, replace(bookings.charter, retraining=(policy,)))
    assert phrase == "a model refitted every 30 days on the last 365 days"
