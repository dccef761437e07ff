"""Does a reader of the log see each decision and fact once, as it was known at a moment?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from msgspec import structs
from tests.conftest import S3Server
from tests.lake.log_making import (
    NOON,
    SECOND,
    a_prediction,
    a_row,
    a_segment,
    a_verdict,
    an_event,
    an_intervention,
    an_outcome,
    name_of,
)

from trueup.data.prediction_log import Completeness, PredictionLog, completeness, open_log
from trueup.kernel.ids import id_as_text
from trueup.lake.desired_state import ServerStatus
from trueup.lake.feature_schemas import write_schema
from trueup.lake.folder_store import FolderStore
from trueup.lake.log_keeping import compact
from trueup.lake.log_manifest import BrokenManifest, LogManifest
from trueup.lake.log_records import BATCH, Record
from trueup.lake.sealing import Sealer
from trueup.lake.store import Store
from trueup.lake.stores import open_store


class Lake:
    """A lake whose log is written by segments that are sealed at once."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        self.store: Store = store or FolderStore(folder / "lake")
        self._folder = folder

    def log(self, *records: Record) -> None:
        a_segment(self._folder / "hot", records)
        Sealer(self.store, "p", hot=self._folder / "hot", clock=lambda: NOON).seal_finished()

    @contextmanager
    def read(self, **more: Any) -> Iterator[PredictionLog]:
        scratch = self._folder / "scratch"
        scratch.mkdir(exist_ok=True)
        with open_log(self.store, "p", scratch=scratch, **more) as log:
            yield log


def rows(log: PredictionLog, query: str) -> Sequence[tuple[Any, ...]]:
    return log.database.execute(query).fetchall()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_an_empty_log_has_all_relations_without_rows(lake: Lake) -> None:
    with lake.read() as log:
        for relation in ("predictions", "outcomes", "interventions", "verdicts", "events", "features", "cases"):
            assert log.count(relation) == 0
        assert log.position == 0


def test_files_that_were_lost_from_an_object_store_are_named(s3_server: S3Server, tmp_path: Path) -> None:
    lake = Lake(tmp_path, open_store(s3_server.create_bucket("lost"), options=s3_server.options))
    lake.log(a_prediction())
    lake.log(an_outcome("a", True))
    manifest = LogManifest(lake.store, "p")
    manifest.refresh()
    lost = [file.path for file in manifest.files()]
    for path in lost:
        lake.store.delete(path)
    with pytest.raises(BrokenManifest) as told, lake.read():
        pass
    assert told.value.facts["files"] == dict.fromkeys(lost, "missing")


def test_a_mistake_in_a_question_is_not_taken_for_a_damaged_log(lake: Lake) -> None:
    lake.log(a_prediction())
    with pytest.raises(duckdb.Error), lake.read() as log:
        log.count("predictions", "no_such_column = 1")


def test_the_first_recorded_decision_of_an_id_stands(lake: Lake) -> None:
    first = a_prediction(a_row(acted=True), at=NOON)
    retry = a_prediction(a_row(acted=False), at=NOON + 1, request=first.prediction_id)
    lake.log(retry)
    lake.log(first)
    with lake.read() as log:
        assert rows(log, "SELECT prediction_id, acted FROM predictions") == [(name_of(first), True)]
        assert log.count("cases") == 1


def test_an_id_that_two_callers_or_two_cases_share_hides_no_decision(lake: Lake) -> None:
    schema = write_schema(lake.store, {"amount": "number"})
    first = a_prediction(a_row(acted=True), body=[{"amount": 1}], schema=schema)
    again: dict[str, Any] = {"request": first.prediction_id, "schema": schema}
    other_case = a_prediction(a_row(case="c2", acted=True), body=[{"amount": 2}], **again)
    other_caller = structs.replace(
        a_prediction(a_row(case="c3", acted=True), body=[{"amount": 3}], **again), caller="another"
    )
    unnamed = a_prediction(a_row(case=None, acted=True), body=[{"amount": 4}], **again)
    lake.log(first, other_case, other_caller, unnamed, structs.replace(unnamed, caller="another"))
    with lake.read() as log:
        for relation in ("predictions", "features", "cases"):
            assert log.count(relation) == 5


