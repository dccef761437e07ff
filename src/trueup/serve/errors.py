"""What can go wrong in the prediction server, as classes a caller may handle; each has the status it is told with."""

from __future__ import annotations

from typing import ClassVar

from trueup.kernel.errors import TrueupError


class ServeError(TrueupError):
    """Base of every error of this room."""

    code = "serve.error"


class BadCertificate(ServeError):
    """The files given for TLS cannot be read, or the key is not the certificate's."""

    code = "serve.bad-certificate"


class RequestRefused(ServeError):
    """A request is not answered as asked. Its message goes to the caller: nothing of a row, a token or a path in it.

    Attributes
    ----------
    status : int
        The HTTP status the caller gets.
    retry_after_s : int or None
        When to come back, told in ``Retry-After``; None where coming back changes nothing.
    """

    code = "serve.bad-request"
    status: ClassVar[int] = 400

    def __init__(self, message: str, *, retry_after_s: int | None = None, **facts: object) -> None:
        super().__init__(message, **facts)
        self.retry_after_s = retry_after_s


class BadRequest(RequestRefused):
    """The bytes are no HTTP request, or leave open where it ends."""


class RequestTooSlow(RequestRefused):
    """Headers or body did not arrive in time."""

    code = "serve.request-too-slow"
    status = 408


class MethodUnknown(RequestRefused):
    """The method is not one this server has for the resource."""

    code = "serve.method-not-allowed"
    status = 405


class BodyTooLarge(RequestRefused):
    """The body is longer than the server takes."""

    code = "serve.body-too-large"
    status = 413


class TargetTooLong(RequestRefused):
    """The path and query are longer than the server takes."""

    code = "serve.target-too-long"
    status = 414


class CodingUnknown(RequestRefused):
    """The body is compressed, or sent in a transfer coding other than chunked."""

    code = "serve.coding-unknown"
    status = 415


class ExpectationUnknown(RequestRefused):
    """The request expects something other than ``100-continue``."""

    code = "serve.expectation-unknown"
    status = 417


class TooBusy(RequestRefused):
    """More requests came than can be answered in time; this one cost next to nothing and was not looked at."""

    code = "serve.too-busy"
    status = 429


class HeadersTooLarge(RequestRefused):
    """The request has too many headers, or too long ones."""

    code = "serve.headers-too-large"
    status = 431


class AnswerFailed(RequestRefused):
    """The server failed at this request. What went wrong is in its own log, not in the answer."""

    code = "serve.internal"
    status = 500


class TooManyConnections(RequestRefused):
    """The server holds as many connections as it may."""

    code = "serve.too-many-connections"
    status = 503


class BodiesTooMany(RequestRefused):
    """The bodies that callers are sending at the moment need more memory than the server may use for them."""

    code = "serve.bodies-too-many"
    status = 503


class AnswerTooLate(RequestRefused):
    """The answer was not ready in time."""

    code = "serve.answer-too-late"
    status = 503


class VersionUnknown(RequestRefused):
    """The request is not HTTP/1.0 or HTTP/1.1."""

    code = "serve.version-unknown"
    status = 505
