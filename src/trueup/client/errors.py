"""Why was a server not asked, or what did it refuse?"""

from __future__ import annotations

from trueup.kernel.errors import TrueupError


class ClientError(TrueupError):
    """Base of what can go wrong between a program and a prediction server.

    Attributes
    ----------
    code : str
        Of the server's refusal where it gave one (docs/serving.md lists them); else this class's own.
    """

    code = "client.error"

    def __init__(self, message: str, *, code: str | None = None, **facts: object) -> None:
        super().__init__(message, **facts)
        if code is not None:
            self.code = code


class NotReachable(ClientError):
    """No answer came before the deadline; what was asked may have been decided and logged.

    Asking again with the same ids counts once.
    """

    code = "client.not-reachable"


class BadUrl(ClientError):
    """What was given as the server's URL is none."""

    code = "client.bad-url"


class BadAnswer(ClientError):
    """Something answered that is no prediction server, or one of another version."""

    code = "client.bad-answer"


class NoProject(ClientError):
    """A call needs a project, and none was named."""

    code = "client.no-project"


class BatchFull(ClientError):
    """A batch holds as many outcomes as it may, and they could not be sent; the new one was not taken."""

    code = "client.batch-full"


class NotSent(ClientError):
    """A batch was closed with outcomes that could not be sent; they are still in its `waiting`."""

    code = "client.not-sent"


class Refusal(ClientError):
    """The server said no.

    Attributes
    ----------
    status : int
        The HTTP status.
    row : int or None
        The row or fact that was refused, from 0, where the server named one.
    field : str or None
        What of it.
    """

    code = "client.refused"

    def __init__(
        self, message: str, *, status: int, code: str | None = None, row: int | None = None, field: str | None = None
    ) -> None:
        super().__init__(message, code=code, status=status, row=row, field=field)
        self.status, self.row, self.field = status, row, field


class Refused(Refusal):
    """The server will not do this, however often it is asked."""


class NotAllowed(Refused):
    """The token is not known, has ended, or is not good for this."""

    code = "client.not-allowed"


class Unavailable(Refusal):
    """The server kept saying "not now" until the deadline."""

    code = "client.unavailable"
