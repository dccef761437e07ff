"""Does each record become a row of a file exactly once, whatever is killed in between?"""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.conftest import S3Server
from tests.lake.log_making import (
    KINDS,
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

from trueup.lake.disk import SystemDisk
from trueup.lake.errors import StoreUnavailable
from trueup.lake.feature_schemas import BadFeatureSchema, read_schema, schema_digest, write_schema
from trueup.lake.folder_store import FolderStore
from trueup.lake.log_keeping import drop_before
from trueup.lake.log_manifest import LogManifest
from trueup.lake.log_records import Record, SchemaRecord, encode_record
from trueup.lake.rolling import RollingSegments
from trueup.lake.sealing import Sealed, Sealer, SealingElsewhere, remove_unnamed, sealing_alone
from trueup.lake.segments import SegmentWriter, list_segments
from trueup.lake.store import Store
from trueup.lake.stores import open_store

Row = dict[str, Any]


def a_sealer(store: Store, hot: Path) -> Sealer:
    return Sealer(store, "p", hot=hot, clock=lambda: NOON)


def sealed_rows(store: Store, table: str) -> list[Row]:
    """All rows of a table as the manifest has them now."""
    manifest = LogManifest(store, "p")
    manifest.refresh()
    return [
        row for file in manifest.files(table) for row in pq.read_table(io.BytesIO(store.get(file.path))).to_pylist()
    ]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "lake")


@pytest.fixture
def hot(tmp_path: Path) -> Path:
    return tmp_path / "hot"


def test_a_prediction_becomes_a_narrow_row(store: FolderStore, hot: Path) -> None:
    record = a_prediction(a_row(case="c7"))
    a_segment(hot, [record])
    assert a_sealer(store, hot).seal_finished() == Sealed(segments=1, rows=1)
    (row,) = sealed_rows(store, "predictions")
    assert row["prediction_id"] == name_of(record)
    assert (row["association_id"], row["score"], row["scores"]) == ("c7", 0.25, None)
    assert (row["expected_gain"], row["qualifies"], row["acted"], row["reason"]) == (12.5, True, False, "capacity")
    assert (row["role"], row["model_version"], row["policy_version"]) == ("champion", "m1", "p1")
    assert row["decided_at"].isoformat() == "2023-11-14T22:13:20+00:00"
    assert row["event_time"].isoformat() == "2023-11-14T22:13:19+00:00"
    assert (row["caller"], row["latency_us"], row["propensity"]) == ("shop", 120, 1.0)
    assert list_segments(hot) == ()


def test_rows_are_called_as_answers_call_them(store: FolderStore, hot: Path) -> None:
    many = a_prediction(a_row(0, "a"), a_row(1, "b"))
    shadow = a_prediction(a_row(0, "a", role="shadow"), request=many.prediction_id)
    a_segment(hot, [many, shadow])
    a_sealer(store, hot).seal_finished()
    rows = [(row["prediction_id"], row["row"], row["role"]) for row in sealed_rows(store, "predictions")]
    request = name_of(many)
    assert rows == [(request, 0, "champion"), (f"{request}:1", 1, "champion"), (request, 0, "shadow")]


def test_classes_and_numbers_have_their_own_columns(store: FolderStore, hot: Path) -> None:
    classes = a_prediction(a_row(scores=(0.1, 0.7, 0.2), predicted="red", expected_gain=None))
    number = a_prediction(a_row(scores=(41.5,), predicted=41.5))
    fallback = a_prediction(a_row(scores=None, expected_gain=None, role="fallback"))
    a_segment(hot, [classes, number, fallback])
    a_sealer(store, hot).seal_finished()
    rows = sealed_rows(store, "predictions")
    assert [(r["score"], r["scores"], r["predicted_class"], r["predicted_number"]) for r in rows] == [
        (None, [0.1, 0.7, 0.2], "red", None),
        (41.5, None, None, 41.5),
        (None, None, None, None),
    ]


