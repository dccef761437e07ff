"""What is answered to this request, and what must be in the log first? Bytes to bytes: no HTTP, no clock, no disk.

One request goes through `begin` (read, choose who decides, score) and `finish` (price, decide under the capacity,
record, tell). With models in this process both happen at once; a model in another process is awaited in between with a
deadline. Whatever goes wrong with a model, the signed fallback decides, the answer says so, and the interruption is
counted; only where the charter signs none is the caller told that there is no decision.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

import msgspec

from trueup.bundle.golden import Output
from trueup.kernel.ids import IdMint
from trueup.kernel.rowvalues import BadRowValue
from trueup.lake.log_records import SHADOW, DecidedRow, EventRecord, PredictionRecord, encode_record
from trueup.serve.deciding import decide_rows
from trueup.serve.loadout import Loadout, Seat
from trueup.serve.reasons import Reason, reasons_of
from trueup.serve.refusals import BadForm, BadRow, Refused
from trueup.serve.replies import Answered, Form, Reply, rows_form
from trueup.serve.retries import Retries
from trueup.serve.row_requests import Asked, read_envelope
from trueup.serve.single import decide_single, is_usual, score_single
from trueup.serve.work import DEADLINE, MISSING_FEATURES, MODEL_ERROR, NO_MODEL, OPEN_CIRCUIT, PAUSED, Work, score_here

DEADLINE_S = 1.0
MOST_EXPLAINED = 2_000
"""Scores that the reasons of one request may cost, one for each feature of each row: some 30 ms."""


class Counts(msgspec.Struct):
    """What happened since the start, for metrics and the server's status."""

    served: int = 0
    """Answered rows."""
    fallbacks: dict[str, int] = {}
    """Rows without a model's answer, by what failed."""
    interrupted_value: float = 0.0
    """Estimate of what they lost, in the currency: their number times what a case earned by its expected gain."""
    gained: float = 0.0
    """Expected gain of the cases that were acted on with a model's answer."""
    decided: int = 0
    """Cases with a model's answer."""
    shadowed: int = 0
    shadows_failed: int = 0

    def interrupt(self, why: str) -> None:
        """Count a case that no model answered."""
        self.fallbacks[why] = self.fallbacks.get(why, 0) + 1
        if self.decided:
            self.interrupted_value += self.gained / self.decided


