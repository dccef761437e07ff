"""What became of a case, what was done, what did a reviewer say, what happened? Facts that callers send for the log.

One fact is a JSON object, many are a list of them. All of a request are good, or none is recorded. A fact that is sent
again with its own `fact_id` counts once: views of the log take one record for each id. Another fact under that id would
be lost there, so it is refused.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from trueup.kernel.ids import BadId, IdMint, id_as_text, parse_id
from trueup.kernel.periods import moment_of
from trueup.lake.log_records import (
    EventRecord,
    FactRecord,
    InterventionRecord,
    OutcomeRecord,
    VerdictRecord,
    encode_record,
)
from trueup.serve.known_facts import KnownFacts
from trueup.serve.refusals import BadForm, IdReused, NoSuchPath, NotJson, TooManyRows
from trueup.serve.replies import Reply, parse_prediction

MOST_FACTS = 1_000
FUTURE_US = 3_600_000_000
"""How far `known_at` may be ahead of the server's clock: an hour, for clocks that differ."""
_LONGEST_FACTS = 16_384
_MOST_NAMED = 20
_UNSAID = -(1 << 62)
"""In place of a `known_at` that was left out."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Moment = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class _Fact(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    association_id: Name | int | None = None
    known_at: Moment | None = None
    fact_id: Name | None = None
    project: Name | None = None


class _OfPrediction(_Fact, kw_only=True):
    prediction_id: Name | None = None


class Outcome(_OfPrediction, kw_only=True):
    """What became of a case."""

    outcome: bool | float | Name | None


class Intervention(_OfPrediction, kw_only=True):
    """What was really done with a case."""

    acted: bool
    note: Annotated[str, msgspec.Meta(max_length=4_000)] | None = None


class Verdict(_OfPrediction, kw_only=True):
    """What a reviewer said of a decision."""

    agrees: bool
    reviewer: Name
    reason: Annotated[str, msgspec.Meta(max_length=4_000)] | None = None


class Event(_Fact, kw_only=True):
    """A dated business fact."""

    kind: Name
    facts: msgspec.Raw = msgspec.Raw(b"{}")  # immutable


KINDS: dict[str, type[Outcome | Intervention | Verdict | Event]] = {
    "outcomes": Outcome,
    "interventions": Intervention,
    "verdicts": Verdict,
    "events": Event,
}
"""What is sent to each path."""
FORMS = {
    "association_id": "a text or whole number",
    "prediction_id": "a prediction_id as an answer gave it",
    "known_at": "a time with its offset, such as 2026-03-01T10:00:00+01:00",
    "fact_id": "a UUID of version 7, or left out",
    "project": "the project's name",
    "outcome": "what the project predicts (true or false, a number, a class), or null to take back what was said",
    "acted": "true or false",
    "agrees": "true or false",
    "reviewer": "a text of 1 to 512 characters",
    "kind": "a text of 1 to 512 characters",
    "note": "a text of at most 4000 characters",
    "reason": "a text of at most 4000 characters",
    "facts": "a JSON object of at most 16 kB",
}
"""What each entry must be."""
_decoders: Mapping[str, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(list[record] | record)  # type: ignore[valid-type]  # made from the table
    for kind, record in KINDS.items()
}


@dataclass(frozen=True)
class Answers:
    """What the outcome of a case can be in a project; any other label would be kept, and count nowhere."""

    task: str
    """binary, regression or multiclass."""
    classes: Sequence[str] = ()
    """Those of the bundle that decides, where there are several."""

    def has(self, outcome: bool | float | str | None) -> bool:
        """Return whether an outcome is one of the project's; null takes back what was said in each."""
        if outcome is None:
            return True
        if self.task == "binary":
            return isinstance(outcome, bool)
        if self.task == "regression":
            return isinstance(outcome, float) and math.isfinite(outcome)
        return isinstance(outcome, str) and outcome in self.classes

    def told(self) -> str:
        """Return what an outcome must be, in words."""
        if self.task == "binary":
            kinds = "true or false"
        elif self.task == "regression":
            kinds = "a number"
        else:
            shown = [json.dumps(name, ensure_ascii=False) for name in self.classes[:_MOST_NAMED]]
            more = len(self.classes) - len(shown)
            kinds = f"one of {', '.join(shown)}{f' and {more} more' if more else ''}"
        return f"{kinds}, or null to take back what was said before"