def test_facts_become_rows_of_their_tables(store: FolderStore, hot: Path) -> None:
    facts: list[Record] = [
        an_outcome("a", True),
        an_outcome("b", 3.5),
        an_outcome("c", "red"),
        an_outcome("d", None),
        an_intervention("a", True, note="called"),
        a_verdict("a", False),
        an_event("a", "contact"),
    ]
    a_segment(hot, facts)
    assert a_sealer(store, hot).seal_finished().rows == 7
    outcomes = sealed_rows(store, "outcomes")
    assert [(o["association_id"], o["outcome_flag"], o["outcome_number"], o["outcome_class"]) for o in outcomes] == [
        ("a", True, None, None),
        ("b", None, 3.5, None),
        ("c", None, None, "red"),
        ("d", None, None, None),
    ]
    (intervention,) = sealed_rows(store, "interventions")
    assert (intervention["acted"], intervention["note"], intervention["caller"]) == (True, "called", "crm")
    (verdict,) = sealed_rows(store, "verdicts")
    assert (verdict["agrees"], verdict["reviewer"], verdict["reason"]) == (False, "ann", "seen before")
    (event,) = sealed_rows(store, "events")
    assert (event["kind"], event["facts"]) == ("contact", '{"by":"phone"}')


def test_features_become_columns_of_the_kinds_in_their_schema(store: FolderStore, hot: Path) -> None:
    kinds = {"amount": "number", "broker": "category", "new": "boolean", "born": "date", "note": "text", "x": "any"}
    schema = write_schema(store, kinds)
    body = [
        {"amount": 5, "broker": 3, "new": True, "born": "1990-01-02", "note": "hi", "x": 1.5, "extra": 1},
        {"amount": "five", "broker": 3.0, "new": "no", "born": 1.5, "note": None, "x": [1]},
    ]
    record = a_prediction(a_row(0, "a"), a_row(1, None), body=body, schema=schema)
    a_segment(hot, [record])
    a_sealer(store, hot).seal_finished()
    first, second = sealed_rows(store, f"features/{schema}")
    assert first.pop("born").isoformat() == "1990-01-02T00:00:00+00:00"
    assert second.pop("born").isoformat() == "1970-01-02T12:00:00+00:00"
    assert first.pop("_decided_at") == second.pop("_decided_at")
    request = name_of(record)
    ours = {"_caller": "shop", "_personal": None, "_unread": None}
    assert first == {
        "_prediction_id": request, "_association_id": "a", **ours,
        "amount": 5.0, "broker": "3", "new": True, "note": "hi", "x": "1.5",
    }  # fmt: skip
    assert second == {
        "_prediction_id": f"{request}:1", "_association_id": None, **ours, "_unread": '{"amount":"five"}',
        "amount": None, "broker": "3", "new": False, "note": None, "x": "[1]",
    }  # fmt: skip


def test_a_field_called_as_ours_that_a_caller_sent_is_no_sealed_value(store: FolderStore, hot: Path) -> None:
    schema = write_schema(store, KINDS)
    a_segment(hot, [a_prediction(body=[{"amount": 1, "_personal": 7}], schema=schema)])
    a_sealer(store, hot).seal_finished()
    assert sealed_rows(store, f"features/{schema}")[0]["_personal"] is None
    with pytest.raises(BadFeatureSchema, match="_personal"):
        write_schema(store, {"_personal": "text"})


def test_a_torn_end_is_dropped_and_told(store: FolderStore, hot: Path) -> None:
    a_segment(hot, [a_prediction()], torn=b"\x10\0\0\0half")
    assert a_sealer(store, hot).seal_finished() == Sealed(segments=1, rows=1, torn_bytes=8)
    (entry,) = LogManifest(store, "p").entries()
    assert entry.torn_bytes == 8


def a_damaged_segment(hot: Path, records: list[Record], *, now: int = NOON) -> tuple[Path, bytes]:
    """Flip one byte in the middle of a segment, and return it with its content then."""
    path = a_segment(hot, records, now=now)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path, bytes(content)