def test_shadows_are_predictions_but_no_cases(lake: Lake) -> None:
    decided = a_prediction(a_row(case="a"))
    others = [
        a_prediction(a_row(case="a", role="shadow", model_version=m), request=decided.prediction_id)
        for m in ("m2", "m3")
    ]
    lake.log(decided, *others, others[0])
    with lake.read() as log:
        assert rows(log, "SELECT role, model_version FROM predictions ORDER BY ALL") == [
            ("champion", "m1"),
            ("shadow", "m2"),
            ("shadow", "m3"),
        ]
        assert rows(log, "SELECT case_id, model_version FROM cases") == [("a", "m1")]


def test_the_latest_prediction_decides_the_case(lake: Lake) -> None:
    early = a_prediction(a_row(case="a", reason="early"), at=NOON)
    late = a_prediction(a_row(case="a", reason="late"), at=NOON + SECOND)
    nameless = a_prediction(a_row(case=None, reason="alone"))
    lake.log(late, early, nameless)
    with lake.read() as log:
        assert rows(log, "SELECT case_id, reason FROM cases ORDER BY reason") == [
            (name_of(nameless), "alone"),
            ("a", "late"),
        ]
    with lake.read(as_of=NOON) as log:
        assert rows(log, "SELECT reason FROM cases WHERE case_id = 'a'") == [("early",)]


def test_a_case_has_the_latest_outcome_and_intervention_known_then(lake: Lake) -> None:
    lake.log(
        a_prediction(a_row(case="a")),
        an_outcome("a", False, at=NOON + 1 * SECOND),
        an_outcome("a", True, at=NOON + 2 * SECOND),
        an_outcome("a", None, at=NOON + 3 * SECOND),
        an_outcome("a", False, known_at=NOON + 1, recorded_at=NOON + 9 * SECOND),
        an_intervention("a", True, at=NOON + 2 * SECOND),
    )
    query = "SELECT outcome_flag, intervened FROM cases"
    expected = {0: (None, None), 1: (False, None), 2: (True, True), 3: (None, True), 9: (None, True)}
    for seconds, row in expected.items():
        with lake.read(as_of=NOON + seconds * SECOND) as log:
            assert rows(log, query) == [row], seconds
    with lake.read() as log:
        assert rows(log, query) == [(None, True)]


def test_a_fact_that_names_a_prediction_belongs_to_its_case(lake: Lake) -> None:
    many = a_prediction(a_row(0, "a"), a_row(1, None))
    request = name_of(many)
    lake.log(
        many,
        an_outcome(None, True, prediction_id=request),
        an_outcome(None, False, prediction_id=f"{request}:1"),
        an_outcome(None, True, prediction_id="of nobody"),
    )
    with lake.read() as log:
        assert rows(log, "SELECT case_id, outcome_flag FROM cases ORDER BY outcome_flag") == [
            (f"{request}:1", False),
            ("a", True),
        ]


def test_a_fact_that_was_sent_twice_counts_once(lake: Lake) -> None:
    fact = an_outcome("a", 3.0)
    lake.log(fact, a_verdict("a", True), an_event("a", "contact"))
    lake.log(fact)
    with lake.read() as log:
        assert [log.count(table) for table in ("outcomes", "verdicts", "events")] == [1, 1, 1]


def test_an_id_under_which_two_facts_say_different_things_is_found(lake: Lake) -> None:
    first, same = an_outcome("a", True), an_outcome("b", True)
    lake.log(first, same, an_event("a", "contact"))
    lake.log(structs.replace(same, known_at=NOON + 9, recorded_at=NOON + 9, caller="again"))
    with lake.read() as log:
        assert log.contradicting_facts() == {}
    lake.log(structs.replace(first, association_id="c", recorded_at=NOON + 9))
    with lake.read() as log:
        assert log.contradicting_facts() == {"outcomes": (id_as_text(first.fact_id),)}
        assert log.count("outcomes") == 2
        assert log.count("recorded_outcomes") == 4


