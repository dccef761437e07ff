"""How does an answer look on the wire?"""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

from trueup.serve.http_messages import Request, Response

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_BODY = frozenset({204, 304})


class AnswerWriter:
    """Turns answers into bytes; the unchanging part of each kind is made once a second, for its date."""

    __slots__ = ("_date", "_heads")

    def __init__(self, wall_clock: float) -> None:
        self._heads: dict[tuple[int, bytes], bytes] = {}
        self.set_date(wall_clock)

    def set_date(self, wall_clock: float) -> None:
        """Date answers from now on with this many seconds since 1970."""
        self._date = formatdate(wall_clock, usegmt=True).encode()
        self._heads.clear()

    def encoded(self, request: Request, response: Response) -> bytes:
        """Return the whole answer; `request.closes` says so to the caller."""
        key = (response.status, response.content_type)
        head = self._heads.get(key) or self._head(key)
        body = response.body
        more = b""
        if response.headers:
            more = b"".join([b"%b: %b\r\n" % pair for pair in response.headers])
        if request.closes:
            more += b"connection: close\r\n"
        elif request.keeps_alive:
            more += b"connection: keep-alive\r\n"
        if response.status in _NO_BODY:
            return b"%b%b\r\n" % (head, more)
        if request.body_dropped:
            return b"%b%d\r\n%b\r\n" % (head, len(body), more)
        return b"%b%d\r\n%b\r\n%b" % (head, len(body), more, body)

    def _head(self, key: tuple[int, bytes]) -> bytes:
        status, content_type = key
        head = b"HTTP/1.1 %d %b\r\ndate: %b\r\n" % (status, _phrase(status), self._date)
        if status not in _NO_BODY:
            head += b"content-type: %b\r\ncontent-length: " % content_type
        self._heads[key] = head
        return head


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Status"