def test_of_a_damaged_segment_whole_records_are_sealed_and_its_bytes_are_kept(store: FolderStore, hot: Path) -> None:
    records: list[Record] = [a_prediction() for _ in range(5)]
    path, content = a_damaged_segment(hot, records)
    sealer = a_sealer(store, hot)
    sealed = sealer.seal_finished()
    assert (sealed.segments, sealed.rows, sealed.torn_bytes) == (1, 4, 0)
    assert sealed.damaged == {path.name: len(encode_record(records[2])) + 8}
    (entry,) = LogManifest(store, "p").entries()
    assert entry.damaged == sealed.damaged
    kept = path.with_name(f"{path.name}.damaged")
    assert not path.exists()
    for _ in range(2):
        assert kept.read_bytes() == content
        assert a_sealer(store, hot).seal_finished() == Sealed()
    assert len(sealed_rows(store, "predictions")) == 4


def test_a_kill_before_a_damaged_segment_was_put_aside_costs_none_of_its_bytes(store: FolderStore, hot: Path) -> None:
    path, content = a_damaged_segment(hot, [a_prediction() for _ in range(5)])
    a_sealer(store, hot).seal_finished()
    kept = path.with_name(f"{path.name}.damaged")
    kept.rename(path)  # as a kill between the entry and the renaming leaves it
    (hot / ".position").unlink()
    assert a_sealer(store, hot).seal_finished() == Sealed()
    assert kept.read_bytes() == content
    assert len(sealed_rows(store, "predictions")) == 4


def test_damage_is_told_where_it_took_all_records_of_its_time(store: FolderStore, hot: Path) -> None:
    path, _ = a_damaged_segment(hot, [a_prediction()])
    a_sealer(store, hot).seal_finished()
    manifest = LogManifest(store, "p")
    manifest.refresh()
    assert set(manifest.damaged()) == {path.name}
    a_segment(hot, [a_prediction(at=NOON + SECOND)], now=NOON + SECOND)
    Sealer(store, "p", hot=hot, clock=lambda: NOON + SECOND).seal_finished()
    assert set(manifest.damaged()) == {path.name}
    drop_before(manifest, NOON, now=NOON + SECOND)
    assert set(manifest.damaged()) == {path.name}
    drop_before(manifest, NOON + 1, now=NOON + SECOND)  # no file is so old
    assert manifest.damaged() == {}
    assert len(sealed_rows(store, "predictions")) == 1


def test_damage_is_told_as_long_as_records_of_its_time_are_kept(store: FolderStore, hot: Path) -> None:
    path, _ = a_damaged_segment(hot, [a_prediction() for _ in range(5)])
    a_sealer(store, hot).seal_finished()
    manifest = LogManifest(store, "p")
    manifest.refresh()
    assert set(manifest.damaged()) == {path.name}
    drop_before(manifest, NOON + 1, now=NOON + SECOND)
    assert manifest.damaged() == {}
    a_segment(hot, [a_prediction(at=NOON + SECOND)], now=NOON + SECOND)
    Sealer(store, "p", hot=hot, clock=lambda: NOON + SECOND).seal_finished()
    manifest.refresh()
    assert manifest.damaged() == {}


