"""How does a program ask a server and wait for the answer?"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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


class Client:
    """A prediction server, as a Python program sees it. Several threads may use one.

    Parameters
    ----------
    url : str
        Where it answers, such as ``https://decisions.example.com``.
    token : str or None
        What `trueup serving token` printed; None asks for health only.
    project : str, optional
        The one that is meant where a call names none; may be left out where a server has one.
    retries : RetryPolicy, optional
        How long each call is tried. Connection errors and the statuses 429, 502, 503 and 504 are tried again, after
        what ``Retry-After`` asks; no prediction is decided twice by that, and no fact counts twice.
    verify : ssl.SSLContext or bool
        How its certificate is looked at.
    clock, sleep, chance, moment : callable
        Seconds that never go back; waits so many seconds; a number from 0 to 1; microseconds UTC.

    Raises
    ------
    ClientError
        From every call: `NotReachable`, `Unavailable`, `Refused` (of it `NotAllowed`), `BadAnswer`.

    Examples
    --------
    .. code-block:: python

        with Client("http://localhost:8080", token=TOKEN, project="small-fraud") as client:
            for told in client.predict([{"case": "A-1", "amount": 12.5}]):
                print(told.association_id, told.decision, told.reason)
            client.outcomes(Outcome(outcome=True, association_id="A-1"))
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
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
        moment: Callable[[], int] = _moment,
    ) -> None:
        self.url = checked_url(url)
        self._policy = retries or RetryPolicy()
        self._calls = CallMaker(project, moment=moment)
        self._clock, self._sleep, self._chance, self._moment = clock, sleep, chance, moment
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=self.url, headers=headers, verify=verify)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    # --- decisions

    def predict(
        self,
        rows: Iterable[Row],
        *,
        project: str | None = None,
        prediction_id: str | None = None,
        association_ids: Sequence[str | int | None] | None = None,
        reasons: int = 0,
    ) -> Predictions:
        """Score and decide rows.

        Parameters
        ----------
        rows : iterable of mapping
            Each with the model's features and the columns the policy reads, by name; None and NaN are not known.
        project : str, optional
        prediction_id : str, optional
            A UUID of version 7 of your own: the same request with it is answered again, not decided again.
        association_ids : sequence, optional
            Names of the cases, one for each row.
        reasons : int
            How many features to be told that moved each score most.
        """
        call = self._calls.predict(
            rows, project=project, prediction_id=prediction_id, association_ids=association_ids, reasons=reasons
        )
        return read_answer(self._carry_out(call), Predictions)

    def infer(
        self,
        inputs: Iterable[Mapping[str, object]],
        *,
        project: str | None = None,
        prediction_id: str | None = None,
        outputs: Sequence[str] | None = None,
    ) -> Inference:
        """Score and decide rows that are tensors of the Open Inference Protocol."""
        call = self._calls.infer(inputs, project=project, prediction_id=prediction_id, outputs=outputs)
        return read_answer(self._carry_out(call), Inference)

    # --- facts

    def outcomes(self, *outcomes: Outcome, project: str | None = None) -> Recorded:
        """Say what became of cases; all are recorded, or none."""
        return self._record(Outcome, outcomes, project)

    def interventions(self, *interventions: Intervention, project: str | None = None) -> Recorded:
        """Say what was really done with cases."""
        return self._record(Intervention, interventions, project)

    def verdicts(self, *verdicts: Verdict, project: str | None = None) -> Recorded:
        """Say what reviewers said of decisions."""
        return self._record(Verdict, verdicts, project)

    def events(self, *events: Event, project: str | None = None) -> Recorded:
        """Say what happened."""
        return self._record(Event, events, project)

    def outcome_batch(
        self, *, most: int = 500, seconds: float = 1.0, room: int = 10_000, project: str | None = None
    ) -> OutcomeBatch:
        """Return a batch that collects outcomes and sends many at once.

        Parameters
        ----------
        most : int
            Sent in one request, 1 to 1,000.
        seconds : float
            How long an outcome may wait for others. Nothing runs in the background: it is looked at with each `add`
            and `send_due`.
        room : int
            How many may wait while they cannot be sent; then `add` refuses.
        project : str, optional
        """
        waiting = WaitingOutcomes(most=most, seconds=seconds, room=room, now=self._clock)
        return OutcomeBatch(lambda facts: self.outcomes(*facts, project=project), waiting, with_id=self._calls.with_id)

    def _record(self, kind: type[Fact], facts: Sequence[Fact], project: str | None) -> Recorded:
        return read_answer(self._carry_out(self._calls.facts(kind, facts, project=project)), Recorded)

    # --- what is there

    def model(self, project: str | None = None) -> Model:
        """Return what a project's model takes and gives now."""
        return read_answer(self._carry_out(self._calls.model(project)), Model)

    def health(self) -> Health:
        """Return how the server is, asked once; it is neither live nor ready when it cannot be reached."""
        live, ready = (self._attempt(Call("GET", f"/v2/health/{what}"), 2.0) for what in ("live", "ready"))
        return Health(*(isinstance(told, Answer) and told.status == 200 for told in (live, ready)))

    def get(self, path: str) -> bytes:
        """Return what a path answers, such as ``/metrics``."""
        return self._carry_out(Call("GET", path)).body

    # --- the wire

    def _carry_out(self, call: Call) -> Answer:
        steps = converse(self.url, self._policy, now=self._clock, chance=self._chance, wall=self._seconds)
        step = next(steps)
        try:
            while True:
                step = steps.send(self._do(step, call))
        except StopIteration as ended:
            answer: Answer = ended.value
            return answer

    def _do(self, step: Send | Pause, call: Call) -> Answer | NoAnswer | None:
        if isinstance(step, Send):
            return self._attempt(call, step.timeout_s)
        self._sleep(step.seconds)
        return None

    def _attempt(self, call: Call, timeout_s: float) -> Answer | NoAnswer:
        """Send a call once; the limit holds for connecting, and for all pieces of the answer together."""
        ends, pieces = self._clock() + timeout_s, []
        headers = {"content-type": "application/json"} if call.body is not None else {}
        try:
            with self._http.stream(
                call.method, call.path, content=call.body, headers=headers, timeout=timeout_s
            ) as response:
                for piece in response.iter_bytes():
                    pieces.append(piece)
                    if self._clock() > ends:
                        return NoAnswer("it answers too slowly")
        except httpx.RequestError as error:
            return NoAnswer(str(error) or type(error).__name__)
        return Answer(response.status_code, response.headers, b"".join(pieces))

    def _seconds(self) -> float:
        return self._moment() / 1e6


