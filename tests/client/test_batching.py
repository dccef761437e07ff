"""Which outcomes wait, and when is it time? The clock in the test's hand, no network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.client.batching import WaitingOutcomes
from trueup.client.errors import BatchFull, NotAllowed, NotReachable, NotSent, Refused
from trueup.client.facts import Outcome


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def some(count: int, start: int = 0) -> list[Outcome]:
    return [Outcome(outcome=True, association_id=f"A-{number}") for number in range(start, start + count)]


def waiting(count: int, *, clock: Clock | None = None, most: int = 3, room: int = 5) -> WaitingOutcomes:
    made = WaitingOutcomes(most=most, seconds=10, room=room, now=clock or Clock())
    for outcome in some(count):
        made.take(outcome)
    return made


def test_it_is_time_when_there_are_enough_or_the_first_waits_long_enough() -> None:
    clock = Clock()
    assert not waiting(0, clock=clock).is_due
    assert waiting(3, clock=clock).is_due
    two = waiting(2, clock=clock)
    assert not two.is_due
    clock.now = 10.0
    assert two.is_due


def test_no_more_are_sent_at_once_than_agreed_the_oldest_first() -> None:
    made = waiting(5)
    assert made.next() == tuple(some(3))
    made.sent(3)
    assert made.next() == tuple(some(2, start=3))


def test_after_a_failure_everything_is_kept_and_it_is_time_again_after_the_seconds() -> None:
    clock = Clock()
    made = waiting(4, clock=clock)
    assert not made.failed(NotReachable("gone"))
    assert made.waiting == tuple(some(4))
    assert not made.is_due
    clock.now = 10.0
    assert made.is_due


def test_one_that_is_refused_is_set_aside_and_does_not_keep_the_others() -> None:
    made = waiting(3)
    error = Refused("fact 1 has the wrong outcome", status=422, row=1)
    assert made.failed(error)
    assert [one.association_id for one in made.waiting] == ["A-0", "A-2"]
    assert (made.refused[0].outcome, made.refused[0].error) == (some(1, start=1)[0], error)


def test_a_token_that_ended_loses_nothing() -> None:
    made = waiting(2)
    assert not made.failed(NotAllowed("the token ended", status=401))
    assert len(made.waiting) == 2


def test_a_full_batch_refuses_the_next_one_and_says_why_it_is_full() -> None:
    made = waiting(5)
    made.failed(NotReachable("nobody is there"))
    with pytest.raises(BatchFull, match=r"5 outcomes wait.*nobody is there"):
        made.take(some(1)[0])
    assert len(made.waiting) == 5


def test_what_was_not_sent_is_said_at_the_end() -> None:
    made = waiting(0)
    made.check_sent()
    made = waiting(2)
    made.failed(NotReachable("nobody is there"))
    with pytest.raises(NotSent, match="2 outcomes could not be sent"):
        made.check_sent()


def test_sizes_that_a_server_would_refuse_are_refused_here() -> None:
    with pytest.raises(ValueError, match="1001"):
        waiting(0, most=1001)


@given(st.lists(st.sampled_from(["take", "send", "fail", "refuse"]), max_size=60))
def test_each_outcome_is_waiting_sent_or_refused_exactly_once(steps: list[str]) -> None:
    made = waiting(0)
    taken: list[str | int | None] = []
    sent: list[str | int | None] = []
    for number, step in enumerate(steps):
        batch = made.next()
        if step == "take":
            try:
                made.take(Outcome(outcome=True, association_id=number))
                taken.append(number)
            except BatchFull:
                assert len(made.waiting) + len(made.refused) == 5
        elif batch and step == "send":
            made.sent(len(batch))
            sent += [one.association_id for one in batch]
        elif batch:
            made.failed(NotReachable("x") if step == "fail" else Refused("x", status=422, row=len(batch) - 1))
    refused = [one.outcome.association_id for one in made.refused]
    assert sorted([*sent, *refused, *(one.association_id for one in made.waiting)], key=str) == sorted(taken, key=str)