@settings(max_examples=60, deadline=None)
@given(
    records=st.integers(1, 8), start=st.integers(0, 1 << 16), damage=st.binary(max_size=40), cut=st.integers(0, 1_500)
)
def test_any_damage_costs_at_most_the_records_it_touches_and_seals_none_twice(
    tmp_path_factory: pytest.TempPathFactory, records: int, start: int, damage: bytes, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    written = [a_prediction() for _ in range(records)]
    path = a_segment(folder / "hot", written)
    content = path.read_bytes()
    edges = [content.index(b"\n") + 1]
    for record in written:
        edges.append(edges[-1] + len(encode_record(record)) + 8)
    start = edges[0] + start % (len(content) - edges[0])
    end = min(start + cut, len(content))
    path.write_bytes(content[:start] + damage + content[end:])
    untouched = {
        name_of(record)
        for place, record in enumerate(written)
        if edges[place + 1] <= start or edges[place] >= max(end, start + 1)
    }
    store = FolderStore(folder / "lake")
    for _ in range(2):
        a_sealer(store, folder / "hot").seal_finished()
    sealed = [row["prediction_id"] for row in sealed_rows(store, "predictions")]
    assert len(sealed) == len(set(sealed))
    assert untouched <= set(sealed) <= {name_of(record) for record in written}


def test_a_segment_that_is_still_written_is_left_alone(store: FolderStore, hot: Path) -> None:
    writer = SegmentWriter(hot, "p", disk=SystemDisk(), now=NOON)
    writer.append([encode_record(a_prediction())])
    sealer = a_sealer(store, hot)
    assert sealer.seal_finished() == Sealed()
    writer.close()
    assert sealer.seal_finished().segments == 1


def test_segments_that_finished_together_are_one_entry(store: FolderStore, hot: Path) -> None:
    names = {a_segment(hot, [a_prediction()], now=NOON + step).name for step in range(3)}
    a_sealer(store, hot).seal_finished()
    (entry,) = LogManifest(store, "p").entries()
    assert set(entry.segments) == names
    (file,) = entry.added
    assert (file.table, file.rows, file.first_time, file.last_time) == ("predictions", 3, NOON, NOON)
    assert file.first_id <= file.last_id


def test_many_segments_are_caught_up_in_batches(store: FolderStore, hot: Path) -> None:
    for step in range(450):
        a_segment(hot, [a_prediction()], now=NOON + step)
    assert a_sealer(store, hot).seal_finished().segments == 450
    assert len(sealed_rows(store, "predictions")) == 450


def test_a_segment_that_cannot_be_sealed_keeps_nothing_else_waiting(store: FolderStore, hot: Path) -> None:
    unknown = "0" * 64
    lacking = a_segment(hot, [a_prediction(body=[{}], schema=unknown)], now=NOON)
    newer = SegmentWriter(hot, "p", disk=SystemDisk(), now=NOON + 1)
    newer.append([b"\xc1"])
    newer.close()
    damaged = lacking.with_name(lacking.name.replace(str(NOON), str(NOON + 2)))
    damaged.write_bytes(b"")
    a_segment(hot, [a_prediction()], now=NOON + 3)
    sealed = a_sealer(store, hot).seal_finished()
    assert (sealed.segments, set(sealed.waiting)) == (1, {lacking.name, newer.path.name, damaged.name})
    assert "no schema 000000000000" in sealed.waiting[lacking.name]
    assert set(list_segments(hot)) == {lacking, newer.path, damaged}


@pytest.mark.parametrize("junk", ["1e999", "9" * 5000, "[" * 960 + "]" * 960, '"\\ud800"', '"\\x"'])
def test_what_no_parser_reads_of_a_row_keeps_nothing_waiting(store: FolderStore, hot: Path, junk: str) -> None:
    schema = write_schema(store, KINDS)
    strange = replace(a_prediction(schema=schema), body=b'[{"amount":2,"junk":' + junk.encode() + b"}]")
    a_segment(hot, [a_prediction(body=[{"amount": 1}], schema=schema), strange])
    assert a_sealer(store, hot).seal_finished() == Sealed(segments=1, rows=2)
    assert len(sealed_rows(store, "predictions")) == 2
    assert len(sealed_rows(store, f"features/{schema}")) == 2


def test_a_named_value_that_no_parser_reads_is_kept_as_it_came(store: FolderStore, hot: Path) -> None:
    schema = write_schema(store, KINDS)
    strange = replace(a_prediction(schema=schema), body=b'[{"amount":1e999,"broker":"x","junk":1e999}]')
    a_segment(hot, [strange])
    a_sealer(store, hot).seal_finished()
    (row,) = sealed_rows(store, f"features/{schema}")
    assert (row["amount"], row["broker"], row["_unread"]) == (None, "x", '{"amount":"1e999"}')


def test_a_body_that_cannot_be_split_is_kept_whole(store: FolderStore, hot: Path) -> None:
    schema = write_schema(store, KINDS)
    a_segment(hot, [replace(a_prediction(a_row(0), a_row(1), schema=schema), body=b"[{")])
    assert a_sealer(store, hot).seal_finished().rows == 2
    first, second = sealed_rows(store, f"features/{schema}")
    assert (first["_unread"], second["_unread"]) == ('{"_rows":"[{"}', None)


def test_a_segment_that_the_disk_does_not_give_keeps_nothing_else_waiting(store: FolderStore, hot: Path) -> None:
    lost = hot / f"{NOON:016d}~host~1~0000000000000000.segment"
    lost.mkdir(parents=True)
    a_segment(hot, [a_prediction()], now=NOON + 1)
    sealed = a_sealer(store, hot).seal_finished()
    assert (sealed.segments, sealed.waiting) == (1, {lost.name: "IsADirectoryError while sealing"})


def test_a_lake_that_is_away_is_told_once_and_not_for_each_segment(store: FolderStore, hot: Path) -> None:
    sealer, away = a_sealer(store, hot), store.folder.with_name("away")
    a_segment(hot, [a_prediction()])
    sealer.seal_finished()
    store.folder.rename(away)
    digest = schema_digest(KINDS)
    schema = SchemaRecord(digest, KINDS)
    for place in range(3):
        a_segment(hot, [schema, a_prediction(body=[{"amount": place}], schema=digest)], now=NOON + place)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            sealer.seal_finished()
    away.rename(store.folder)
    assert sealer.seal_finished() == Sealed(segments=3, rows=3)


def test_a_segment_waits_for_its_schema(store: FolderStore, hot: Path, tmp_path: Path) -> None:
    schema = write_schema(FolderStore(tmp_path / "elsewhere"), KINDS)
    a_segment(hot, [a_prediction(body=[{"amount": 1}], schema=schema)])
    sealer = a_sealer(store, hot)
    assert sealer.seal_finished().segments == 0
    write_schema(store, KINDS)
    assert sealer.seal_finished() == Sealed(segments=1, rows=1)


def test_a_segment_that_holds_its_schema_waits_for_nothing(store: FolderStore, hot: Path) -> None:
    digest = schema_digest({**KINDS, "_unread": "text"})
    log = RollingSegments(hot, "p", clock=lambda: NOON)
    log.announce(encode_record(SchemaRecord(digest, {**KINDS, "_unread": "text"})))
    for _ in range(2):
        log.append([encode_record(a_prediction(body=[{"amount": 1}], schema=digest))])
        log.append([encode_record(a_prediction(body=[{"amount": 2}], schema=digest))])
        log.roll()
    assert a_sealer(store, hot).seal_finished() == Sealed(segments=2, rows=4)
    assert [row["amount"] for row in sealed_rows(store, f"features/{digest}")] == [1.0, 2.0, 1.0, 2.0]
    assert [column.name for column in read_schema(store, digest)] == ["amount", "broker"]


def test_one_process_seals_a_folder(hot: Path) -> None:
    with sealing_alone(hot), pytest.raises(SealingElsewhere), sealing_alone(hot):
        pass
    with sealing_alone(hot):
        pass


class Failing(FolderStore):
    """Fails at the n-th call that writes, before or after it took effect."""

    left = 10**9
    after = False

    def _maybe(self, before: bool) -> None:
        if before:
            self.left -= 1
        if self.left == 0 and before != self.after:
            raise StoreUnavailable("gone")

    def put_file(self, key: str, path: Path) -> None:
        self._maybe(before=True)
        super().put_file(key, path)
        self._maybe(before=False)

    def put_if_absent(self, key: str, content: bytes) -> str:
        self._maybe(before=True)
        token = super().put_if_absent(key, content)
        self._maybe(before=False)
        return token


@settings(max_examples=40, deadline=None)
@given(
    failures=st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), max_size=4),
    torn=st.binary(max_size=6),
)
def test_wherever_sealing_fails_each_record_is_sealed_once(
    tmp_path_factory: pytest.TempPathFactory, failures: list[tuple[int, bool, bool]], torn: bytes
) -> None:
    folder = tmp_path_factory.mktemp("sealing")
    store, hot = Failing(folder / "lake"), folder / "hot"
    sealer = a_sealer(store, hot)
    expected = []
    for step, (left, after, restarted) in enumerate([*failures, (10**9, False, False)]):
        prediction = a_prediction()
        expected.append(name_of(prediction))
        a_segment(hot, [prediction, an_outcome("a", True)], now=NOON + step, torn=torn)
        store.left, store.after = left, after
        with suppress(StoreUnavailable):
            sealer.seal_finished()
        if restarted:
            sealer = a_sealer(store, hot)
    assert sorted(row["prediction_id"] for row in sealed_rows(store, "predictions")) == sorted(expected)
    assert len(sealed_rows(store, "outcomes")) == len(expected)
    assert list_segments(hot) == ()
    manifest = LogManifest(store, "p")
    manifest.refresh()
    manifest.verify()


