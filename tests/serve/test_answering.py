from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.lakes import FEATURES
from tests.serve.loadouts import (
    ID,
    NOON,
    RISKY,
    SAFE,
    answerer,
    ask,
    document_of,
    error,
    first,
    loadout,
    model,
    record,
    request,
    seat,
    told,
)

from trueup.align.charter import PayoffMatrix
from trueup.align.streaming import MemoryTokens
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import Output
from trueup.kernel.ids import id_as_text
from trueup.lake.log_records import EventRecord, decode_record
from trueup.serve.circuit import CircuitRule
from trueup.serve.loadout import Seat
from trueup.serve.replies import Reply
from trueup.serve.row_requests import PolicyColumns


class BrokenStage:
    """A predictor that fails until it is mended."""

    def __init__(self) -> None:
        self.broken = True

    def score_row(self, row: object) -> object:
        if self.broken:
            raise ZeroDivisionError("secret-value")
        return model().answering.predictor.score_row(row)  # type: ignore[attr-defined]

    def score_rows(self, rows: object) -> object:
        return self.score_row(rows)


def test_a_row_gets_the_bundles_own_score_and_a_decision_by_its_expected_gain() -> None:
    reply = ask(answerer(), RISKY)
    prediction = told(reply)[0]
    body = json.dumps({name: RISKY[name] for name in ("amount", "age")})
    (expected,) = model().answering.score_requests([body])
    assert expected is not None
    assert prediction["score"] == expected[0]
    assert (prediction["decision"], prediction["qualifies"], prediction["reason"]) == (True, True, "worth_it")
    assert prediction["association_id"] == "risky"
    assert prediction["decision_by"] == "champion"
    assert prediction["model_version"] == model().manifest.digest


def test_what_is_told_is_what_is_recorded() -> None:
    reply = ask(answerer(), RISKY, SAFE)
    logged, predictions = record(reply), told(reply)
    assert [p["prediction_id"] for p in predictions] == [
        id_as_text(logged.prediction_id),
        f"{id_as_text(logged.prediction_id)}:1",
    ]
    assert json.loads(logged.body) == [RISKY, SAFE]
    assert (logged.decided_at, logged.caller) == (NOON, "tests")
    assert [row.acted for row in logged.rows] == [True, False]
    assert [p["decision"] for p in predictions] == [True, False]
    assert [row.scores for row in logged.rows] == [(p["score"],) for p in predictions]
    assert [row.row for row in logged.rows] == [0, 1]
    assert logged.policy_version == predictions[0]["policy_version"]
    score = predictions[0]["score"]
    assert logged.rows[0].expected_gain == pytest.approx(score * 15.0 - (1 - score) * 5.0)
    assert logged.latency_us > 0


def test_one_row_and_many_rows_get_the_same_scores() -> None:
    many = told(ask(answerer(), RISKY, SAFE, RISKY))
    assert [p["score"] for p in many[:2]] == [told(ask(answerer(), row))[0]["score"] for row in (RISKY, SAFE)]


def test_the_capacity_is_filled_and_never_exceeded_whatever_comes_at_once() -> None:
    asked = answerer()
    decisions = [p["decision"] for _ in range(3) for p in told(ask(asked, RISKY, RISKY))]
    assert decisions == [True, True, True, False, False, False]
    assert told(ask(asked, RISKY))[0]["reason"] == "no_capacity"
    assert told(ask(asked, RISKY))[0]["qualifies"] is True


def test_ids_of_the_server_grow_and_a_case_may_be_named_by_the_caller() -> None:
    asked = answerer()
    first_id, second_id = (told(ask(asked, SAFE, association_ids=["A-1"]))[0]["prediction_id"] for _ in range(2))
    assert first_id < second_id
    assert told(ask(asked, SAFE, association_ids=["A-1"]))[0]["association_id"] == "A-1"
    assert error(ask(asked, SAFE, association_ids=["A-1", "A-2"]))["field"] == "association_ids"