def test_features_are_united_by_name_in_their_declared_kinds(lake: Lake) -> None:
    old = write_schema(lake.store, {"amount": "category", "broker": "category"})
    new = write_schema(lake.store, {"amount": "number", "age": "number"})
    before = a_prediction(body=[{"amount": "5", "broker": "x"}], schema=old, at=NOON)
    odd = a_prediction(body=[{"amount": "many"}], schema=old, at=NOON + 1)
    after = a_prediction(body=[{"amount": 6.5, "age": 30}], schema=new, at=NOON + 2)
    lake.log(before, odd)
    lake.log(after, before)
    query = "SELECT amount, broker, age FROM features ORDER BY _decided_at"
    with lake.read() as log:
        assert rows(log, query) == [(5.0, "x", None), (None, None, None), (6.5, None, 30.0)]
    with lake.read(kinds={"amount": "text"}) as log:
        assert rows(log, "SELECT amount FROM features ORDER BY _decided_at") == [("5",), ("many",), ("6.5",)]
    with lake.read(as_of=NOON) as log:
        assert log.count("features") == 1


def test_features_join_their_predictions(lake: Lake) -> None:
    schema = write_schema(lake.store, {"amount": "number"})
    lake.log(a_prediction(a_row(0, "a"), a_row(1, "b"), body=[{"amount": 1}, {"amount": 2}], schema=schema))
    query = "SELECT association_id, amount FROM predictions JOIN features ON prediction_id = _prediction_id ORDER BY 1"
    with lake.read() as log:
        assert rows(log, query) == [("a", 1.0), ("b", 2.0)]


def test_a_replay_reads_what_was_read(lake: Lake) -> None:
    lake.log(a_prediction())
    with lake.read() as log:
        position = log.position
    lake.log(a_prediction())
    with lake.read(until=position) as log:
        assert (log.position, log.count("predictions")) == (1, 1)
    with lake.read() as log:
        assert (log.position, log.count("predictions")) == (2, 2)


def test_moments_are_utc(lake: Lake) -> None:
    lake.log(a_prediction())
    with lake.read() as log:
        ((moment,),) = rows(log, "SELECT decided_at FROM predictions")
    assert moment == dt.datetime(2023, 11, 14, 22, 13, 20)


def test_a_log_in_an_object_store_is_read(s3_server: S3Server, tmp_path: Path) -> None:
    lake = Lake(tmp_path, open_store(s3_server.create_bucket("reading"), options=s3_server.options))
    lake.log(a_prediction())
    for _ in range(2):
        with lake.read() as log:
            assert log.count("cases") == 1


def a_status(*, served: int, logged: int, started_at: int = NOON) -> ServerStatus:
    return ServerStatus(
        server=f"h-{served}", project="p", version=1, bundles=(), started_at=started_at, reported_at=NOON,
        served=served, logged=logged, shed=0, fallback=0,
    )  # fmt: skip


def test_the_log_is_complete_when_it_has_all_that_was_answered(lake: Lake) -> None:
    first = a_prediction(at=NOON + 1)
    played = a_prediction(at=NOON - 1)  # a server that plays past days decides before it was started
    lake.log(played, first, a_prediction(a_row(role="shadow")), a_prediction(at=NOON + 2))
    lake.log(first)  # the same id at another server is answered twice
    with lake.read() as log:
        servers = [a_status(served=3, logged=3), a_status(served=1, logged=1, started_at=NOON + 1)]
        assert completeness(servers, log) == Completeness(served=4, logged=4, sealed=4)
        assert completeness(servers, log).complete
        assert not completeness([a_status(served=5, logged=5)], log).complete
        assert not completeness([a_status(served=4, logged=3)], log).complete
        assert completeness([a_status(served=3, logged=4)], log).complete  # logged, and killed before it was told
        assert completeness([], log).served == 0


def test_rows_of_batch_runs_do_not_stand_in_for_those_of_servers(lake: Lake) -> None:
    of_a_run = structs.replace(a_prediction(*(a_row(place) for place in range(5))), caller=f"{BATCH}streaming")
    lake.log(a_prediction(), of_a_run)
    with lake.read() as log:
        found = completeness([a_status(served=3, logged=3)], log)
    assert found == Completeness(served=3, logged=3, sealed=1, batch=5)
    assert not found.complete


def test_one_case_is_found_among_others_also_after_compaction(lake: Lake) -> None:
    lake.log(*(a_prediction(a_row(case=f"c{number % 10}"), at=NOON + number) for number in range(40)))
    for _ in range(2):
        with lake.read() as log:
            found = log.predictions_of("c7")
            assert [row["decided_at"].microsecond for row in found] == [7, 17, 27, 37]
            assert log.predictions_of("nobody") == []
        compact(LogManifest(lake.store, "p"), before=NOON + 40, now=NOON)
