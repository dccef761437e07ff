"""What is a prediction called? UUIDv7: sixteen bytes that sort by time, made here or brought by the caller."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable
from uuid import UUID

from trueup.kernel.errors import TrueupError

_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_LOW = 1 << 62
_VARIANT = 2 << 62


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
        self._millisecond = -1
        self._head = b""
        self._high = self._rest = 0
        self._steps = iter(b"")

    def new(self, moment: int) -> bytes:
        """Return a new id, 16 bytes, for a moment in microseconds UTC."""
        millisecond = moment // 1000
        if millisecond > self._millisecond:
            self._begin(millisecond)
        else:
            self._rest += self._step()
            if self._rest >= _LOW:
                self._carry()
        return self._head + (_VARIANT | self._rest).to_bytes(8, "big")

    def _begin(self, millisecond: int) -> None:
        bits = int.from_bytes(self._random(10), "big")
        self._millisecond = millisecond
        self._high, self._rest = bits >> 69, bits & _LOW - 1  # the highest bit stays 0: room to count on
        self._note_head()

    def _carry(self) -> None:
        self._high, self._rest = self._high + 1, self._rest - _LOW
        if self._high > 0xFFF:  # more ids in a millisecond than there are: borrow from the next one
            self._begin(self._millisecond + 1)
        self._note_head()

    def _note_head(self) -> None:
        self._head = (self._millisecond << 16 | 7 << 12 | self._high).to_bytes(8, "big")

    def _step(self) -> int:
        for step in self._steps:
            return 1 + step
        self._steps = iter(array("I", self._random(4096)))
        return 1


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