def test_a_retry_with_the_callers_id_gets_the_same_answer_and_no_second_record_or_token() -> None:
    asked = answerer()
    reply = ask(asked, RISKY, prediction_id=ID)
    asked.recorded(reply)
    again = ask(asked, RISKY, prediction_id=ID)
    assert (again.body, again.frame) == (reply.body, None)
    assert [told(ask(asked, RISKY))[0]["decision"] for _ in range(3)] == [True, True, False]


def test_a_retry_before_the_record_is_written_is_recorded_again_under_the_same_id() -> None:
    asked = answerer()
    reply = ask(asked, RISKY, prediction_id=ID)
    assert ask(asked, RISKY, prediction_id=ID).frame == reply.frame


def test_a_retry_of_what_could_not_be_recorded_is_decided_again_with_the_same_token() -> None:
    asked = answerer()
    asked.recorded(ask(asked, RISKY, prediction_id=ID), OSError("no space left"))
    assert told(ask(asked, RISKY, prediction_id=ID))[0]["decision"] is True
    assert [told(ask(asked, RISKY))[0]["decision"] for _ in range(3)] == [True, True, False]


def test_a_retry_at_another_process_takes_no_second_token() -> None:
    tokens = MemoryTokens()
    one, other = answerer(loadout(tokens=tokens)), answerer(loadout(tokens=tokens))
    for asked in (one, other):
        assert told(ask(asked, RISKY, prediction_id=ID))[0]["decision"] is True
    assert [told(ask(one, RISKY))[0]["decision"] for _ in range(3)] == [True, True, False]


def test_an_id_that_comes_again_for_other_cases_or_from_other_callers_takes_a_token_each_time() -> None:
    tokens = MemoryTokens()
    processes = [answerer(loadout(tokens=tokens)) for _ in range(5)]
    asked = [{**RISKY, "case": f"case-{number}"} for number in range(5)]
    decided = [told(ask(one, row, prediction_id=ID))[0]["decision"] for one, row in zip(processes, asked, strict=True)]
    assert decided == [True, True, True, False, False]
    one = answerer()
    by_caller = [one.answer(request(RISKY, prediction_id=ID), caller=f"c{n}", now=NOON, started_ns=0) for n in range(4)]
    assert [told(reply)[0]["decision"] for reply in by_caller] == [True, True, True, False]


def test_rows_without_a_case_are_told_apart_by_what_was_sent() -> None:
    tokens = MemoryTokens()
    processes = [answerer(loadout(tokens=tokens)) for _ in range(4)]
    unnamed = [request({**RISKY, "age": 30 + number}, prediction_id=ID, association_ids=[None]) for number in range(4)]
    replies = [
        one.answer(body, caller="tests", now=NOON, started_ns=0) for one, body in zip(processes, unnamed, strict=True)
    ]
    assert [told(reply)[0]["decision"] for reply in replies] == [True, True, True, False]


def test_a_retry_at_a_process_that_would_not_act_any_more_hears_that_it_was_acted_on() -> None:
    tokens = MemoryTokens()
    reply = ask(answerer(loadout(tokens=tokens)), RISKY, prediction_id=ID)
    lately = document_of(payoff=PayoffMatrix("-900", "-900", "0", "0"))
    later = ask(answerer(loadout(document=lately, tokens=tokens)), RISKY, prediction_id=ID)
    assert [told(one)[0]["decision"] for one in (reply, later)] == [True, True]
    assert told(later)[0]["reason"] == "worth_it"
    assert told(ask(answerer(loadout(document=lately, tokens=tokens)), RISKY))[0]["decision"] is False


def test_an_id_of_another_request_is_refused_and_one_of_another_caller_is_not() -> None:
    asked = answerer()
    ask(asked, RISKY, prediction_id=ID)
    refused = ask(asked, SAFE, prediction_id=ID)
    assert (refused.status, error(refused)["code"]) == (409, "serve.id-reused")
    other = asked.answer(request(SAFE, prediction_id=ID), caller="another", now=NOON, started_ns=0)
    assert told(other)[0]["prediction_id"] == ID


