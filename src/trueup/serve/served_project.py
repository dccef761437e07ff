"""How is one project answered in one process? The answer is decided, recorded, and only then told.

Nothing decides here: `answering` does. This joins it to what surrounds it: the log, the tokens of the capacity, the
bundles that are desired, the counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from trueup.align.decision_policy import DecisionPolicy
from trueup.align.streaming import StreamDecider, Terms, TokenCounter, pace_from
from trueup.kernel.ids import IdMint
from trueup.lake.capacity_file import CapacityUnavailable
from trueup.lake.desired_state import DesiredState
from trueup.lake.log_records import CHAMPION
from trueup.serve.answering import Answerer
from trueup.serve.circuit import Circuit
from trueup.serve.http_messages import Refusal, Request, Response
from trueup.serve.loadout import Loadout, Sealer, Seat, seat_of_bundle
from trueup.serve.opening import OpenedBundle
from trueup.serve.recording import NotLogged, Recorder
from trueup.serve.refusals import Refused
from trueup.serve.replies import Reply
from trueup.serve.row_requests import PolicyColumns
from trueup.serve.work import Work

T = TypeVar("T", int, float)
Clock = Callable[[], int]


class NotReady(Refused):
    """The project has no bundle here that could answer yet."""

    code = "serve.not-ready"
    status = 503
    headers = ((b"retry-after", b"1"),)


@dataclass
class ProjectCounts:
    """Since the start of the process."""

    served: int = 0
    """Rows that were answered."""
    logged: int = 0
    """Rows whose record was written."""
    shed: int = 0
    """Requests that were turned away because the log could not take them."""


class Hears(Protocol):
    """Who hears what happens to each answer; called for every request."""

    def answered(self, reply: Reply, *, log_ns: int) -> None:
        """An answer is recorded and told."""

    def shed(self, reason: str) -> None:
        """A request was turned away, or its answer taken back, because it could not be logged."""


class HonestTokens:
    """Tokens that are not there when they cannot be counted: a broken disk lets nobody be acted on, and fails nothing.

    Attributes
    ----------
    problem : str or None
        Why tokens cannot be counted; None while they can.
    """

    def __init__(self, tokens: TokenCounter) -> None:
        self._tokens = tokens
        self.problem: str | None = None

    def used(self, period_start: int) -> tuple[int, int]:
        """See `TokenCounter`."""
        return self._counted(lambda: self._tokens.used(period_start), (1 << 62, 0))

    def allowed(self, period_start: int, cases: int) -> tuple[int, float]:
        """See `TokenCounter`."""
        return self._counted(lambda: self._tokens.allowed(period_start, cases), (0, 1.0))

    def take(self, period_start: int, prediction_id: bytes, *, exploring: bool, most: int, in_all: int) -> bool:
        """See `TokenCounter`."""
        try:
            return self._tokens.take(period_start, prediction_id, exploring=exploring, most=most, in_all=in_all)
        except CapacityUnavailable as error:
            self.problem = error.message
            return False

    def _counted(self, count: Callable[[], tuple[int, T]], otherwise: tuple[int, T]) -> tuple[int, T]:
        try:
            counted = count()
        except CapacityUnavailable as error:
            self.problem = error.message
            return otherwise
        self.problem = None
        return counted


class ServedProject:
    """Answers for one project.

    Parameters
    ----------
    name : str
    recorder : Recorder
    tokens : TokenCounter
        Of the capacity; shared with the other processes.
    clock : callable
        Microseconds UTC: when a case is decided.
    ticks : callable
        Nanoseconds of the clock that `Request.received_at` is of.
    hears : Hears
    seal : callable, optional
        See `loadout.Sealer`; for projects with personal columns.
    """

    def __init__(
        self,
        name: str,
        *,
        recorder: Recorder,
        tokens: TokenCounter,
        clock: Clock,
        ticks: Clock,
        hears: Hears,
        seal: Sealer | None = None,
    ) -> None:
        self.name, self.recorder, self.counts = name, recorder, ProjectCounts()
        self.tokens = HonestTokens(tokens)
        self.state: DesiredState | None = None
        self.answerer: Answerer | None = None
        self.mint = IdMint()
        self._clock, self._ticks, self._hears, self._seal = clock, ticks, hears, seal
        self._circuits: dict[str, Circuit] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what is desired

    def adopt(self, state: DesiredState, opened: Mapping[str, OpenedBundle]) -> None:
        """Decide as a desired state says from now on; requests in flight finish as they began.

        Raises
        ------
        BadPolicy, BadPace, BadLoadout
            The state cannot be carried out; what decides stays.
        """
        loadout = self._loadout_of(state, opened)
        self.state = state
        if self.answerer is None:
            self.answerer = Answerer(loadout, mint=self.mint, ticks=self._ticks)
        else:
            self.answerer.adopt(loadout)

    def _loadout_of(self, state: DesiredState, opened: Mapping[str, OpenedBundle]) -> Loadout:
        policy = DecisionPolicy.from_document(state.policy)
        columns = PolicyColumns.of(state.policy)
        pace = pace_from(state.pace) if state.pace is not None else None
        decider = StreamDecider(Terms.of(policy, lowered_to=state.capacity), pace=pace, tokens=self.tokens)
        seats = [
            self._seat(opened[role.digest], role.role, columns=columns, share=role.share) for role in state.bundles
        ]
        champion = next(seat for seat in seats if seat.role == CHAMPION)
        return Loadout(
            champion,
            policy=policy,
            decider=decider,
            columns=columns,
            others=[seat for seat in seats if seat is not champion],
            salt=state.salt,
            paused=state.paused,
            seal=self._seal,
            version=state.version,
        )

    def _seat(self, bundle: OpenedBundle, role: str, *, columns: PolicyColumns, share: float) -> Seat:
        seat = seat_of_bundle(
            bundle.folder,
            bundle.manifest,
            role,
            columns=columns,
            share=share,
            predictor=bundle.predictor,
            slow=bundle.slow,
        )
        # a model that fails goes on being left alone when something else of the state changes
        seat.circuit = self._circuits.setdefault(bundle.digest, seat.circuit)
        return seat

    @property
    def has_open_circuit(self) -> bool:
        """Return whether a model that should answer is left alone after errors."""
        return any(circuit.is_open for circuit in self._circuits.values())

    # --- answers

    def predict(
        self, request: Request, begin: Callable[[Answerer, int, int], Reply | Work], *, now: int | None = None
    ) -> Response | None:
        """Answer a request for predictions, now or later.

        Parameters
        ----------
        request : Request
        begin : callable
            Begins it in the form of its interface, given the answerer, the moment and when the request was there.
        now : int, optional
            When the case is decided, where the request says so (rehearsals); default: by the clock.
        """
        answerer = self.answerer
        if answerer is None:
            return refusal_response(NotReady(f'"{self.name}" cannot answer yet; try again in a second'))
        if not self.recorder.room():
            return self._shed()
        started_ns = int(request.received_at * 1e9)
        begun = begin(answerer, self._clock() if now is None else now, started_ns)
        if isinstance(begun, Reply):
            return self.send(request, begun)
        self._later(self._wait(request, answerer, begun))
        return None

    def send(self, request: Request, reply: Reply) -> Response | None:
        """Tell a reply once its record is written; at once where it has none."""
        if reply.frame is None:
            return Response(reply.status, reply.body, headers=reply.headers)
        asked_ns = self._ticks()
        self.recorder.record(
            reply.frame, lambda error: self._recorded(request, reply, asked_ns, error), rows=reply.rows
        )
        return None

    def _recorded(self, request: Request, reply: Reply, asked_ns: int, error: Exception | None) -> None:
        if self.answerer is not None:
            self.answerer.recorded(reply, error)
        if error is not None:
            self.counts.shed += 1
            self._hears.shed("not-logged")
            request.reply(_not_logged(error))
            return
        self.counts.logged += reply.rows
        self.counts.served += reply.rows
        request.reply(Response(reply.status, reply.body, headers=reply.headers))
        self._hears.answered(reply, log_ns=self._ticks() - asked_ns)
        if reply.shadowed is not None:
            self._shadow(reply)
        self._record_events()

    async def _wait(self, request: Request, answerer: Answerer, work: Work) -> None:
        response = self.send(request, await answerer.wait(work))
        if response is not None:
            request.reply(response)

    def _shed(self) -> Response:
        self.counts.shed += 1
        self._hears.shed("log")
        return _not_logged(None)

    # --- beside answers

    def _shadow(self, reply: Reply) -> None:
        """Let shadows say what they would have; their records come after the answer, and fail nothing."""
        answerer = self.answerer
        if answerer is None:
            return
        for frame in answerer.shadow_frames(reply):
            self.recorder.record(frame, _nobody, rows=0)
        if any(seat.slow is not None for seat in answerer.loadout.shadows):
            self._later(self._shadow_slowly(answerer, reply))

    async def _shadow_slowly(self, answerer: Answerer, reply: Reply) -> None:
        for frame in await answerer.slow_shadow_frames(reply):
            self.recorder.record(frame, _nobody, rows=0)

    def _record_events(self) -> None:
        if self.answerer is not None:
            for frame in self.answerer.take_events():
                self.recorder.record(frame, _nobody, rows=0)

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def refusal_response(refused: Refused) -> Response:
    """Return how a refusal is told over HTTP."""
    return Response(refused.status, refused.body, headers=refused.headers)


def _not_logged(error: Exception | None) -> Response:
    told = error if isinstance(error, NotLogged) else NotLogged("the log takes no records now; try again later")
    return Response(503, msgspec.json.encode(Refusal(told.message, told.code)), headers=((b"retry-after", b"1"),))


def _nobody(error: Exception | None) -> None:
    """Nobody waits for this record; what the recorder refused is counted there."""