class OutcomeBatch:
    """Outcomes that are sent together; made by `Client.outcome_batch`, for one thread.

    Left as a context, or closed, it sends what it has. What cannot be sent is kept and said; it is never dropped.
    """

    def __init__(
        self,
        send: Callable[[tuple[Outcome, ...]], Recorded],
        waiting: WaitingOutcomes,
        *,
        with_id: Callable[[Outcome], Fact],
    ) -> None:
        self._send, self._outcomes, self._with_id = send, waiting, with_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()
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

    def add(self, outcome: Outcome) -> None:
        """Take an outcome, and send what is due; a failure to send is kept in `problem`.

        Raises
        ------
        BatchFull
            It was not taken.
        """
        named = self._with_id(outcome)
        assert isinstance(named, Outcome)
        self._outcomes.take(named)
        self.send_due()

    def send_due(self) -> None:
        """Send what waits if it is time."""
        if self._outcomes.is_due:
            self.flush()

    def flush(self) -> None:
        """Send everything that waits now; stop at the first failure."""
        while batch := self._outcomes.next():
            try:
                self._send(batch)
            except ClientError as error:
                if not self._outcomes.failed(error):
                    return
            else:
                self._outcomes.sent(len(batch))

    def close(self) -> None:
        """Send what waits.

        Raises
        ------
        NotSent
            Some could not be sent, or were refused; they are in `waiting` and `refused`.
        """
        self.flush()
        self._outcomes.check_sent()