def test_a_model_that_fails_gives_way_to_the_signed_fallback_which_the_answer_says() -> None:
    asked = answerer(loadout(seat(predictor=BrokenStage())))
    reply = ask(asked, RISKY)
    prediction = told(reply)[0]
    assert (prediction["decision"], prediction["decision_by"], prediction["reason"], prediction["score"]) == (
        True,
        "fallback",
        "fallback:model_error",
        None,
    )
    assert told(ask(asked, SAFE))[0]["decision"] is False
    assert (first(reply).role, first(reply).model_version) == ("fallback", model().manifest.digest)
    assert asked.counts.fallbacks == {"model_error": 2}
    assert b"secret-value" not in reply.body


def test_without_a_signed_fallback_a_failed_model_is_told() -> None:
    document = document_of(fallback=None)
    asked = answerer(loadout(seat(document=document, predictor=BrokenStage()), document=document))
    refused = ask(asked, RISKY)
    assert (refused.status, error(refused)["code"]) == (503, "serve.no-decision")
    assert refused.headers == ((b"retry-after", b"1"),)


def test_the_circuit_opens_after_failures_and_a_probe_closes_it_and_both_are_events() -> None:
    broken = BrokenStage()
    rule = CircuitRule(failures=2, rest_s=0.02)
    asked = answerer(loadout(seat(predictor=broken, rule=rule)))
    reasons = [told(ask(asked, SAFE))[0]["reason"] for _ in range(3)]
    assert reasons == ["fallback:model_error", "fallback:model_error", "fallback:open_circuit"]
    broken.broken = False
    while told(ask(asked, SAFE))[0]["decision_by"] == "fallback":  # each answer moves the clock on by milliseconds
        continue
    events = [decode_record(frame) for frame in asked.take_events()]
    assert all(isinstance(event, EventRecord) and event.kind == "interruption" for event in events)
    assert [json.loads(event.facts)["what"] for event in events if isinstance(event, EventRecord)] == [
        "circuit_opened",
        "circuit_closed",
    ]
    assert asked.take_events() == []


def test_a_row_without_a_feature_is_decided_by_the_fallback_and_the_others_by_the_model() -> None:
    lacking = {name: value for name, value in RISKY.items() if name != "age"}
    asked = answerer()
    predictions = told(ask(asked, RISKY, lacking, SAFE))
    assert [p["reason"] for p in predictions] == ["worth_it", "fallback:missing_features", "not_worth_it"]
    assert [p.get("missing") for p in predictions] == [None, "age", None]
    assert predictions[1]["decision"] is True
    assert asked.counts.fallbacks == {"missing_features": 1}


def test_a_misspelt_field_is_named_as_missing_in_the_answer() -> None:
    misspelt = {("Age" if name == "age" else name): value for name, value in RISKY.items()}
    reply = ask(answerer(), misspelt)
    assert [(p["reason"], p["missing"]) for p in told(reply)] == [("fallback:missing_features", "age")]
    assert reply.missing == {0: "age"}


def test_a_row_that_the_model_refuses_is_decided_by_the_fallback() -> None:
    assert told(ask(answerer(), {**RISKY, "age": None}))[0]["reason"] == "fallback:missing_features"


def test_a_row_that_neither_model_nor_fallback_can_decide_is_refused_by_its_field() -> None:
    lacking = {name: value for name, value in RISKY.items() if name != "amount"}
    refused = ask(answerer(), SAFE, lacking)
    assert refused.status == 422
    assert error(refused) == {
        "error": 'row 1 lacks "amount" (number); send null where it is not known',
        "code": "serve.bad-row",
        "row": 1,
        "field": "amount",
    }


