"""When is an answer told? Once its record is in the log; and nothing is taken that could not be logged.

The edge between HTTP and the endpoints: requests in, replies recorded, responses out. Shadows are asked when the answer
has left.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from trueup.kernel.periods import moment_of
from trueup.lake.errors import LakeError
from trueup.serve.endpoints import Endpoints
from trueup.serve.http_messages import Refusal, Request, Response
from trueup.serve.metrics import ServerMetrics
from trueup.serve.recording import NotLogged
from trueup.serve.replies import Reply
from trueup.serve.served_project import ServedProject

NOW = b"trueup-now"
"""Header with which a rehearsal says when a case is decided."""
_RETRY = ((b"retry-after", b"1"),)


class _Awaited:
    """A reply that is being recorded; called with what became of that."""

    __slots__ = ("_teller", "asked_ns", "project", "reply", "request")

    def __init__(self, teller: Teller, request: Request, reply: Reply, project: ServedProject) -> None:
        self._teller, self.request, self.reply, self.project = teller, request, reply, project
        self.asked_ns = teller.ticks()

    def __call__(self, error: Exception | None) -> None:
        """Tell the caller."""
        self._teller.recorded(self, error)


class Teller:
    """Handles the requests of one process.

    Parameters
    ----------
    projects : mapping of str to ServedProject
        Each with a desk.
    endpoints : callable
        Makes the endpoints, given whether the process is ready.
    clock : callable
        Microseconds UTC.
    ticks : callable
        Nanoseconds of the clock that `Request.received_at` is of.
    metrics : ServerMetrics
    rehearsing : bool
        Whether requests may say when they are decided.

    Attributes
    ----------
    is_stopping : bool
        Whether the process is about to end: it answers, but is not ready for more.
    """

    def __init__(
        self,
        projects: Mapping[str, ServedProject],
        endpoints: Callable[[Callable[[], bool]], Endpoints],
        *,
        clock: Callable[[], int],
        ticks: Callable[[], int],
        metrics: ServerMetrics,
        rehearsing: bool = False,
    ) -> None:
        self.is_stopping = False
        self._projects = dict(projects)
        self._recorders = [project.recorder for project in projects.values()]
        self._is_one = len(self._recorders) == 1
        self._endpoints = endpoints(self._is_ready)
        self._clock, self.ticks, self._metrics, self._rehearsing = clock, ticks, metrics, rehearsing
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, request: Request) -> Response | None:
        """Answer a request now, or later."""
        if request.method == b"POST" and not self._has_room():
            self._metrics.refused("log")
            full = next((recorder for recorder in self._recorders if not recorder.room()), None)
            return not_logged(full.refusal() if full else None)
        now = self._clock()
        if self._rehearsing and NOW in request.headers:
            try:
                now = _moment(request.headers[NOW])
            except ValueError:
                return Response(400, msgspec.json.encode(Refusal("trueup-now is no time", "serve.bad-form")))
        try:
            told = self._endpoints.handle(
                request.method,
                request.path,
                headers=request.headers,
                body=request.body,
                now=now,
                started_ns=int(request.received_at * 1e9),
            )
        except LakeError:  # personal values could not be sealed, so nothing can be logged
            self._metrics.refused("not-logged")
            return not_logged(None)
        if isinstance(told, Reply):
            return self._tell(request, told)
        self._later(self._wait(request, told))
        return None

    def _is_ready(self) -> bool:
        return not self.is_stopping and self._has_room()

    def _has_room(self) -> bool:
        return self._recorders[0].room() if self._is_one else all(recorder.room() for recorder in self._recorders)

    def _tell(self, request: Request, reply: Reply) -> Response | None:
        if reply.frame is None:
            return Response(reply.status, reply.body, reply.content_type, reply.headers)
        project = self._projects[reply.project]
        awaited = _Awaited(self, request, reply, project)
        rows = reply.rows if reply.decided else 0  # facts are no predictions
        if reply.more_frames:
            project.recorder.record_all((*reply.more_frames, reply.frame), awaited, rows=rows)
        else:
            project.recorder.record(reply.frame, awaited, rows=rows)
        return None

    def recorded(self, awaited: _Awaited, error: Exception | None) -> None:
        """Tell a reply whose record is written, or that it could not be."""
        request, reply, project = awaited.request, awaited.reply, awaited.project
        desk = project.desk
        if desk is not None:
            desk.answerer.recorded(reply, error)
        if error is not None:
            project.counts.shed += 1
            self._metrics.refused("not-logged")
            request.reply(not_logged(error))
            return
        request.reply(Response(reply.status, reply.body, reply.content_type, reply.headers))
        if desk is None or not reply.decided:
            return
        self._count(project, reply, self.ticks() - awaited.asked_ns)
        if reply.shadowed is not None:
            self._shadow(project, reply)
        for frame in desk.answerer.take_events():
            project.recorder.record(frame, _nobody, rows=0)

    def _count(self, project: ServedProject, reply: Reply, log_ns: int) -> None:
        project.counts.served += reply.rows
        self._metrics.predicted(reply, log_ns=log_ns)

    async def _wait(self, request: Request, told: Coroutine[Any, Any, Reply]) -> None:
        try:
            response = self._tell(request, await told)
        except LakeError:
            self._metrics.refused("not-logged")
            response = not_logged(None)
        if response is not None:
            request.reply(response)

    # --- shadows

    def _shadow(self, project: ServedProject, reply: Reply) -> None:
        desk = project.desk
        if desk is None:
            return
        for frame in desk.answerer.shadow_frames(reply):
            project.recorder.record(frame, _nobody, rows=0)
        if any(seat.slow is not None for seat in desk.answerer.loadout.shadows):
            self._later(self._shadow_slowly(project, desk.answerer.slow_shadow_frames(reply)))

    async def _shadow_slowly(self, project: ServedProject, frames: Coroutine[Any, Any, list[bytes]]) -> None:
        for frame in await frames:
            project.recorder.record(frame, _nobody, rows=0)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def not_logged(error: Exception | None) -> Response:
    """Return what a caller hears whose request could not be logged, so that it gets no answer."""
    told = error if isinstance(error, NotLogged) else NotLogged("the log takes no records now; try again later")
    return Response(503, msgspec.json.encode(Refusal(told.message, told.code)), headers=_RETRY)


def _moment(text: bytes) -> int:
    when = dt.datetime.fromisoformat(text.decode("ascii"))
    if when.tzinfo is None:
        raise ValueError("a time without its offset")
    return moment_of(when)


def _nobody(error: Exception | None) -> None:
    """Nobody waits for this record; what the recorder refused is counted there."""
