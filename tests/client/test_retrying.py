"""When is a server asked again? The conversation alone: no network, the clock in the test's hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.client.errors import BadAnswer, ClientError, NotAllowed, NotReachable, Refused, Unavailable
from trueup.client.retrying import AGAIN, Answer, NoAnswer, Pause, RetryPolicy, Send, converse

POLICY = RetryPolicy(deadline_s=10, attempt_s=4, first_pause_s=1, longest_pause_s=4)
GOOD = Answer(200, {}, b"{}")
GONE = NoAnswer("connection refused")


def busy(after: str = "", status: int = 429) -> Answer:
    return Answer(status, {"retry-after": after}, b'{"error":"too busy","code":"serve.too-busy"}')


class Played:
    """A conversation that was told some answers, the last again and again; an attempt takes `takes` seconds."""

    def __init__(self, *told: Answer | NoAnswer, takes: float = 0.0, policy: RetryPolicy = POLICY) -> None:
        self.now = 100.0
        self.timeouts: list[float] = []
        self.pauses: list[float] = []
        self.answer: Answer | None = None
        self.error: ClientError | None = None
        left = list(told)
        steps = converse("http://x", policy, now=lambda: self.now, chance=lambda: 1.0, wall=lambda: 784111777.0)
        step = next(steps)
        try:
            while True:
                if isinstance(step, Send):
                    self.timeouts.append(step.timeout_s)
                    self.now += min(takes, step.timeout_s)
                    step = steps.send(left.pop(0) if len(left) > 1 else left[0])
                else:
                    assert isinstance(step, Pause)
                    self.pauses.append(step.seconds)
                    self.now += step.seconds
                    step = steps.send(None)
        except StopIteration as ended:
            self.answer = ended.value
        except ClientError as error:
            self.error = error


def test_a_good_answer_ends_it_at_once() -> None:
    played = Played(GOOD)
    assert (played.answer, played.pauses, played.timeouts) == (GOOD, [], [4])


def test_pauses_double_to_their_longest() -> None:
    assert Played(GONE, GONE, GONE, GOOD).pauses == [1, 2, 4]


def test_what_the_server_asks_to_wait_is_waited_and_some_more() -> None:
    assert Played(busy("3"), GOOD).pauses == [4]
    assert Played(busy("Sun, 06 Nov 1994 08:49:40 GMT"), GOOD).pauses == [4]
    assert Played(busy("nonsense"), GOOD).pauses == [1]


def test_it_does_not_wait_for_a_pause_that_ends_after_the_deadline() -> None:
    played = Played(busy("60", 503))
    assert played.now == 100.0
    assert isinstance(played.error, Unavailable)
    assert (played.error.status, played.error.code) == (503, "serve.too-busy")


def test_attempts_and_pauses_together_stay_within_the_deadline() -> None:
    played = Played(GONE, takes=3)
    assert isinstance(played.error, NotReachable)
    assert "connection refused" in played.error.message
    assert (played.timeouts, played.pauses) == ([4, 4, 1], [1, 2])  # 3 + 1 + 3 + 2, and 1 is left for the last
    assert played.now == 110.0


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Refused), (401, NotAllowed), (403, NotAllowed), (409, Refused), (422, Refused)]
)
def test_what_is_refused_for_good_is_not_asked_again(status: int, kind: type[Refused]) -> None:
    body = b'{"error":"row 2 lacks amount","code":"serve.bad-row","row":2,"field":"amount"}'
    played = Played(Answer(status, {}, body))
    assert type(played.error) is kind
    assert (len(played.timeouts), played.error.row, played.error.field) == (1, 2, "amount")
    assert (played.error.code, played.error.message) == ("serve.bad-row", "row 2 lacks amount")


def test_an_answer_of_something_else_is_told_as_such() -> None:
    assert isinstance(Played(Answer(404, {}, b"<html>not here</html>")).error, BadAnswer)
    assert isinstance(Played(Answer(502, {}, b"<html>bad gateway</html>")).error, Unavailable)


answers: st.SearchStrategy[Any] = st.one_of(
    st.just(GONE),
    st.builds(busy, st.sampled_from(["", "0", "1", "7"]), st.sampled_from(sorted(AGAIN))),
    st.just(GOOD),
)


@given(st.lists(answers, min_size=1, max_size=20), st.floats(0.001, 3))
def test_whatever_comes_the_deadline_is_kept(told: list[Answer | NoAnswer], takes: float) -> None:
    played = Played(*told, takes=takes)
    assert (played.answer is None) != (played.error is None)
    assert played.now <= 100.0 + POLICY.deadline_s + 0.001
