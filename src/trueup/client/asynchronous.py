"""How does a program ask a server while it does something else? As `blocking.Client`, for asyncio."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx

from trueup.client.answers import Health, Inference, Model, Predictions, Recorded
from trueup.client.batching import RefusedOutcome, WaitingOutcomes
from trueup.client.calls import CallMaker, Row, checked_url, read_answer
from trueup.client.errors import ClientError
from trueup.client.facts import Event, Fact, Intervention, Outcome, Verdict
from trueup.client.retrying import Answer, Call, NoAnswer, Pause, RetryPolicy, Send, converse


def _moment() -> int:
    return time.time_ns() // 1000


class AsyncClient:
    """As `trueup.client.Client`, for one event loop; `sleep` gives something to await.

    Examples
    --------
    .. code-block:: python

        async with AsyncClient("http://localhost:8080", token=TOKEN, project="small-fraud") as client:
            [told] = await client.predict([{"case": "A-1", "amount": 12.5}])
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        project: str | None = None,
        retries: RetryPolicy | None = None,
        verify: ssl.SSLContext | bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        moment: Callable[[], int] = _moment,
    ) -> None:
        self.url = checked_url(url)
        self._policy = retries or RetryPolicy()
        self._calls = CallMaker(project, moment=moment)
        self._clock, self._sleep, self._chance, self._moment = clock, sleep, chance, moment
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.AsyncClient(base_url=self.url, headers=headers, verify=verify)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    # --- decisions

    async def predict(
        self,
        rows: Iterable[Row],
        *,
        project: str | None = None,
        prediction_id: str | None = None,
        association_ids: Sequence[str | int | None] | None = None,
        reasons: int = 0,
    ) -> Predictions:
        """Score and decide rows; see `Client.predict`."""
        call = self._calls.predict(
            rows, project=project, prediction_id=prediction_id, association_ids=association_ids, reasons=reasons
        )
        return read_answer(await self._carry_out(call), Predictions)

    async def infer(
        self,
        inputs: Iterable[Mapping[str, object]],
        *,
        project: str | None = None,
        prediction_id: str | None = None,
        outputs: Sequence[str] | None = None,
    ) -> Inference:
        """Score and decide rows that are tensors of the Open Inference Protocol."""
        call = self._calls.infer(inputs, project=project, prediction_id=prediction_id, outputs=outputs)
        return read_answer(await self._carry_out(call), Inference)

    # --- facts

    async def outcomes(self, *outcomes: Outcome, project: str | None = None) -> Recorded:
        """Say what became of cases; all are recorded, or none."""
        return await self._record(Outcome, outcomes, project)

    async def interventions(self, *interventions: Intervention, project: str | None = None) -> Recorded:
        """Say what was really done with cases."""
        return await self._record(Intervention, interventions, project)

    async def verdicts(self, *verdicts: Verdict, project: str | None = None) -> Recorded:
        """Say what reviewers said of decisions."""
        return await self._record(Verdict, verdicts, project)

    async def events(self, *events: Event, project: str | None = None) -> Recorded:
        """Say what happened."""
        return await self._record(Event, events, project)

    def outcome_batch(
        self, *, most: int = 500, seconds: float = 1.0, room: int = 10_000, project: str | None = None
    ) -> AsyncOutcomeBatch:
        """Return a batch that collects outcomes and sends many at once; see `Client.outcome_batch`."""
        waiting = WaitingOutcomes(most=most, seconds=seconds, room=room, now=self._clock)
        return AsyncOutcomeBatch(
            lambda facts: self.outcomes(*facts, project=project), waiting, with_id=self._calls.with_id
        )

    async def _record(self, kind: type[Fact], facts: Sequence[Fact], project: str | None) -> Recorded:
        return read_answer(await self._carry_out(self._calls.facts(kind, facts, project=project)), Recorded)

    # --- what is there

    async def model(self, project: str | None = None) -> Model:
        """Return what a project's model takes and gives now."""
        return read_answer(await self._carry_out(self._calls.model(project)), Model)

    async def health(self) -> Health:
        """Return how the server is, asked once; it is neither live nor ready when it cannot be reached."""
        told = [await self._attempt(Call("GET", f"/v2/health/{what}"), 2.0) for what in ("live", "ready")]
        return Health(*(isinstance(one, Answer) and one.status == 200 for one in told))

    async def get(self, path: str) -> bytes:
        """Return what a path answers, such as ``/metrics``."""
        return (await self._carry_out(Call("GET", path))).body

    # --- the wire

    async def _carry_out(self, call: Call) -> Answer:
        steps = converse(self.url, self._policy, now=self._clock, chance=self._chance, wall=self._seconds)
        step = next(steps)
        try:
            while True:
                step = steps.send(await self._do(step, call))
        except StopIteration as ended:
            answer: Answer = ended.value
            return answer

    async def _do(self, step: Send | Pause, call: Call) -> Answer | NoAnswer | None:
        if isinstance(step, Send):
            return await self._attempt(call, step.timeout_s)
        await self._sleep(step.seconds)
        return None

    async def _attempt(self, call: Call, timeout_s: float) -> Answer | NoAnswer:
        """Send a call once."""
        headers = {"content-type": "application/json"} if call.body is not None else {}
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._http.request(
                    call.method, call.path, content=call.body, headers=headers, timeout=timeout_s
                )
        except TimeoutError:
            return NoAnswer("it answers too slowly")
        except httpx.RequestError as error:
            return NoAnswer(str(error) or type(error).__name__)
        return Answer(response.status_code, response.headers, response.content)

    def _seconds(self) -> float:
        return self._moment() / 1e6


class AsyncOutcomeBatch:
    """Outcomes that are sent together; made by `AsyncClient.outcome_batch`, for one task.

    Left as a context, or closed, it sends what it has. What cannot be sent is kept and said; it is never dropped.
    """

    def __init__(
        self,
        send: Callable[[tuple[Outcome, ...]], Awaitable[Recorded]],
        waiting: WaitingOutcomes,
        *,
        with_id: Callable[[Outcome], Fact],
    ) -> None:
        self._send, self._outcomes, self._with_id = send, waiting, with_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.flush()
        if error is None:
            self._outcomes.check_sent()

    @property
    def waiting(self) -> tuple[Outcome, ...]:
        """Return what is not recorded yet, the oldest first."""
        return self._outcomes.waiting

    @property
    def refused(self) -> tuple[RefusedOutcome, ...]:
        """Return what the server refused for good, with its reason."""
        return tuple(self._outcomes.refused)

    @property
    def problem(self) -> ClientError | None:
        """Return why nothing could be sent the last time; None when all went well."""
        return self._outcomes.problem

    async def add(self, outcome: Outcome) -> None:
        """Take an outcome, and send what is due; a failure to send is kept in `problem`.

        Raises
        ------
        BatchFull
            It was not taken.
        """
        named = self._with_id(outcome)
        assert isinstance(named, Outcome)
        self._outcomes.take(named)
        await self.send_due()

    async def send_due(self) -> None:
        """Send what waits if it is time."""
        if self._outcomes.is_due:
            await self.flush()

    async def flush(self) -> None:
        """Send everything that waits now; stop at the first failure."""
        while batch := self._outcomes.next():
            try:
                await self._send(batch)
            except ClientError as error:
                if not self._outcomes.failed(error):
                    return
            else:
                self._outcomes.sent(len(batch))

    async def close(self) -> None:
        """Send what waits.

        Raises
        ------
        NotSent
            Some could not be sent, or were refused; they are in `waiting` and `refused`.
        """
        await self.flush()
        self._outcomes.check_sent()
