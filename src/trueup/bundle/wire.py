"""How do a caller and the process that holds a model talk? Length-prefixed messages of JSON and bytes over pipes."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

_LENGTHS = struct.Struct(">IQ")
_MOST_TEXT_BYTES = 1 << 26
"""64 MiB. The longest text of ours lists the rows that a model refuses, 8 bytes each: 8 million of them."""
MOST_ANSWER_BYTES = 1 << 30
"""1 GiB: scores of 134 million rows, or the files of a compiled model, of which a server holds one in every process. So
much a caller may hold for a process that runs a model's own code, and lies."""
MOST_ASKED_BYTES = 1 << 33
"""8 GiB: the most an archive of a bundle may hold, so no model is larger. The process reads what we write."""


def send(stream: IO[bytes], head: dict[str, Any], body: bytes = b"") -> None:
    """Write one message and flush it."""
    text = json.dumps(head).encode()
    stream.write(_LENGTHS.pack(len(text), len(body)))
    stream.write(text)
    stream.write(body)
    stream.flush()


@contextmanager
def at_most(seconds: float, end: Callable[[], object]) -> Iterator[None]:
    """Call `end` from another thread where the block takes longer than `seconds`."""
    watch = threading.Timer(seconds, end)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def receive(stream: IO[bytes], *, most_bytes: int = MOST_ASKED_BYTES) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message; None where the other side has ended, also in the middle of a message.

    What is no message, or has a longer body than `most_bytes`, counts as that too: the other side may run foreign code.
    """
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    text_length, body_length = _LENGTHS.unpack(lengths)
    if text_length > _MOST_TEXT_BYTES or body_length > most_bytes:
        return None
    text, body = stream.read(text_length), stream.read(body_length)
    if len(text) < text_length or len(body) < body_length:
        return None
    try:
        head = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return (head, body) if isinstance(head, dict) else None