def test_without_a_fallback_a_missing_feature_is_the_callers_fault() -> None:
    document = document_of(fallback=None)
    asked = answerer(loadout(seat(document=document), document=document))
    lacking = {name: value for name, value in RISKY.items() if name != "age"}
    assert error(ask(asked, lacking))["field"] == "age"
    assert error(ask(asked, {**RISKY, "age": None}))["code"] == "serve.bad-row"


def test_a_refused_request_takes_no_token() -> None:
    asked = answerer()
    for _ in range(5):
        assert ask(asked, RISKY, {**SAFE, "fee": []}).status == 422
    assert told(ask(asked, RISKY))[0]["decision"] is True


def test_paused_means_that_the_fallback_decides_everything() -> None:
    prediction = told(ask(answerer(loadout(paused=True)), RISKY))[0]
    assert (prediction["reason"], prediction["decision"], prediction["score"]) == ("fallback:paused", True, None)


def test_a_bundle_that_could_not_be_opened_leaves_its_cases_to_the_fallback() -> None:
    empty = Seat("d" * 64, "champion", features=(), columns=PolicyColumns.of(document_of()))
    assert told(ask(answerer(loadout(empty)), RISKY))[0]["reason"] == "fallback:no_model"


def test_the_fallback_needs_a_token_too() -> None:
    asked = answerer(loadout(paused=True))
    assert [p["decision"] for p in told(ask(asked, *[RISKY] * 5))] == [True, True, True, False, False]


def test_interruptions_are_counted_at_what_a_case_earned_until_then() -> None:
    asked = answerer()
    reply = ask(asked, RISKY, SAFE)
    ask(asked, {**RISKY, "age": None})
    gain = first(reply).expected_gain
    assert gain is not None
    assert asked.counts.interrupted_value == pytest.approx(gain / 2)


def test_a_canary_decides_its_share_of_cases_and_always_the_same_ones() -> None:
    document = document_of(capacity=None)
    canary = seat("canary", age_counts=False, share=0.5)
    cases = [{**RISKY, "case": f"case {number}"} for number in range(40)]
    first_time, again = (
        told(ask(answerer(loadout(others=[canary], salt=7, document=document)), *cases)) for _ in range(2)
    )
    deciders = [p["decision_by"] for p in first_time]
    assert deciders == [p["decision_by"] for p in again]
    assert 8 <= deciders.count("canary") <= 32
    assert {p["model_version"] for p in first_time if p["decision_by"] == "canary"} == {canary.digest}
    other_salt = told(ask(answerer(loadout(others=[canary], salt=8, document=document)), *cases))
    assert deciders != [p["decision_by"] for p in other_salt]


def test_a_canary_with_another_schema_leaves_rows_it_cannot_read_to_the_champion() -> None:
    features = (*FEATURES, FeatureSpec("income", "number"))
    canary = Seat("e" * 64, "canary", features=features, columns=PolicyColumns.of(document_of()))
    prediction = told(ask(answerer(loadout(others=[canary])), RISKY))[0]
    assert (prediction["decision_by"], prediction["model_version"]) == ("champion", model().manifest.digest)


def test_the_control_group_is_decided_by_the_old_rule_with_its_propensity() -> None:
    document = document_of(control_group=1.0)
    asked = answerer(loadout(seat(document=document), document=document))
    reply = ask(asked, RISKY, {**RISKY, "amount": 1.5}, SAFE)
    rows = record(reply).rows
    assert [row.role for row in rows] == ["control"] * 3
    assert [row.acted for row in rows] == [True, False, False]
    assert [row.qualifies for row in rows] == [True, True, False]
    assert [row.propensity for row in rows] == [1.0] * 3
    assert all(row.scores is not None for row in rows)