def test_a_kill_between_entry_and_removal_seals_nothing_twice(store: FolderStore, hot: Path) -> None:
    kept = [a_segment(hot, [a_prediction()], now=NOON + step) for step in range(2)]
    contents = [path.read_bytes() for path in kept]
    a_sealer(store, hot).seal_finished()
    for path, content in zip(kept, contents, strict=True):
        path.write_bytes(content)
    (hot / ".position").write_text("0")
    assert a_sealer(store, hot).seal_finished() == Sealed()
    assert list_segments(hot) == ()
    assert len(sealed_rows(store, "predictions")) == 2


def test_sealing_into_an_object_store(s3_server: S3Server, hot: Path) -> None:
    store = open_store(s3_server.create_bucket("sealing"), options=s3_server.options)
    a_segment(hot, [a_prediction()])
    assert a_sealer(store, hot).seal_finished().rows == 1
    assert len(sealed_rows(store, "predictions")) == 1


WRITER = """
import sys, time
from pathlib import Path
from tests.lake.log_making import a_prediction, name_of
from trueup.lake.log_records import Record, encode_record
from trueup.lake.rolling import RollingLimits, RollingSegments
log = RollingSegments(Path(sys.argv[1]), "p", clock=lambda: time.time_ns() // 1000, limits=RollingLimits(frames=20))
while True:
    record = a_prediction(at=time.time_ns() // 1000)
    log.append([encode_record(record)])
    sys.stdout.write(name_of(record) + "\\n"); sys.stdout.flush()
"""