class FactDesk:
    """Takes the facts of one project.

    Parameters
    ----------
    project : str
    mint : IdMint
    known : KnownFacts, optional
        What was told before.
    """

    def __init__(self, project: str, *, mint: IdMint, known: KnownFacts | None = None) -> None:
        self._project, self._mint = project, mint
        self._known = KnownFacts() if known is None else known

    def take(self, kind: str, body: bytes, *, answers: Answers, caller: str, now: int) -> Reply:
        """Return the answer to facts, with a frame for each; it leaves once all are recorded.

        Parameters
        ----------
        kind : str
            outcomes, interventions, verdicts or events.
        body : bytes
        answers : Answers
            What an outcome may be.
        caller : str
        now : int
            Microseconds UTC.

        Raises
        ------
        NotJson, BadForm, TooManyRows
        IdReused
            When a `fact_id` was used for another fact.
        NoSuchPath
            When a fact names another project.
        """
        facts = _decode(kind, body)
        for place, fact in enumerate(facts):
            if isinstance(fact, Outcome) and not answers.has(fact.outcome):
                raise BadForm(
                    f"fact {place} has the wrong outcome; here it must be {answers.told()}", row=place, field="outcome"
                )
        records = [self._record(fact, place, caller=caller, now=now) for place, fact in enumerate(facts)]
        self._check_ids([(record.fact_id, _content(fact, record)) for fact, record in zip(facts, records, strict=True)])
        told = {"recorded": len(records), "fact_ids": [id_as_text(record.fact_id) for record in records]}
        frames = tuple(encode_record(record) for record in records)
        return Reply(200, msgspec.json.encode(told), frames[0], rows=len(records), more_frames=frames[1:])

    def _check_ids(self, said: Sequence[tuple[bytes, bytes]]) -> None:
        first: dict[bytes, int] = {}
        for place, (fact_id, content) in enumerate(said):
            before = first.setdefault(fact_id, place)
            if said[before][1] != content:
                raise BadForm(
                    f"fact {place} has the fact_id of fact {before} and says something else; each fact needs its own",
                    row=place,
                    field="fact_id",
                )
        contradicting = self._known.find_contradiction(said)
        if contradicting is not None:
            raise IdReused(
                f"the fact_id of fact {contradicting} was used for another fact; make a new one, also to correct what "
                "was said",
                row=contradicting,
                field="fact_id",
            )
        self._known.keep(said)

    def _record(self, fact: Any, place: int, *, caller: str, now: int) -> FactRecord:
        if fact.project is not None and fact.project != self._project:
            raise NoSuchPath(f"fact {place} is of another project; send it to that project's path")
        known_at = now if fact.known_at is None else _moment(fact.known_at, place, now=now)
        shared: dict[str, Any] = {
            "fact_id": self._mint.new(now) if fact.fact_id is None else _fact_id(fact.fact_id, place),
            "association_id": None if fact.association_id is None else str(fact.association_id),
            "known_at": known_at,
            "recorded_at": now,
            "caller": caller,
        }
        if not isinstance(fact, Event):
            shared["prediction_id"] = _prediction(fact, place)
        return _BUILDERS[type(fact)](fact, place, shared)


def _content(fact: Any, record: FactRecord) -> bytes:
    """Return what a fact says, the same for a retry: without who sent it and when, and with the time only if given."""
    known_at = record.known_at if fact.known_at is not None else _UNSAID
    return encode_record(msgspec.structs.replace(record, known_at=known_at, recorded_at=0, caller=""))


