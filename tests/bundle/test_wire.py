"""Is what comes through a pipe a whole message, or nothing?"""

from __future__ import annotations

import io
import struct

import pytest

from trueup.bundle.wire import receive, send


def test_a_message_comes_back_with_its_bytes() -> None:
    pipe = io.BytesIO()
    send(pipe, {"op": "score"}, b"123")
    send(pipe, {"op": "close"})
    pipe.seek(0)

    assert [receive(pipe), receive(pipe), receive(pipe)] == [({"op": "score"}, b"123"), ({"op": "close"}, b""), None]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        struct.pack(">IQ", 2, 0) + b"{",
        struct.pack(">IQ", 2, 0) + b"no",
        struct.pack(">IQ", 2, 0) + b"[]",
        struct.pack(">IQ", 2, 2**63) + b"{}",
        struct.pack(">IQ", 2**31, 0) + b"{}",
    ],
)
def test_what_is_no_whole_message_counts_as_the_end(content: bytes) -> None:
    assert receive(io.BytesIO(content)) is None
