from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.loadouts import ID, NOON

from trueup.kernel.ids import IdMint
from trueup.lake.log_records import (
    EventRecord,
    InterventionRecord,
    OutcomeRecord,
    Record,
    VerdictRecord,
    decode_record,
)
from trueup.serve.facts import KINDS, MOST_FACTS, Answers, FactDesk
from trueup.serve.refusals import IdReused, NoSuchPath, NotJson, Refused, TooManyRows
from trueup.serve.replies import Reply

FACTS: dict[str, dict[str, Any]] = {
    "outcomes": {"outcome": True},
    "interventions": {"acted": True},
    "verdicts": {"agrees": False, "reviewer": "ann"},
    "events": {"kind": "contact"},
}

YES_OR_NO = Answers("binary", ("no", "yes"))
A_NUMBER = Answers("regression")
A_CLASS = Answers("multiclass", ("gold", "silver"))


def desk() -> FactDesk:
    return FactDesk("small-fraud", mint=IdMint())


def take(kind: str, content: object) -> Reply:
    return tell(desk(), kind, content)


def tell(at: FactDesk, kind: str, content: object) -> Reply:
    return at.take(kind, json.dumps(content).encode(), answers=YES_OR_NO, caller="shop", now=NOON)


def records(reply: Reply) -> list[Record]:
    assert reply.frame is not None
    return [decode_record(frame) for frame in (reply.frame, *reply.more_frames)]


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        *((YES_OR_NO, outcome) for outcome in (True, False, None)),
        *((A_NUMBER, outcome) for outcome in (12.5, 0, None)),
        *((A_CLASS, outcome) for outcome in ("gold", "silver", None)),
    ],
)
def test_an_outcome_is_recorded_as_it_was_said(answers: Answers, outcome: object) -> None:
    fact = {"association_id": "A-1", "outcome": outcome, "known_at": "1970-01-01T01:00:01+01:00", "fact_id": ID}
    (found,) = records(
        desk().take("outcomes", json.dumps(fact).encode(), answers=answers, caller="shop", now=NOON),
    )
    assert found == OutcomeRecord(
        fact_id=bytes.fromhex(ID.replace("-", "")),
        association_id="A-1",
        prediction_id=None,
        outcome=outcome,  # type: ignore[arg-type]  # one of the kinds it may be
        known_at=1_000_000,
        recorded_at=NOON,
        caller="shop",
    )


@pytest.mark.parametrize(
    ("answers", "outcomes", "takes"),
    [
        (YES_OR_NO, ("yes", "secret-iban", 7, 1, 0.0), "true or false, or null"),
        (A_NUMBER, ("secret-iban", "7", True, False), "a number, or null"),
        (A_CLASS, ("secret-iban", 1, True, ""), 'one of "gold", "silver", or null'),
    ],
)
def test_an_outcome_that_the_project_cannot_have_is_refused_with_what_it_takes(
    answers: Answers, outcomes: tuple[object, ...], takes: str
) -> None:
    for outcome in outcomes:
        body = json.dumps({"association_id": "A-1", "outcome": outcome}).encode()
        with pytest.raises(Refused) as refused:
            desk().take("outcomes", body, answers=answers, caller="shop", now=NOON)
        assert (refused.value.status, refused.value.facts["field"]) == (422, "outcome")
        assert outcome == "" or takes in refused.value.message
        assert b"secret-iban" not in refused.value.body


def test_interventions_verdicts_and_events_are_recorded() -> None:
    (done,) = records(take("interventions", {"prediction_id": f"{ID}:3", "acted": False, "note": "no answer"}))
    assert isinstance(done, InterventionRecord)
    assert (done.acted, done.note, done.prediction_id, done.known_at) == (False, "no answer", f"{ID}:3", NOON)
    (said,) = records(take("verdicts", {"association_id": 4711, "agrees": True, "reviewer": "ann", "reason": "seen"}))
    assert isinstance(said, VerdictRecord)
    assert (said.agrees, said.reviewer, said.reason, said.association_id) == (True, "ann", "seen", "4711")
    (happened,) = records(take("events", {"kind": "contact", "facts": {"by": "phone"}}))
    assert isinstance(happened, EventRecord)
    assert (happened.kind, json.loads(happened.facts)) == ("contact", {"by": "phone"})


def test_many_facts_are_recorded_together_and_counted_in_the_answer() -> None:
    reply = take("outcomes", [{"association_id": str(number), "outcome": True} for number in range(3)])
    told = json.loads(reply.body)
    assert (reply.status, told["recorded"], reply.rows, len(records(reply))) == (200, 3, 3, 3)
    assert len(set(told["fact_ids"])) == 3


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"known_at": "2026-03-01T10:00:00"}, "known_at"),
        ({"known_at": "yesterday secret-iban"}, "known_at"),
        ({"known_at": "2100-01-01T00:00:00Z"}, "known_at"),
        ({"known_at": "9999-12-31T23:59:59-12:00"}, "known_at"),
        ({"known_at": "1026-03-01T10:00:00+01:00"}, "known_at"),
        ({"known_at": "0001-01-01T00:00:00+12:00"}, "known_at"),
        ({"fact_id": "secret-iban"}, "fact_id"),
        ({"association_id": ["secret-iban"]}, "association_id"),
        ({"association_id": ""}, "association_id"),
    ],
)
def test_what_is_wrong_is_named_by_fact_and_entry_and_never_repeated(
    kind: str, change: dict[str, Any], field: str
) -> None:
    good = {"association_id": "A-1", **FACTS[kind]}
    with pytest.raises(Refused, match="fact 1 has") as refused:
        take(kind, [good, {**good, **change}])
    assert (refused.value.facts["field"], refused.value.status) == (field, 422)
    assert b"secret-iban" not in refused.value.body


