"""What does a caller hear whose request is not answered? A status, a stable code, and what to do; nothing of a row.

The answer is one JSON object, ``{"error": "...", "code": "serve.bad-row", "row": 0, "field": "amount"}``: `error` is a
text, as clients of the Open Inference Protocol expect it. A name is told only where it is one of the schema's.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from trueup.bundle.errors import RowBreaksSchema
from trueup.serve.errors import ServeError

Headers = tuple[tuple[bytes, bytes], ...]
_encode = msgspec.json.Encoder().encode


class Refused(ServeError):
    """Base of what a caller is told instead of an answer."""

    code = "serve.refused"
    status: ClassVar[int] = 422
    headers: Headers = ()

    @property
    def body(self) -> bytes:
        """Return the answer's JSON."""
        places = {name: self.facts[name] for name in ("row", "field") if self.facts.get(name) not in (None, "")}
        return _encode({"error": self.message, "code": self.code, **places})


class NotJson(Refused):
    """The body is no JSON text in UTF-8."""

    code = "serve.not-json"
    status = 400


class BadForm(Refused):
    """The JSON around the rows or facts is not of the form that was agreed."""

    code = "serve.bad-form"


class BadRow(Refused):
    """A row breaks the schema; row and field are named, the value is not."""

    code = "serve.bad-row"


class TooManyRows(Refused):
    """The request holds more rows or facts than are answered at once."""

    code = "serve.too-many-rows"
    status = 413


class IdReused(Refused):
    """The id was used for another request, or another fact."""

    code = "serve.id-reused"
    status = 409


class NoDecision(Refused):
    """No model answers, and the charter signs no fallback that could."""

    code = "serve.no-decision"
    status = 503
    headers = ((b"retry-after", b"1"),)


class NotReady(Refused):
    """The server is not warm yet, cannot log, or is about to stop."""

    code = "serve.not-ready"
    status = 503
    headers = ((b"retry-after", b"1"),)


class NoToken(Refused):
    """The request says no token that is known and still good."""

    code = "serve.no-token"
    status = 401
    headers = ((b"www-authenticate", b'Bearer realm="trueup"'),)


class WrongScope(Refused):
    """The token is good, but not for this."""

    code = "serve.wrong-scope"
    status = 403
    headers = ((b"www-authenticate", b'Bearer realm="trueup", error="insufficient_scope"'),)


class NoSuchPath(Refused):
    """Nothing is at this path: no such endpoint, project, model or version."""

    code = "serve.no-such-path"
    status = 404


class WrongMethod(Refused):
    """The path is there, for other methods."""

    code = "serve.wrong-method"
    status = 405

    def __init__(self, message: str, *, allowed: str) -> None:
        super().__init__(message, allowed=allowed)
        self.headers = ((b"allow", allowed.encode()),)


def bad_row(error: RowBreaksSchema) -> Refused:
    """Return the refusal of a row that a decoder refused."""
    if not error.facts.get("field") and error.message.startswith("the request is no JSON"):
        return NotJson(error.message)
    return BadRow(error.message, **error.facts)
