from __future__ import annotations

import io

import pytest

from trueup.build.wire import receive, send


def test_messages_come_back_in_order_and_then_none() -> None:
    stream = io.BytesIO()
    for message in ({"op": "fit", "text": "über"}, {}):
        send(stream, message)
    stream.seek(0)
    assert [receive(stream) for _ in range(3)] == [{"op": "fit", "text": "über"}, {}, None]


@pytest.mark.parametrize("kept", [1, 5])
def test_a_message_cut_off_in_the_middle_is_the_end(kept: int) -> None:
    stream = io.BytesIO()
    send(stream, {"op": "fit"})
    assert receive(io.BytesIO(stream.getvalue()[:kept])) is None