def _decode(kind: str, body: bytes) -> Sequence[Any]:
    try:
        if not body.isascii():
            body.decode()
        found = _decoders[kind].decode(body)
    except msgspec.ValidationError as error:
        raise _refusal(kind, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJson("the request is no JSON text in UTF-8") from None
    facts: Sequence[Any] = found if isinstance(found, list) else [found]
    if not facts:
        raise BadForm("the list holds no fact; send at least one")
    if len(facts) > MOST_FACTS:
        raise TooManyRows(f"the request has {len(facts)} facts, and at most {MOST_FACTS} are taken at once")
    return facts


def _refusal(kind: str, text: str) -> BadForm:
    """Return what a decoder's error means; only names that are ours are repeated."""
    fields = KINDS[kind].__struct_fields__
    _, _, place = text.partition("at `$")
    row = int(place[1:].partition("]")[0]) if place.startswith("[") and place[1:2].isdigit() else 0
    named = next((name for name in fields if f".{name}" in place or f"required field `{name}`" in text), None)
    if named is not None:
        what = "lacks" if "required" in text else "has the wrong"
        return BadForm(f"fact {row} {what} {named}; it must be {FORMS[named]}", row=row, field=named)
    return BadForm(
        f"a fact of {kind} must be a JSON object, and many are a list of them; it may hold "
        f"{', '.join(sorted(fields))}, and nothing else",
        row=row,
    )


def _wrong(place: int, field: str) -> BadForm:
    return BadForm(f"fact {place} has the wrong {field}; it must be {FORMS[field]}", row=place, field=field)


def _prediction(fact: Any, place: int) -> str | None:
    if fact.prediction_id is None:
        if fact.association_id is None:
            raise BadForm(f"fact {place} names no case; give association_id or prediction_id", row=place)
        return None
    try:
        parse_prediction(fact.prediction_id)
    except BadId:
        raise BadForm(
            f"fact {place} has the wrong prediction_id; it must be {FORMS['prediction_id']}",
            row=place,
            field="prediction_id",
        ) from None
    return str(fact.prediction_id)


def _fact_id(text: str, place: int) -> bytes:
    try:
        return parse_id(text)
    except BadId:
        raise BadForm(
            f"fact {place} has the wrong fact_id; it must be {FORMS['fact_id']}, or left out",
            row=place,
            field="fact_id",
        ) from None


def _moment(given: dt.datetime, place: int, *, now: int) -> int:
    try:
        moment = moment_of(given)
    except OverflowError:
        moment = now + FUTURE_US + 1 if given.year > 1 else -1
    if moment > now + FUTURE_US:
        raise BadForm(
            f"fact {place} has a known_at that lies in the future; it is when the business knew, not when it will",
            row=place,
            field="known_at",
        )
    if moment < 0:
        raise BadForm(
            f"fact {place} has a known_at before 1970; it is when the business knew, with four digits of the year",
            row=place,
            field="known_at",
        )
    return moment


def _outcome(fact: Outcome, _place: int, shared: dict[str, Any]) -> FactRecord:
    return OutcomeRecord(outcome=fact.outcome, **shared)


def _intervention(fact: Intervention, _place: int, shared: dict[str, Any]) -> FactRecord:
    return InterventionRecord(acted=fact.acted, note=fact.note, **shared)


def _verdict(fact: Verdict, _place: int, shared: dict[str, Any]) -> FactRecord:
    return VerdictRecord(agrees=fact.agrees, reviewer=fact.reviewer, reason=fact.reason, **shared)


def _event(fact: Event, place: int, shared: dict[str, Any]) -> FactRecord:
    text = bytes(fact.facts).decode()
    if not text.startswith("{") or len(text) > _LONGEST_FACTS:
        raise _wrong(place, "facts")
    return EventRecord(kind=fact.kind, facts=text, **shared)


_BUILDERS: Mapping[type, Callable[[Any, int, dict[str, Any]], FactRecord]] = {
    Outcome: _outcome,
    Intervention: _intervention,
    Verdict: _verdict,
    Event: _event,
}