@pytest.mark.parametrize(("kind", "entry"), [(kind, entry) for kind, fact in FACTS.items() for entry in fact])
def test_what_is_missing_is_named(kind: str, entry: str) -> None:
    fact = {name: value for name, value in {"association_id": "A-1", **FACTS[kind]}.items() if name != entry}
    with pytest.raises(Refused, match=f"fact 0 lacks {entry}; it must be"):
        take(kind, fact)


@pytest.mark.parametrize("kind", ["outcomes", "interventions", "verdicts"])
def test_a_fact_must_name_its_case(kind: str) -> None:
    with pytest.raises(Refused, match="fact 0 names no case"):
        take(kind, FACTS[kind])


@pytest.mark.parametrize("named", ["secret", f"{ID}:", ID.replace("7", "4", 1) + "0"])
def test_a_prediction_is_named_as_the_answer_did(named: str) -> None:
    with pytest.raises(Refused, match="fact 0 has the wrong prediction_id"):
        take("outcomes", {"prediction_id": named, "outcome": True})


def test_unknown_entries_are_refused_since_their_meaning_would_be_lost() -> None:
    with pytest.raises(Refused, match="nothing else") as refused:
        take("outcomes", {"association_id": "A-1", "outcome": True, "secret-iban": 1})
    assert b"secret-iban" not in refused.value.body


def test_a_fact_of_another_project_is_refused() -> None:
    assert take("events", {"kind": "contact", "project": "small-fraud"}).status == 200
    with pytest.raises(NoSuchPath):
        take("events", {"kind": "contact", "project": "another"})


def test_no_and_too_many_facts_are_refused() -> None:
    with pytest.raises(Refused, match="no fact"):
        take("events", [])
    with pytest.raises(TooManyRows):
        take("events", [{"kind": "contact"}] * (MOST_FACTS + 1))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"kind": "\xff"}', b'{"facts":' + b"[" * 5000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        desk().take("events", body, answers=YES_OR_NO, caller="shop", now=NOON)


@pytest.mark.parametrize("facts", [[1], "x", 1, {"long": "x" * 20_000}])
def test_facts_of_an_event_are_an_object_of_bounded_size(facts: object) -> None:
    with pytest.raises(Refused, match="fact 0 has the wrong facts"):
        take("events", {"kind": "contact", "facts": facts})


def test_two_facts_of_a_list_cannot_share_an_id_or_one_would_be_lost() -> None:
    at = desk()
    both = [{"association_id": case, "outcome": True, "fact_id": ID} for case in ("FC", "FD")]
    with pytest.raises(Refused, match="fact 1 has the fact_id of fact 0 and says something else") as refused:
        tell(at, "outcomes", both)
    assert (refused.value.status, refused.value.facts["field"]) == (422, "fact_id")
    assert tell(at, "outcomes", both[1]).status == 200, "nothing of what was refused is known"


def test_another_fact_under_a_known_id_is_refused_not_dropped() -> None:
    at = desk()
    first = {"association_id": "FA", "outcome": True, "fact_id": ID}
    assert tell(at, "outcomes", first).status == 200
    for kind, other in (
        ("outcomes", {"association_id": "FB", "outcome": False, "fact_id": ID}),
        ("outcomes", {**first, "outcome": False}),
        ("interventions", {"association_id": "FA", "acted": True, "fact_id": ID}),
    ):
        with pytest.raises(IdReused, match="fact_id of fact 0 was used for another fact; make a new one") as refused:
            tell(at, kind, other)
        assert refused.value.status == 409


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_same_fact_again_is_no_harm_whoever_sends_it_and_when(kind: str) -> None:
    at = desk()
    fact = {"association_id": "A-1", "fact_id": ID, **FACTS[kind]}
    assert tell(at, kind, [fact, fact]).status == 200
    again = at.take(kind, json.dumps(fact).encode(), answers=YES_OR_NO, caller="another", now=NOON + 1)
    assert (again.status, json.loads(again.body)["fact_ids"]) == (200, [ID])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("secret-iban"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = sorted({name for kind in KINDS.values() for name in kind.__struct_fields__})
FACT = st.dictionaries(st.sampled_from([*ENTRIES, "other"]), JSON, max_size=6)
BODY = st.binary(max_size=40) | (JSON | FACT | st.lists(FACT, max_size=3)).map(lambda value: json.dumps(value).encode())


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(list(KINDS)), BODY)
def test_any_bytes_are_recorded_or_cleanly_refused(kind: str, body: bytes) -> None:
    reply, refused = _taken(kind, body)
    if reply is not None:
        assert len(records(reply)) == json.loads(reply.body)["recorded"]
    if refused is not None:
        assert refused.status in {400, 404, 409, 413, 422}
        assert b"secret-iban" not in refused.body


def _taken(kind: str, body: bytes) -> tuple[Reply | None, Refused | None]:
    try:
        return desk().take(kind, body, answers=YES_OR_NO, caller="shop", now=NOON), None
    except Refused as refused:
        return None, refused