def test_killed_writers_and_sealing_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    hot, lake = tmp_path / "hot", tmp_path / "lake"
    sealing = [sys.executable, "-m", "trueup.lake.sealing_process", "--lake", str(lake), "--project", "p"]
    sealing += ["--hot", str(hot), "--seconds", "0.01"]
    root = Path(__file__).parents[2]
    acknowledged: set[str] = set()
    chance = random.Random(4)
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(hot)], stdout=subprocess.PIPE, text=True, cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )  # fmt: skip
        sealer = subprocess.Popen(sealing, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert sealer.stdout is not None
        for _ in range(chance.randrange(50, 400)):
            acknowledged.add(writer.stdout.readline().strip())
        sealer.stdout.readline()
        first, second = (writer, sealer) if chance.random() < 0.5 else (sealer, writer)
        first.kill()
        second.kill()
        lines = writer.stdout.read().splitlines(keepends=True)
        acknowledged |= {line.strip() for line in lines if line.endswith("\n")}
        for process in (writer, sealer):
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
    with sealing_alone(hot):
        remove_unnamed(hot)
        a_sealer(FolderStore(lake), hot).seal_finished()
    assert list_segments(hot) == ()
    names = [row["prediction_id"] for row in sealed_rows(FolderStore(lake), "predictions")]
    assert len(set(names)) == len(names)
    assert acknowledged <= set(names)
    manifest = LogManifest(FolderStore(lake), "p")
    manifest.refresh()
    manifest.verify()
    assert not list(hot.glob(".*~*"))


def test_times_between_predictions_are_told_to_readers(store: FolderStore, hot: Path) -> None:
    a_segment(hot, [a_prediction(at=NOON + 5 * SECOND), a_prediction(at=NOON)])
    a_sealer(store, hot).seal_finished()
    manifest = LogManifest(store, "p")
    manifest.refresh()
    (file,) = manifest.files("predictions")
    assert (file.first_time, file.last_time) == (NOON, NOON + 5 * SECOND)