def test_a_shadow_is_recorded_under_the_same_id_and_decides_nothing() -> None:
    shadow = seat("shadow", age_counts=False)
    asked = answerer(loadout(others=[shadow]))
    reply = ask(asked, RISKY, SAFE)
    (frame,) = asked.shadow_frames(reply)
    said = record(Reply(200, b"", frame))
    assert said.prediction_id == record(reply).prediction_id
    assert said.body == b""
    assert [(row.role, row.acted, row.model_version) for row in said.rows] == [("shadow", False, shadow.digest)] * 2
    assert said.rows[0].scores != record(reply).rows[0].scores
    assert asked.counts.shadowed == 2


def test_a_shadow_that_fails_or_reads_other_columns_fails_no_answer() -> None:
    features = (*FEATURES, FeatureSpec("income", "number"))
    odd = Seat("e" * 64, "shadow", features=features, columns=PolicyColumns.of(document_of()), predictor=BrokenStage())  # type: ignore[arg-type]
    asked = answerer(loadout(others=[odd, seat("shadow", predictor=BrokenStage())]))
    reply = ask(asked, RISKY)
    assert told(reply)[0]["decision"] is True
    assert asked.shadow_frames(reply) == []
    assert asked.counts.shadows_failed == 2


def test_a_shadow_sees_its_share_of_cases() -> None:
    asked = answerer(loadout(others=[seat("shadow", share=0.5)]))
    reply = ask(asked, *({**SAFE, "case": f"case {number}"} for number in range(40)))
    (frame,) = asked.shadow_frames(reply)
    assert 8 <= len(record(Reply(200, b"", frame)).rows) <= 32


def test_a_flip_is_one_assignment_and_answers_are_of_the_model_that_decided() -> None:
    asked = answerer()
    asked.adopt(loadout(seat(age_counts=False)))
    assert told(ask(asked, RISKY))[0]["model_version"] == model(age_counts=False).manifest.digest


def test_reasons_name_the_features_that_moved_the_score_most() -> None:
    prediction = told(ask(answerer(), RISKY, reasons=1))[0]
    (reason,) = prediction["reasons"]
    assert reason["feature"] == "amount"
    assert 0 < reason["effect"] <= 1
    assert "reasons" not in told(ask(answerer(), RISKY))[0]


def test_personal_values_are_sealed_in_the_log_and_the_decision_knows_them() -> None:
    def seal(rows: bytes, cases: Sequence[str | None]) -> bytes:
        assert cases == ["risky"]
        return rows.replace(b"DE00", b"----")

    reply = ask(answerer(loadout(seal=seal)), {**RISKY, "iban": "DE00"})
    assert json.loads(record(reply).body)[0]["iban"] == "----"


class Elsewhere:
    """A model in another process, as far as an answerer can tell; it answers when it is let."""

    def __init__(self, outputs: Sequence[Output] | Exception) -> None:
        self.outputs = outputs
        self.free = asyncio.Event()
        self.asked: list[str] = []

    async def score(self, requests: Sequence[str]) -> Sequence[Output]:
        self.asked += requests
        await self.free.wait()
        if isinstance(self.outputs, Exception):
            raise self.outputs
        return self.outputs


def run_slowly(elsewhere: Elsewhere, *rows: dict[str, object], deadline_s: float = 60.0, flip: bool = False) -> Reply:
    async def run() -> Reply:
        asked = answerer(loadout(seat(predictor=None, slow=elsewhere)), deadline_s=deadline_s)
        begun = asked.begin(request(*rows), caller="tests", now=NOON, started_ns=0)
        assert not isinstance(begun, Reply)
        assert begun.loadout.in_flight == 1
        if flip:
            asked.adopt(loadout(seat(age_counts=False)))
        waiting = asyncio.create_task(asked.wait(begun))
        if deadline_s > 1:
            elsewhere.free.set()
        reply = await waiting
        assert begun.loadout.in_flight == 0
        return reply

    return asyncio.run(run())


