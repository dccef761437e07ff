"""What is a prediction called? UUIDv7: sixteen bytes that sort by time, made here or brought by the caller."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from uuid import UUID

from trueup.kernel.errors import TrueupError

_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_COUNTER_BITS = 74


class BadId(TrueupError):
    """A text is no UUIDv7."""

    code = "kernel.bad-id"


class IdMint:
    """Makes ids that grow: those of one mint sort in the order they were made, also within a millisecond.

    Parameters
    ----------
    random : callable
        Returns so many random bytes; default: the operating system's.

    Notes
    -----
    RFC 9562, section 6.2, method 2: within a millisecond, or when the clock goes back, the random part counts on from
    where it stood by a random step.
    """

    def __init__(self, *, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._millisecond = self._rest = 0
        self._steps = b""

    def new(self, moment: int) -> bytes:
        """Return a new id, 16 bytes, for a moment in microseconds UTC."""
        millisecond = moment // 1000
        if millisecond > self._millisecond:
            self._millisecond = millisecond
            self._rest = int.from_bytes(self._random(10), "big") >> 80 - _COUNTER_BITS + 1  # room to count on from
        else:
            self._rest += 1 + int.from_bytes(self._step(), "big")
        head = self._millisecond << 80 | 7 << 76 | (self._rest >> 62 & 0xFFF) << 64
        return (head | 2 << 62 | self._rest & 0x3FFFFFFFFFFFFFFF).to_bytes(16, "big")

    def _step(self) -> bytes:
        if not self._steps:
            self._steps = self._random(4096)
        step, self._steps = self._steps[:4], self._steps[4:]
        return step


def id_as_text(content: bytes) -> str:
    """Return an id in the usual form, such as ``01890a5d-ac96-774b-bcce-b302099a8057``."""
    text = content.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_id(text: str) -> bytes:
    """Return the 16 bytes of an id in the usual form.

    Raises
    ------
    BadId
        When it is anything but a UUID of version 7.

    Examples
    --------
    >>> parse_id("01890a5d-ac96-774b-bcce-b302099a8057").hex()
    '01890a5dac96774bbcceb302099a8057'
    """
    if not _TEXT.fullmatch(text):
        raise BadId(
            "an id must be a UUID of version 7, such as 01890a5d-ac96-774b-bcce-b302099a8057; leave it out to be given "
            "one"
        )
    return UUID(text).bytes


def millisecond_of(content: bytes) -> int:
    """Return the time in an id, in milliseconds since 1970 UTC."""
    return int.from_bytes(content[:6], "big")
