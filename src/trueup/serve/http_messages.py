"""What does a handler get from HTTP, and what does it give back?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

import msgspec

from trueup.serve.errors import RequestRefused

JSON = b"application/json"
HANDED, QUEUED, ANSWERED, GIVEN_UP = range(4)
"""Of a request: with the handler; with the handler, which answers later; answered; nobody waits any more."""


class Response(msgspec.Struct, frozen=True, gc=False):
    """One answer."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Beside content-type, content-length, date and connection, which the front writes; lower-case names."""


class Answering(Protocol):
    """Where the answers of requests go: the connection they came by."""

    def answer(self, request: Request, response: Response) -> None:
        """Send it once those of earlier requests of the connection are sent."""


class Request:
    """One request, whole. The handler owes it one answer, now or later, from the loop's thread.

    Attributes
    ----------
    method : bytes
        As sent, upper case; a ``HEAD`` arrives as ``GET``, and the front leaves the body of its answer out.
    path, query : bytes
        As sent, not percent-decoded; `query` without the question mark, empty when there is none.
    headers : mapping of bytes to bytes
        Lower-case names; values of a repeated header are joined with ``, ``.
    body : bytes
        Empty when there is none.
    received_at : float
        Seconds of the front's clock (monotonic) when the last byte was taken from the connection.
    """

    __slots__ = (
        "_connection",
        "body",
        "body_dropped",
        "closes",
        "encoded",
        "headers",
        "keeps_alive",
        "method",
        "path",
        "query",
        "received_at",
        "state",
    )

    def __init__(
        self,
        connection: Answering,
        method: bytes,
        path: bytes,
        *,
        query: bytes,
        headers: Mapping[bytes, bytes],
        body: bytes,
    ) -> None:
        self._connection = connection
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.received_at = 0.0
        self.body_dropped = False
        self.closes = False
        self.keeps_alive = False
        self.encoded = b""
        self.state = HANDED

    def reply(self, response: Response) -> None:
        """Answer; nothing happens when the caller has gone, or was told meanwhile that the answer is too late.

        Raises
        ------
        RuntimeError
            If the request was answered before: its second answer would go to another request.
        """
        self._connection.answer(self, response)


Handler: TypeAlias = Callable[[Request], Response | None]
"""A response is sent at once; None says that `Request.reply` will be called later."""


class Refusal(msgspec.Struct, frozen=True):
    """The JSON of every error; `error` is a text, as clients of the Open Inference Protocol expect it."""

    error: str
    code: str


def response_to(error: RequestRefused) -> Response:
    """Return how a refusal is told to the caller."""
    body = msgspec.json.encode(Refusal(error.message, error.code))
    after = () if error.retry_after_s is None else ((b"retry-after", b"%d" % error.retry_after_s),)
    return Response(error.status, body, headers=after)
