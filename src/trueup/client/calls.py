"""Which call is it, in bytes? Paths and bodies of every request, with an id for everything that must count once."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from trueup.client.errors import BadAnswer, BadUrl, NoProject
from trueup.client.facts import Event, Fact, Intervention, Outcome, Verdict
from trueup.client.retrying import Answer, Call
from trueup.kernel.ids import IdMint, id_as_text, parse_id

T = TypeVar("T")
Row = Mapping[str, object]
_PATHS: Mapping[type, str] = {
    Outcome: "outcomes",
    Intervention: "interventions",
    Verdict: "verdicts",
    Event: "events",
}


def checked_url(url: str) -> str:
    """Return a server's URL without its last slashes.

    Raises
    ------
    BadUrl
        When it does not begin with ``http://`` or ``https://``.

    Examples
    --------
    >>> checked_url("http://localhost:8080/")
    'http://localhost:8080'
    """
    if not url.lower().startswith(("http://", "https://")):
        raise BadUrl(
            f'"{url}" does not begin with http:// or https://; write http://localhost:8080, or https:// with TLS'
        )
    return url.rstrip("/")


class CallMaker:
    """Makes the calls of one client; several threads may ask it.

    Parameters
    ----------
    project : str or None
        The one meant when a call names none; None: the only one of the server.
    moment : callable
        Microseconds UTC, for ids.
    """

    def __init__(self, project: str | None, *, moment: Callable[[], int]) -> None:
        self._project, self._moment = project, moment
        self._mint, self._alone = IdMint(), threading.Lock()

    def predict(
        self,
        rows: Iterable[Row],
        *,
        project: str | None,
        prediction_id: str | None,
        association_ids: Sequence[str | int | None] | None,
        reasons: int,
    ) -> Call:
        """Return ``POST /predict``.

        Raises
        ------
        BadId
            When `prediction_id` is no UUID of version 7.
        """
        body: dict[str, object] = {"rows": list(rows), "prediction_id": self._own(prediction_id)}
        if association_ids is not None:
            body["association_ids"] = list(association_ids)
        if reasons:
            body["reasons"] = reasons
        return Call("POST", self._path("predict", project), _encode(body))

    def infer(
        self,
        inputs: Iterable[Mapping[str, object]],
        *,
        project: str | None,
        prediction_id: str | None,
        outputs: Sequence[str] | None,
    ) -> Call:
        """Return ``POST /v2/models/PROJECT/infer``."""
        body: dict[str, object] = {
            "inputs": list(inputs),
            "parameters": {"prediction_id": self._own(prediction_id)},
        }
        if outputs is not None:
            body["outputs"] = [{"name": name} for name in outputs]
        return Call("POST", f"{self._model_path(project)}/infer", _encode(body))

    def facts(self, kind: type[Fact], facts: Iterable[Fact], *, project: str | None) -> Call:
        """Return the call that records facts of one kind."""
        named = [self.with_id(fact) for fact in facts]
        return Call("POST", self._path(_PATHS[kind], project), _encode(named))

    def with_id(self, fact: Fact) -> Fact:
        """Return a fact with an id of its own, the one it has where it has one."""
        return fact if fact.fact_id is not None else msgspec.structs.replace(fact, fact_id=self._own(None))

    def model(self, project: str | None) -> Call:
        """Return ``GET /v2/models/PROJECT``."""
        return Call("GET", self._model_path(project))

    def _path(self, kind: str, project: str | None) -> str:
        named = project or self._project
        return f"/{kind}/{quote(named, safe='')}" if named else f"/{kind}"

    def _model_path(self, project: str | None) -> str:
        named = project or self._project
        if not named:
            raise NoProject('this call is about one model; name its project: Client(URL, token=..., project="NAME")')
        return f"/v2/models/{quote(named, safe='')}"

    def _own(self, given: str | None) -> str:
        if given is not None:
            return id_as_text(parse_id(given))
        with self._alone:
            return id_as_text(self._mint.new(self._moment()))


def read_answer(answer: Answer, kind: type[T]) -> T:
    """Return an answer as a record.

    Raises
    ------
    BadAnswer
    """
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadAnswer(f"the server's answer is none that this version of Trueup reads: {error}") from error


def _encode(document: object) -> bytes:
    return msgspec.json.encode(document, enc_hook=_plain)


def _plain(value: Any) -> object:
    """Return a scalar of another library (numpy, pandas) as Python's own; one that is no number becomes null."""
    item = getattr(value, "item", None)
    if not callable(item):
        raise TypeError(f"a {type(value).__name__} cannot be sent; send numbers, texts, booleans, dates or None")
    plain = item()
    return None if isinstance(plain, float) and math.isnan(plain) else plain
