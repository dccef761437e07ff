"""Was this request answered before? Answers that a caller may ask for again, by the id it gave, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from trueup.serve.refusals import IdReused

if TYPE_CHECKING:
    from trueup.serve.replies import Reply
    from trueup.serve.work import Work

Key = tuple[str, bytes]
"""The name of the token, and the 16 bytes of the caller's id."""
MOST_BYTES = 16 * 1024 * 1024
_OVERHEAD = 400


class Retries:
    """Answers by the caller's own id, the latest first.

    Parameters
    ----------
    most_bytes : int
        Of all kept answers; the oldest are dropped.

    Notes
    -----
    A retry that comes after its answer was dropped, or at another process, is decided again and recorded under the same
    id: views of the log and the capacity count it once.
    """

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[Key, tuple[int, Reply | Work]] = OrderedDict()
        self._most = most_bytes
        self._bytes = 0

    def find(self, key: Key, body_hash: int) -> Reply | Work | None:
        """Return what is known of a request: its answer, or the work on it.

        Raises
        ------
        IdReused
            When the id came with another body.
        """
        found = self._kept.get(key)
        if found is None:
            return None
        if found[0] != body_hash:
            raise IdReused(
                "the prediction_id was used for another request; make a new one, or leave it out",
                field="prediction_id",
            )
        return found[1]

    def keep(self, key: Key, body_hash: int, known: Reply | Work) -> None:
        """Remember the answer to a request, or the work on it, over what was known before."""
        self.forget(key)
        self._kept[key] = (body_hash, known)
        self._bytes += _size_of(known) + _OVERHEAD
        while self._bytes > self._most and len(self._kept) > 1:
            self.forget(next(iter(self._kept)))

    def recorded(self, key: Key, reply: Reply) -> None:
        """Know that an answer is in the log: a retry is told it again, without a record."""
        found = self._kept.get(key)
        if found is not None:
            self.keep(key, found[0], msgspec.structs.replace(reply, frame=None, shadowed=None, rows=0, decided=()))

    def forget(self, key: Key) -> None:
        """Know nothing of a request, so that a retry is decided again."""
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= _size_of(found[1]) + _OVERHEAD


def _size_of(known: Reply | Work) -> int:
    body = getattr(known, "body", b"")
    return len(body) + len(getattr(known, "frame", None) or b"")
