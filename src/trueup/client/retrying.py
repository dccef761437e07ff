"""When is a server asked again, and when is it given up? One conversation of attempts and pauses, without any network.

Every attempt of a call sends the same bytes, with the ids in them, so a server that decided the first and could not
say so counts it once. Refusals that the same bytes would meet again are not tried again.
"""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import msgspec

from trueup.client.errors import BadAnswer, ClientError, NotAllowed, NotReachable, Refused, Unavailable

AGAIN = frozenset({429, 502, 503, 504})
"""Statuses that say "not now": of the server, and of a proxy before it."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long one call is tried. Seconds."""

    deadline_s: float = 10.0
    """Of the whole call, pauses included."""
    attempt_s: float = 5.0
    """Of one attempt."""
    first_pause_s: float = 0.05
    longest_pause_s: float = 2.0

    def pause(self, attempt: int, *, chance: float) -> float:
        """Return the pause after an attempt, counted from 0: twice as long each time, of which half is by chance.

        Examples
        --------
        >>> [RetryPolicy().pause(attempt, chance=1.0) for attempt in (0, 1, 2, 20)]
        [0.05, 0.1, 0.2, 2.0]
        >>> RetryPolicy().pause(0, chance=0.0)
        0.025
        """
        longest = min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(attempt, 60))
        return longest * (1.0 + chance) / 2.0


@dataclass(frozen=True)
class Call:
    """What is asked, in the bytes that every attempt sends."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True)
class Answer:
    """What came back; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class NoAnswer:
    """An attempt that got none."""

    why: str


@dataclass(frozen=True)
class Send:
    """Send the call; give up the attempt after so many seconds. Told back: an `Answer`, or `NoAnswer`."""

    timeout_s: float


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds. Told back: None."""

    seconds: float


Conversation = Generator[Send | Pause, Answer | NoAnswer | None, Answer]


class _Said(msgspec.Struct):
    error: str
    code: str | None = None
    row: int | None = None
    field: str | None = None


def converse(
    url: str, policy: RetryPolicy, *, now: Callable[[], float], chance: Callable[[], float], wall: Callable[[], float]
) -> Conversation:
    """Carry out one call: yield what to do next, be told what came of it, and return the answer.

    Parameters
    ----------
    url : str
        For messages.
    policy : RetryPolicy
    now, wall : callable
        Seconds: of a clock that never goes back, and since 1970.
    chance : callable
        A number from 0 to 1.

    Raises
    ------
    NotReachable, Unavailable
        Until the deadline nothing else came; there is no waiting for a pause that would end after it.
    Refused, NotAllowed, BadAnswer
    """
    ends, attempt = now() + policy.deadline_s, 0
    while True:
        told = yield Send(max(min(policy.attempt_s, ends - now()), 0.001))
        if isinstance(told, Answer) and told.status < 300:
            return told
        failure, asked_s = _failure(told, url, wall=wall())
        if asked_s is None:
            raise failure
        pause_s = policy.pause(attempt, chance=chance()) + asked_s
        if now() + pause_s >= ends:
            raise failure
        yield Pause(pause_s)
        attempt += 1


def _failure(told: Answer | NoAnswer | None, url: str, *, wall: float) -> tuple[ClientError, float | None]:
    """Return what an attempt failed with, and how long the server asks to wait; None: do not ask again."""
    if not isinstance(told, Answer):
        why = told.why if told is not None else "nothing was sent"
        message = f"{url} did not answer ({why}); see that the server runs. Asking again with the same ids counts once"
        return NotReachable(message), 0.0
    try:
        said = msgspec.json.decode(told.body, type=_Said)
    except (msgspec.DecodeError, RecursionError):
        said = None
    if told.status in AGAIN:
        text = said.error if said else "it cannot answer now"
        code = said.code if said else None
        return Unavailable(text, status=told.status, code=code), _asked_seconds(told, wall=wall)
    if said is None:
        return BadAnswer(f"{url} answered with status {told.status} and no error of a prediction server"), None
    kind = NotAllowed if told.status in {401, 403} else Refused
    return kind(said.error, status=told.status, code=said.code, row=said.row, field=said.field), None


def _asked_seconds(answer: Answer, *, wall: float) -> float:
    """Return the seconds of ``Retry-After``, which is a number or a date; 0 where there is none."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - wall, 0.0)
    except ValueError:
        return 0.0
