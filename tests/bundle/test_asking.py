"""A process is asked once, and is gone afterwards, whatever it does."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from trueup.bundle.asking import ask_once
from trueup.bundle.scoring import child_environment
from trueup.bundle.wire import send


def message(body: bytes = b"") -> bytes:
    """Return a message as bytes."""
    pipe = io.BytesIO()
    send(pipe, {"op": "hello"}, body)
    return pipe.getvalue()


def test_an_answer_is_returned_although_the_process_then_waits(answering_instead: Callable[..., None]) -> None:
    answering_instead(message(b"123"))

    asked = ask_once("hello", {}, environment=child_environment(), seconds=60)

    assert asked.answer == ({"op": "hello"}, b"123")
    assert not asked.late


@pytest.mark.parametrize("answer", [b"", b"no message at all, but long enough", message(b"123456")])
def test_a_process_that_gives_no_answer_of_ours_and_waits_is_ended(
    answering_instead: Callable[..., None], answer: bytes
) -> None:
    answering_instead(answer)

    asked = ask_once("hello", {}, environment=child_environment(), seconds=60, most_bytes=5)

    assert asked.answer is None
    assert asked.code == -9


def test_an_answer_that_takes_too_long_is_late(answering_instead: Callable[..., None]) -> None:
    answering_instead(message()[:4], b"")

    asked = ask_once("hello", {}, environment=child_environment(), seconds=2)

    assert (asked.answer, asked.late) == (None, True)