class Answerer:
    """Answers the requests of one project in one process.

    Parameters
    ----------
    loadout : Loadout
    mint : IdMint
    ticks : callable
        Nanoseconds of a clock that never goes back; the one that `started_ns` is of.
    deadline_s : float
        For a model in another process.
    most_kept_bytes : int
        Of answers that are kept for retries.

    Attributes
    ----------
    loadout : Loadout
        What decides now; replaced by `adopt`.
    counts : Counts
    """

    def __init__(
        self,
        loadout: Loadout,
        *,
        mint: IdMint,
        ticks: Callable[[], int],
        deadline_s: float = DEADLINE_S,
        retries: Retries | None = None,
    ) -> None:
        self.loadout = loadout
        self._usual = is_usual(loadout)
        self.counts = Counts()
        self._mint, self._ticks, self._deadline_s = mint, ticks, deadline_s
        self._retries = Retries() if retries is None else retries
        self._events: list[bytes] = []

    def adopt(self, loadout: Loadout) -> None:
        """Decide what comes from now on with another loadout; what is in flight finishes with its own."""
        self.loadout = loadout
        self._usual = is_usual(loadout)

    def answer(self, body: bytes, *, caller: str, now: int, started_ns: int) -> Reply:
        """Return the answer to the body of ``POST /predict``, with models in this process.

        Parameters
        ----------
        body : bytes
        caller : str
            Name of the token.
        now : int
            Microseconds UTC.
        started_ns : int
            When the request's last byte was there, by `ticks`.

        Notes
        -----
        A model in another process is not waited for: the fallback decides. Use `begin` and `wait` for those.
        """
        begun = self.begin(body, caller=caller, now=now, started_ns=started_ns)
        if isinstance(begun, Reply):
            return begun
        begun.loadout.in_flight -= 1
        for _, rows in begun.waiting:
            begun.fail(rows, NO_MODEL)
        return self.finish(begun)

    def begin(self, body: bytes, *, caller: str, now: int, started_ns: int) -> Reply | Work:
        """Return the answer to the body of ``POST /predict``, or what is to be awaited (`wait`)."""
        try:
            asked = read_envelope(body, most_rows=self.loadout.champion.reader.most_rows)
            return self.begin_asked(asked, caller=caller, now=now, started_ns=started_ns, form=rows_form)
        except Refused as refused:
            return refusal_reply(refused)

    def begin_asked(self, asked: Asked, *, caller: str, now: int, started_ns: int, form: Form) -> Reply | Work:
        """Return the answer to a request of any interface, told in its form, or what is to be awaited.

        Raises
        ------
        Refused
        """
        body_hash = 0
        if asked.prediction_id is not None:
            key = (caller, asked.prediction_id)
            body_hash = hash((asked.rows, asked.association_ids, asked.reasons, form))
            if (known := self._retries.find(key, body_hash)) is not None:
                return known
        begun_ns = self._ticks()
        if self._usual and asked.prediction_id is None and not asked.reasons:
            reply = self._answer_single(asked, caller=caller, now=now, started_ns=started_ns, form=form)
            if reply is not None:
                return reply
        work = Work(asked, self.loadout, caller=caller, moment=now, started_ns=started_ns, form=form)
        self._check_reasons(work)
        work.body_hash = body_hash
        work.prediction_id = asked.prediction_id or self._mint.new(now)
        work.assign()
        read_ns = self._ticks()
        work.decode_ns = read_ns - begun_ns
        self._score(work)
        work.predict_ns = self._ticks() - read_ns
        if not work.waiting:
            return self._finished(work)
        work.loadout.in_flight += 1
        if asked.prediction_id is not None:
            self._retries.keep(key, body_hash, work)
        return work

    def _answer_single(self, asked: Asked, *, caller: str, now: int, started_ns: int, form: Form) -> Reply | None:
        """Return the answer to the usual request; None for any other, of which nothing is decided then."""
        loadout, ticks = self.loadout, self._ticks
        circuit = loadout.champion.circuit
        given = asked.association_ids
        if circuit.is_open or circuit.failures_in_row or (given is not None and len(given) != 1):
            return None
        begun_ns = ticks()
        read = loadout.champion.reader.read_single(asked.rows)
        if read is None:
            return None
        read_ns = ticks()
        score = score_single(loadout, read[0])
        if score is None:
            return None
        scored_ns = ticks()
        prediction_id = self._mint.new(now)
        row = decide_single(loadout, score, read[1], prediction_id=prediction_id, moment=now, asked=asked)
        counts = self.counts
        counts.served += 1
        counts.decided += 1
        if row.acted and row.expected_gain is not None:
            counts.gained += row.expected_gain
        rows = (row,)
        decided_ns = ticks()
        body = asked.rows if loadout.seal is None else loadout.seal(asked.rows, [row.association_id])
        frame = _frame_of(
            loadout, rows, prediction_id=prediction_id, moment=now, caller=caller, body=body, ns=decided_ns - started_ns
        )
        return Reply(
            200,
            form(Answered(prediction_id, rows, None, loadout)),
            frame,
            rows=1,
            decided=rows,
            decode_ns=read_ns - begun_ns,
            predict_ns=scored_ns - read_ns,
            policy_ns=decided_ns - scored_ns,
        )

    async def wait(self, work: Work) -> Reply:
        """Return the answer to a request once the models in other processes gave theirs, or the deadline is over.

        A retry of a request that is being answered waits for the same answer.
        """
        if work.done is not None:
            return await asyncio.shield(work.done)
        done = work.done = asyncio.get_running_loop().create_future()
        try:
            asked_ns = self._ticks()
            await asyncio.gather(*(self._ask(work, seat, rows) for seat, rows in work.waiting))
            work.predict_ns += self._ticks() - asked_ns
            reply = self.finish(work)
            done.set_result(reply)
        finally:
            work.loadout.in_flight -= 1
            if not done.done():  # nobody will answer this one: a retry is decided again
                done.cancel()
                self._forget(work)
        return reply

    def finish(self, work: Work) -> Reply:
        """Return the answer to a request whose models have all answered or failed."""
        try:
            return self._finished(work)
        except Refused as refused:
            self._forget(work)
            return refusal_reply(refused)

    def _forget(self, work: Work) -> None:
        if work.asked.prediction_id is not None:
            self._retries.forget((work.caller, work.asked.prediction_id))

    def recorded(self, reply: Reply, error: Exception | None = None) -> None:
        """Hear whether the frame of a reply is in the log; only then a retry gets the same answer without a new record.

        Until then a retry is recorded again under the same id, which views count once.
        """
        if reply.key is None:
            return
        if error is not None:
            self._retries.forget(reply.key)
        else:
            self._retries.recorded(reply.key, reply)

    def take_events(self) -> list[bytes]:
        """Return frames about circuits that opened or closed since the last call; they belong in the log."""
        events, self._events = self._events, []
        return events

    def shadow_frames(self, reply: Reply) -> list[bytes]:
        """Return the records of what shadows in this process say of an answered request; none of it fails an answer."""
        work: Work | None = reply.shadowed
        if work is None:
            return []
        asked = [(seat, rows) for seat, rows in self._shadows_of(work) if seat.predictor is not None]
        return [frame for seat, rows in asked for frame in self._shadow_frame(work, seat, rows, None)]

    async def slow_shadow_frames(self, reply: Reply) -> list[bytes]:
        """Return the records of what shadows in other processes say; see `shadow_frames`."""
        work: Work | None = reply.shadowed
        frames: list[bytes] = []
        for seat, rows in self._shadows_of(work) if work is not None else ():
            if work is not None and seat.slow is not None and seat.circuit.lets_through(self._ticks()):
                why, outputs = await self._answers_of(seat, _requests_of(work.asked.rows, rows))
                self._heard(seat, ok=not why, moment=work.moment)
                frames += self._shadow_frame(work, seat, rows, outputs)
        return frames

    # --- scores

    def _score(self, work: Work) -> None:
        if work.loadout.paused:
            return work.fail(range(len(work.seats)), PAUSED)
        for row in work.read.lacking:
            work.failures[row] = MISSING_FEATURES
        for seat, rows in work.groups():
            whole = [row for row in rows if row not in work.failures] if work.failures else rows
            if seat.predictor is None and seat.slow is None:
                work.fail(rows, NO_MODEL)
            elif seat.circuit.is_open and not seat.circuit.lets_through(self._ticks()):
                work.fail(rows, OPEN_CIRCUIT)
            elif whole and seat.slow is not None:
                work.waiting.append((seat, whole))
            elif whole:
                self._score_here(work, seat, whole)
        return None

    def _score_here(self, work: Work, seat: Seat, rows: list[int]) -> None:
        try:
            outputs = score_here(seat, work.read_for(seat) or work.read, rows)
        except Exception:  # noqa: BLE001  # whatever a model raises, the fallback decides and the circuit counts it
            self._heard(seat, ok=False, moment=work.moment)
            return work.fail(rows, MODEL_ERROR)
        if seat.circuit.is_open or seat.circuit.failures_in_row:
            self._heard(seat, ok=True, moment=work.moment)
        return work.take(rows, outputs)

    async def _ask(self, work: Work, seat: Seat, rows: list[int]) -> None:
        why, outputs = await self._answers_of(seat, _requests_of(work.asked.rows, rows))
        self._heard(seat, ok=not why, moment=work.moment)
        if why or len(outputs) != len(rows):
            return work.fail(rows, why or MODEL_ERROR)
        return work.take(rows, outputs)

    async def _answers_of(self, seat: Seat, requests: Sequence[str]) -> tuple[str, Sequence[Output]]:
        if seat.slow is None:
            return NO_MODEL, ()
        try:
            async with asyncio.timeout(self._deadline_s):
                return "", await seat.slow.score(requests)
        except TimeoutError:
            return DEADLINE, ()
        except Exception:  # noqa: BLE001  # whatever a model raises, the fallback decides and the circuit counts it
            return MODEL_ERROR, ()

    def _heard(self, seat: Seat, *, ok: bool, moment: int) -> None:
        circuit = seat.circuit
        if circuit.succeeded() if ok else circuit.failed(self._ticks()):
            facts = {"what": "circuit_closed" if ok else "circuit_opened", "bundle": seat.digest, "role": seat.role}
            self._events.append(
                encode_record(
                    EventRecord(
                        fact_id=self._mint.new(moment),
                        kind="interruption",
                        association_id=None,
                        facts=json.dumps(facts, sort_keys=True),
                        known_at=moment,
                        recorded_at=moment,
                        caller="server",
                    )
                )
            )

    # --- answers

    def _finished(self, work: Work) -> Reply:
        decided_ns = self._ticks()
        try:
            rows = decide_rows(work)
        except BadRowValue as error:
            raise BadRow(f"a row cannot be decided: {error.message}") from None
        self._count(work, rows)
        done_ns = self._ticks()
        missing = work.missing()
        body = work.form(Answered(work.prediction_id, rows, self._reasons(work), work.loadout, missing))
        reply = Reply(
            200,
            body,
            self._frame(work, rows, shadow=None),
            rows=len(rows),
            decided=rows,
            shadowed=work if work.loadout.shadows else None,
            missing=missing,
            decode_ns=work.decode_ns,
            predict_ns=work.predict_ns,
            policy_ns=done_ns - decided_ns,
        )
        if work.asked.prediction_id is not None:
            reply.key = (work.caller, work.prediction_id)
            self._retries.keep(reply.key, work.body_hash, reply)
        return reply

    def _frame(self, work: Work, rows: Sequence[DecidedRow], *, shadow: Seat | None) -> bytes:
        loadout = work.loadout
        body = b""
        if shadow is None:
            body = work.asked.rows if loadout.seal is None else loadout.seal(work.asked.rows, work.ids)
        return _frame_of(
            loadout,
            tuple(rows),
            prediction_id=work.prediction_id,
            moment=work.moment,
            caller=work.caller,
            body=body,
            ns=self._ticks() - work.started_ns,
        )

    def _count(self, work: Work, rows: Sequence[DecidedRow]) -> None:
        counts = self.counts
        counts.served += len(rows)
        for row in rows:
            if row.scores is None:
                counts.interrupt(work.failures[row.row])
            elif row.expected_gain is not None:
                counts.decided += 1
                counts.gained += row.expected_gain if row.acted else 0.0

    def _check_reasons(self, work: Work) -> None:
        features = len(work.loadout.champion.reader.features)
        if work.asked.reasons and len(work.columns) > max(1, MOST_EXPLAINED // max(1, features)):
            raise BadForm(
                f"reasons are given for at most {max(1, MOST_EXPLAINED // features)} rows at once, and these are "
                f"{len(work.columns)}; send several requests",
                field="reasons",
            )

    def _reasons(self, work: Work) -> list[tuple[Reason, ...] | None] | None:
        if not work.asked.reasons:
            return None
        return [self._reasons_of(work, row) for row in range(len(work.seats))]

    def _reasons_of(self, work: Work, row: int) -> tuple[Reason, ...] | None:
        seat, output = work.seats[row], work.answers[row]
        read = work.read_for(seat)
        if output is None or seat.predictor is None or seat.references is None or read is None:
            return None
        explained = max(range(len(output)), key=output.__getitem__)
        return reasons_of(
            seat.predictor,
            read.numbers.reshape(len(work.columns), -1)[row],
            features=seat.reader.features,
            references=seat.references,
            most=work.asked.reasons,
            output=explained,
        )

    # --- shadows

    def _shadows_of(self, work: Work) -> list[tuple[Seat, list[int]]]:
        loadout = work.loadout
        asked = [
            (seat, [row for row, unit in enumerate(work.units) if loadout.is_shadowed(seat, unit)])
            for seat in loadout.shadows
        ]
        return [(seat, rows) for seat, rows in asked if rows]

    def _shadow_frame(self, work: Work, seat: Seat, rows: list[int], outputs: Sequence[Output] | None) -> list[bytes]:
        read = work.read_for(seat)
        try:
            if read is None:
                raise BadRow("the rows are not of the shadow's schema")
            found = score_here(seat, read, rows) if outputs is None else outputs
            answers = dict(zip(rows, found, strict=True))
            told = [_shadow_row(work, seat, row, answers[row]) for row in rows if row not in read.lacking]
        except Exception:  # noqa: BLE001  # a shadow never fails anything
            self.counts.shadows_failed += len(rows)
            return []
        self.counts.shadowed += len(told)
        return [self._frame(work, told, shadow=seat)] if told else []


def _frame_of(
    loadout: Loadout,
    rows: tuple[DecidedRow, ...],
    *,
    prediction_id: bytes,
    moment: int,
    caller: str,
    body: bytes,
    ns: int,
) -> bytes:
    """Return the record of decided rows, `ns` nanoseconds after the request was there."""
    version, schema, latency_us = loadout.policy.version, loadout.schema_digest, max(0, ns // 1000)
    return encode_record(PredictionRecord(prediction_id, moment, caller, version, schema, latency_us, body, rows))


def refusal_reply(refused: Refused) -> Reply:
    """Return the answer that tells a refusal."""
    return Reply(refused.status, refused.body, headers=refused.headers)


def _shadow_row(work: Work, seat: Seat, row: int, output: Output) -> DecidedRow:
    policy, columns = work.loadout.policy, work.columns[row]
    binary = policy.task == "binary"
    gain = policy.gain(output[0], columns) if binary and output is not None else None
    return DecidedRow(
        row=row,
        association_id=work.ids[row],
        event_time=policy.event_time(columns),
        role=SHADOW,
        model_version=seat.digest,
        scores=output,
        expected_gain=gain,
        qualifies=gain is not None and gain > 0,
        acted=False,
        predicted=None if binary or output is None else policy.choose(output, columns),
        reason=SHADOW,
        propensity=seat.share,
    )


def _requests_of(rows: bytes, chosen: Sequence[int]) -> list[str]:
    """Return some rows of a JSON array of objects, each as it came."""
    each = msgspec.json.decode(rows, type=list[msgspec.Raw])
    return [bytes(each[row]).decode() for row in chosen]
