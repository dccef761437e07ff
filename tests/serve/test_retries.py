from __future__ import annotations

import pytest

from trueup.serve.refusals import IdReused
from trueup.serve.replies import Reply
from trueup.serve.retries import Retries

KEY = ("tests", bytes(16))


def test_a_recorded_answer_is_found_without_its_frame() -> None:
    retries = Retries()
    reply = Reply(200, b"{}", b"frame", rows=1)
    retries.keep(KEY, 7, reply)
    assert retries.find(KEY, 7) is reply
    retries.recorded(KEY, reply)
    found = retries.find(KEY, 7)
    assert isinstance(found, Reply)
    assert (found.body, found.frame, found.rows) == (b"{}", None, 0)


def test_another_body_under_the_same_id_is_refused() -> None:
    retries = Retries()
    retries.keep(KEY, 7, Reply(200, b"{}"))
    with pytest.raises(IdReused):
        retries.find(KEY, 8)


def test_memory_is_bounded_and_the_oldest_are_dropped() -> None:
    retries = Retries(most_bytes=3_000)
    keys = [("tests", number.to_bytes(16, "big")) for number in range(10)]
    for key in keys:
        retries.keep(key, 0, Reply(200, b"x" * 600))
    assert [retries.find(key, 0) is not None for key in keys] == [False] * 7 + [True] * 3


def test_what_was_forgotten_is_not_remembered_when_its_record_is_written() -> None:
    retries = Retries()
    retries.keep(KEY, 7, Reply(200, b"{}", b"frame"))
    retries.forget(KEY)
    retries.recorded(KEY, Reply(200, b"{}", b"frame"))
    assert retries.find(KEY, 7) is None
