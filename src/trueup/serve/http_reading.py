"""Which requests are in the bytes of a connection? Where the bytes leave it open, they are refused, never guessed."""

from __future__ import annotations

from typing import Protocol

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from trueup.serve.errors import (
    BadRequest,
    BodyTooLarge,
    CodingUnknown,
    ExpectationUnknown,
    HeadersTooLarge,
    MethodUnknown,
    TargetTooLong,
    VersionUnknown,
)
from trueup.serve.http_limits import FrontLimits
from trueup.serve.http_messages import Answering, Request

BETWEEN, IN_HEAD, IN_BODY = range(3)


class Receiver(Answering, Protocol):
    """Who gets the requests."""

    def take(self, request: Request) -> None:
        """Answer a whole request."""

    def invite_body(self) -> None:
        """Tell a caller that waits for it to send the body."""

    def holds(self, size: int) -> None:
        """Know how many bytes of a body that is not whole are kept; raise a refusal where that is too much."""


class RequestReader:
    """Reads the requests of one connection, however its bytes are cut.

    Attributes
    ----------
    phase : int
        `BETWEEN` two requests, `IN_HEAD` or `IN_BODY` of one.
    moved : bool
        Set when a head or a body began; for whoever measures how long it takes.
    finished : bool
        Nothing of the connection is read any more: a request said it is the last.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_fed",
        "_framing",
        "_headers",
        "_held",
        "_limits",
        "_method",
        "_most_head",
        "_most_headers",
        "_owner",
        "_parser",
        "_raw_head",
        "_target",
        "_upgrading",
        "finished",
        "moved",
        "phase",
    )

    def __init__(self, owner: Receiver, limits: FrontLimits) -> None:
        self._owner = owner
        self._limits = limits
        self._most_head, self._most_headers = limits.header_bytes, limits.header_count
        self._parser = HttpRequestParser(self)
        self.phase = BETWEEN
        self.moved = False
        self.finished = False
        self._upgrading = False
        self._framing: bytes | None = None
        self._method = b""
        self._fed = self._held = 0
        self._start()

    def feed(self, data: bytes | memoryview) -> None:
        """Read on, and hand over each request that is whole.

        Raises
        ------
        RequestRefused
            After which the connection cannot be read on.
        """
        if self.finished:
            return
        upgraded_at = -1
        self._fed = len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            upgraded_at = upgrade.args[0]
        except HttpParserError as error:
            if not self.finished:
                raise _raised_by(error) from None
        if upgraded_at >= 0:
            self._read_on_past_upgrade(memoryview(data)[upgraded_at:])
        if self.phase == IN_BODY or self._held:
            self._held = self._body_bytes if self.phase == IN_BODY else 0
            self._owner.holds(self._held)
        if self.phase:
            self._raw_head += len(data)
            if self._raw_head > 4 * (self._limits.header_bytes + self._limits.target_bytes):
                raise _headers_too_large(self._limits)

    def close(self) -> None:
        """Let go of the parser, which knows this reader: no cycle is left for the garbage collector."""
        self.finished = True
        del self._parser

    def _start(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._raw_head = self._body_bytes = 0
        self._body: bytes | bytearray = b""

    def _read_on_past_upgrade(self, rest: memoryview) -> None:
        """Ignore an upgrade (RFC 9110, 7.8): the parser stops there, so another reads the body and what follows."""
        if self.finished:
            return
        self._parser = HttpRequestParser(self)
        if self._framing is not None:
            self._upgrading = False
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % self._framing)
            self._framing = None
        if rest:
            self.feed(rest)

    # What the parser calls, in order.

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._framing is None:
            self._start()
            self.phase = IN_HEAD
            self.moved = True

    def on_url(self, part: bytes) -> None:
        """Some of the target."""
        if self._framing is None:
            self._target += part
            if len(self._target) > self._limits.target_bytes:
                raise TargetTooLong(
                    f"path and query are longer than the {self._limits.target_bytes} bytes taken; send data in the body"
                )

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        headers = self._headers
        name = name.lower()
        if len(headers) >= self._most_headers:
            raise _headers_too_large(self._limits)
        if self.phase == IN_HEAD and name not in headers:
            headers[name] = value.rstrip(b" \t")
        else:
            self._repeated_or_trailing(name, value)

    def _repeated_or_trailing(self, name: bytes, value: bytes) -> None:
        """Join the values of a repeated header; one after the body says nothing."""
        if self.phase == IN_HEAD:
            if name == b"host":
                raise BadRequest("the request has more than one Host header; send one")
            self._headers[name] += b", " + value.rstrip(b" \t")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._framing is not None:
            return
        self.phase = IN_BODY
        self.moved = True
        headers = self._headers
        self._method = self._parser.get_method()
        if self._raw_head + self._fed > self._most_head and _bytes_of(headers) > self._most_head:
            raise _headers_too_large(self._limits)
        if b"content-length" in headers or b"transfer-encoding" in headers:
            self._expect_body(headers)
        if b"host" not in headers and self._version() == "1.1":
            raise BadRequest("the request has no Host header, which HTTP/1.1 asks for")
        if self._method == b"CONNECT":
            raise MethodUnknown("this server is no proxy: CONNECT is not answered")
        if b"upgrade" in headers and self._parser.should_upgrade():
            self._upgrading = True

    def _expect_body(self, headers: dict[bytes, bytes]) -> None:
        if b"content-length" in headers:
            if int(headers[b"content-length"]) > self._limits.body_bytes:
                raise _body_too_large(self._limits)
        elif headers[b"transfer-encoding"].lower() != b"chunked":
            raise CodingUnknown("the transfer coding is not chunked; send chunked or with a content-length")
        if b"content-encoding" in headers and headers[b"content-encoding"].lower() != b"identity":
            raise CodingUnknown("the body is compressed, which this server does not take; send it as it is")
        if b"expect" in headers:
            if headers[b"expect"].lower() != b"100-continue":
                raise ExpectationUnknown("the request expects something other than 100-continue")
            self._owner.invite_body()

    def on_body(self, part: bytes) -> None:
        """Some of the body."""
        self._body_bytes += len(part)
        self._raw_head = -self._fed
        if self._body_bytes > self._limits.body_bytes:
            raise _body_too_large(self._limits)
        if not self._body:
            self._body = part
        else:
            if type(self._body) is bytes:
                self._body = bytearray(self._body)
            self._body += part

    def on_message_complete(self) -> None:
        """The request is whole."""
        headers = self._headers
        if self._upgrading:
            framing = [b"%b: %b\r\n" % (name, headers[name]) for name in _FRAMING if name in headers]
            if framing:
                self._framing = b"".join(framing)
                return
            self._upgrading = False
        target = self._target
        if not target.startswith(b"/"):
            target = _origin_form(target)
        path, _, query = target.partition(b"?")
        request = Request(
            self._owner,
            self._method,
            path,
            query=query,
            headers=headers,
            body=self._body if type(self._body) is bytes else bytes(self._body),
        )
        if self._method == b"HEAD":
            request.method, request.body_dropped = b"GET", True
        self.phase = BETWEEN
        if b"connection" in headers or not self._parser.should_keep_alive():
            self._settle_connection(request)
        self._owner.take(request)

    def _settle_connection(self, request: Request) -> None:
        version = self._version()
        if version not in {"1.1", "1.0"}:
            raise VersionUnknown("the request is not HTTP/1.1 or HTTP/1.0; send HTTP/1.1")
        request.closes = self.finished = not self._parser.should_keep_alive()
        request.keeps_alive = version == "1.0" and not request.closes

    def _version(self) -> str:
        return self._parser.get_http_version()


_FRAMING = (b"content-length", b"transfer-encoding")


def _origin_form(target: bytes) -> bytes:
    """Return path and query of an absolute target; ``*`` stays what it is."""
    if target == b"*":
        return target
    _, found, rest = target.partition(b"://")
    if not found:
        raise BadRequest("the target of the request is no path; send one that begins with a slash")
    _, slash, path = rest.partition(b"/")
    return slash + path or b"/"


def _raised_by(error: HttpParserError) -> BaseException:
    """Return what a callback raised, or the parser's own reason, which is one of a fixed list."""
    if isinstance(error, HttpParserCallbackError) and error.__context__ is not None:
        return error.__context__
    return BadRequest(f"this is no HTTP request: {error}; nothing of it was answered")


def _bytes_of(headers: dict[bytes, bytes]) -> int:
    return sum(len(name) + len(value) for name, value in headers.items())


def _headers_too_large(limits: FrontLimits) -> HeadersTooLarge:
    return HeadersTooLarge(
        f"the request has more than {limits.header_count} headers or {limits.header_bytes} bytes of them; send fewer"
    )


def _body_too_large(limits: FrontLimits) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body is longer than the {limits.body_bytes} bytes taken; send the rows in several requests"
    )
