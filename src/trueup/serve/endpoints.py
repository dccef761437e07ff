"""What does each endpoint answer? From method, path, token and body to a reply; the transport is somebody else's."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from trueup.serve.answering import Answerer, refusal_reply
from trueup.serve.callers import Callers
from trueup.serve.code_samples import URL
from trueup.serve.facts import KINDS, Answers, FactDesk
from trueup.serve.metrics import OPENMETRICS, PLAIN, wants_openmetrics
from trueup.serve.open_inference import model_metadata, read_inference, server_metadata
from trueup.serve.openapi import openapi_document
from trueup.serve.refusals import NoSuchPath, NotReady, Refused
from trueup.serve.replies import Reply
from trueup.serve.routes import Route, Routes

Told = Reply | Coroutine[Any, Any, Reply]
"""A reply, or one that waits for a model in another process."""
Headers = Mapping[bytes, bytes]
_HOST = re.compile(rb"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
"""What of a ``Host`` header is repeated: a name or an address, and a port."""
_TOKEN = b"authorization"


@dataclass
class Desk:
    """What answers for one project; `callers` is replaced with every new desired state."""

    answerer: Answerer
    facts: FactDesk
    callers: Callers


class Endpoints:
    """All endpoints of one process.

    Parameters
    ----------
    desks : mapping of str to Desk
        By project.
    metrics : callable
        Returns the text of ``GET /metrics``; in OpenMetrics where it is given True.
    is_ready : callable
        Whether the server should be sent requests: it is warm, and can log.
    scheme : str
        http, or https where the server speaks TLS; the samples of ``/openapi.json`` ask so.
    """

    def __init__(
        self,
        desks: Mapping[str, Desk],
        *,
        metrics: Callable[[bool], bytes],
        is_ready: Callable[[], bool],
        scheme: str = "http",
    ) -> None:
        self._scheme = scheme
        self._desks = dict(desks)
        self._routes = Routes(list(desks))
        self._metrics, self._is_ready = metrics, is_ready
        self._operations: dict[str, Callable[[Route, Headers, bytes, int, int], Told]] = {
            "predict": self._predict,
            "infer": self._infer,
            **dict.fromkeys(KINDS, self._take_facts),
            "model_metadata": self._model_metadata,
            "model_ready": self._model_ready,
            "server_metadata": lambda *_: Reply(200, server_metadata()),
            "live": lambda *_: Reply(200, b'{"live":true}'),
            "ready": lambda *_: self._ready({}),
            "openapi": self._document,
            "metrics": self._tell_metrics,
        }

    def handle(self, method: bytes, path: bytes, *, headers: Headers, body: bytes, now: int, started_ns: int) -> Told:
        """Return the answer to a request.

        Parameters
        ----------
        method, path : bytes
            The path without its query.
        headers : mapping of bytes to bytes
            By lower-case names.
        body : bytes
        now : int
            Microseconds UTC.
        started_ns : int
            See `Answerer.answer`.
        """
        try:
            route = self._routes.find(method, path)
            return self._operations[route.operation](route, headers, body, now, started_ns)
        except Refused as refused:
            return refusal_reply(refused)

    def _predict(self, route: Route, headers: Headers, body: bytes, now: int, started_ns: int) -> Told:
        desk = self._desks[route.project]
        caller = desk.callers.name_of(headers.get(_TOKEN), scope="predict", now=now)
        begun = desk.answerer.begin(body, caller=caller, now=now, started_ns=started_ns)
        if isinstance(begun, Reply):
            begun.project = route.project
            return begun
        return _later(desk.answerer.wait(begun), route.project)

    def _infer(self, route: Route, headers: Headers, body: bytes, now: int, started_ns: int) -> Told:
        desk = self._versioned(route)
        caller = desk.callers.name_of(headers.get(_TOKEN), scope="predict", now=now)
        most_rows = desk.answerer.loadout.champion.reader.most_rows
        asked, form = read_inference(body, model=route.project, most_rows=most_rows)
        begun = desk.answerer.begin_asked(asked, caller=caller, now=now, started_ns=started_ns, form=form)
        if isinstance(begun, Reply):
            begun.project = route.project
            return begun
        return _later(desk.answerer.wait(begun), route.project)

    def _take_facts(self, route: Route, headers: Headers, body: bytes, now: int, _started_ns: int) -> Reply:
        desk = self._desks[route.project]
        caller = desk.callers.name_of(headers.get(_TOKEN), scope="facts", now=now)
        loadout = desk.answerer.loadout
        answers = Answers(loadout.policy.task, loadout.champion.classes)
        reply = desk.facts.take(route.operation, body, answers=answers, caller=caller, now=now)
        reply.project = route.project
        return reply

    def _model_metadata(self, route: Route, headers: Headers, _body: bytes, now: int, _ns: int) -> Reply:
        desk = self._versioned(route)
        desk.callers.name_of(headers.get(_TOKEN), scope="predict", now=now)
        return Reply(200, model_metadata(route.project, desk.answerer.loadout))

    def _model_ready(self, route: Route, *_: object) -> Reply:
        self._versioned(route)
        return self._ready({"name": route.project})

    def _ready(self, named: Mapping[str, str]) -> Reply:
        if not self._is_ready():
            raise NotReady("the server is not ready yet, cannot log, or is about to stop")
        name = "".join(f'"name":"{name}",' for name in named.values())
        return Reply(200, f'{{{name}"ready":true}}'.encode())

    def _tell_metrics(self, _route: Route, headers: Headers, _body: bytes, now: int, _ns: int) -> Reply:
        self._of_whom(lambda callers: callers.name_of(headers.get(_TOKEN), scope="metrics", now=now))
        openmetrics = wants_openmetrics(headers.get(b"accept", b""))
        kind = OPENMETRICS if openmetrics else PLAIN
        return Reply(200, self._metrics(openmetrics), content_type=kind, headers=((b"vary", b"accept"),))

    def _document(self, _route: Route, headers: Headers, _body: bytes, now: int, _ns: int) -> Reply:
        known = self._of_whom(lambda callers: callers.admit(headers.get(_TOKEN), now=now))
        host = headers.get(b"host", b"")
        url = f"{self._scheme}://{host.decode()}" if _HOST.fullmatch(host) else URL
        return Reply(200, openapi_document({name: self._desks[name].answerer.loadout for name in known}, url=url))

    def _of_whom(self, ask: Callable[[Callers], object]) -> list[str]:
        """Return the projects whose callers do not refuse; what the first says where all do."""
        known: list[str] = []
        refused: Refused | None = None
        for name, desk in self._desks.items():
            try:
                ask(desk.callers)
            except Refused as error:
                refused = refused or error
            else:
                known.append(name)
        if not known:
            raise refused or NoSuchPath("nothing is served here")
        return known

    def _versioned(self, route: Route) -> Desk:
        desk = self._desks[route.project]
        if route.version and route.version != desk.answerer.loadout.champion.digest:
            raise NoSuchPath("this version does not decide here; leave it out to ask the one that does")
        return desk


async def _later(waiting: Coroutine[Any, Any, Reply], project: str) -> Reply:
    reply = await waiting
    reply.project = project
    return reply