def test_a_model_in_another_process_is_awaited_and_sees_only_whole_rows() -> None:
    lacking = {name: value for name, value in RISKY.items() if name != "age"}
    elsewhere = Elsewhere([(0.75,), None])
    predictions = told(run_slowly(elsewhere, RISKY, lacking, SAFE))
    assert [json.loads(one)["case"] for one in elsewhere.asked] == ["risky", "safe"]
    assert [p["score"] for p in predictions] == [0.75, None, None]
    assert [p["reason"] for p in predictions] == ["worth_it", *["fallback:missing_features"] * 2]


def test_a_request_in_flight_is_attributed_to_the_model_it_began_with() -> None:
    reply = run_slowly(Elsewhere([(0.75,)]), RISKY, flip=True)
    assert told(reply)[0]["model_version"] == model().manifest.digest


def test_a_missed_deadline_and_a_failing_process_leave_the_case_to_the_fallback() -> None:
    assert told(run_slowly(Elsewhere([(0.75,)]), RISKY, deadline_s=0.001))[0]["reason"] == "fallback:deadline"
    failing = Elsewhere(RuntimeError("it ended"))
    assert told(run_slowly(failing, RISKY))[0]["reason"] == "fallback:model_error"


def test_a_retry_while_the_model_is_still_asked_waits_for_the_same_answer() -> None:
    async def run() -> None:
        elsewhere = Elsewhere([(0.75,)])
        asked = answerer(loadout(seat(predictor=None, slow=elsewhere)))
        body = request(RISKY, prediction_id=ID)
        works = [asked.begin(body, caller="tests", now=NOON, started_ns=0) for _ in range(2)]
        assert works[0] is works[1]
        assert not isinstance(works[0], Reply)
        tasks = [asyncio.create_task(asked.wait(works[0])) for _ in works]
        elsewhere.free.set()
        first_reply, second_reply = await asyncio.gather(*tasks)
        assert first_reply.body == second_reply.body
        assert len(elsewhere.asked) == 1

    asyncio.run(run())


def test_a_caller_who_left_does_not_keep_the_id_busy() -> None:
    async def run() -> None:
        elsewhere = Elsewhere([(0.75,)])
        asked = answerer(loadout(seat(predictor=None, slow=elsewhere)))
        body = request(RISKY, prediction_id=ID)
        begun = asked.begin(body, caller="tests", now=NOON, started_ns=0)
        assert not isinstance(begun, Reply)
        task = asyncio.create_task(asked.wait(begun))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert begun.loadout.in_flight == 0
        again = asked.begin(body, caller="tests", now=NOON, started_ns=0)
        assert not isinstance(again, Reply)
        assert again is not begun
        elsewhere.free.set()
        assert told(await asked.wait(again))[0]["score"] == 0.75

    asyncio.run(run())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("secret-iban"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
ROW = st.dictionaries(st.sampled_from(["amount", "age", "fee", "case", "other"]), JSON, max_size=5)
ENVELOPE = st.fixed_dictionaries(
    {"rows": st.lists(ROW, max_size=3) | JSON},
    optional={"prediction_id": JSON, "association_ids": JSON, "reasons": JSON, "more": JSON},
)
BODY = (
    st.binary(max_size=60)
    | ENVELOPE.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
)


@settings(max_examples=600, deadline=None)
@given(BODY)
def test_any_bytes_get_an_answer_or_a_clean_refusal_that_repeats_nothing(body: bytes) -> None:
    reply = answerer().answer(body, caller="tests", now=NOON, started_ns=0)
    content = json.loads(reply.body)
    if reply.status == 200:
        assert len(content["predictions"]) == len(json.loads(record(reply).body))
        return
    assert reply.status in {400, 413, 422}
    assert set(content) <= {"error", "code", "row", "field"}
    assert "secret-iban" not in reply.body.decode()
    assert "Traceback" not in reply.body.decode()


def test_a_server_that_answers_loads_no_data_frame_learning_or_sql_library() -> None:
    code = (
        "import sys, trueup.serve.answering, trueup.lake.desired_state\n"
        "heavy = {'pandas', 'pyarrow', 'sklearn', 'lightgbm', 'duckdb', 'sqlglot', 'django', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
