"""Does the log forget what is too old, and keep everything else, sorted by case or not?"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.lake.log_making import NOON, SECOND, a_prediction, a_row, a_segment, an_outcome, name_of

from trueup.lake.feature_schemas import write_schema
from trueup.lake.folder_store import FolderStore
from trueup.lake.log_files import read_log_file
from trueup.lake.log_keeping import DAY, compact, drop_before, drop_damaged_before, sweep
from trueup.lake.log_manifest import BrokenManifest, LogManifest, ManifestConflict
from trueup.lake.log_records import Record
from trueup.lake.sealing import Sealer

Log = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "lake")


@pytest.fixture
def log(store: FolderStore, tmp_path: Path) -> Log:
    def write(*records: Record) -> None:
        a_segment(tmp_path / "hot", records)
        Sealer(store, "p", hot=tmp_path / "hot", clock=lambda: NOON).seal_finished()

    return write


def present(store: FolderStore) -> LogManifest:
    manifest = LogManifest(store, "p")
    manifest.refresh()
    return manifest


def rows(store: FolderStore, table: str = "predictions") -> list[dict[str, Any]]:
    return [row for file in present(store).files(table) for row in read_log_file(store, file).to_pylist()]


def data_keys(store: FolderStore) -> set[str]:
    return {entry.key for entry in store.list("log/p/data")}


def test_damaged_segments_go_with_the_records_of_their_time(tmp_path: Path) -> None:
    kept, old = (tmp_path / f"{name}.segment.damaged" for name in ("kept", "old"))
    for path, moment in ((kept, NOON), (old, NOON - DAY), (tmp_path / "old.segment", NOON - DAY)):
        path.write_bytes(b"x")
        os.utime(path, ns=(moment * 1000, moment * 1000))
    assert drop_damaged_before(tmp_path, NOON - 1) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [kept.name, "old.segment"]


def test_files_whose_rows_are_all_too_old_are_dropped_and_their_digests_kept(store: FolderStore, log: Log) -> None:
    log(a_prediction(at=NOON))
    log(a_prediction(at=NOON), a_prediction(at=NOON + 10))
    log(an_outcome("a", True, at=NOON + 10))
    (old,) = [file for file in present(store).files() if file.last_time == NOON]
    assert drop_before(LogManifest(store, "p"), NOON + 5, now=NOON + DAY) == (old,)
    assert len(rows(store)) == 2
    assert not store.exists(old.path)
    entry = list(present(store).entries())[-1]
    assert (entry.kind, entry.removed, entry.reason, entry.at) == ("dropped", (old,), "retention", NOON + DAY)
    assert present(store).verify() == 4
    assert drop_before(LogManifest(store, "p"), NOON + 5, now=NOON + DAY) == ()
    assert drop_before(LogManifest(store, "p"), NOON + 11, now=NOON + DAY) != ()
    assert data_keys(store) == set()


def test_compaction_sorts_by_case_and_changes_no_row(store: FolderStore, log: Log) -> None:
    schema = write_schema(store, {"amount": "number"})
    for case in ("c", "a", None, "b", "a"):
        log(a_prediction(a_row(case=case), body=[{"amount": 1}], schema=schema), an_outcome(case, True))
    before = {table: rows(store, table) for table in ("predictions", "outcomes", f"features/{schema}")}
    assert compact(LogManifest(store, "p"), before=NOON + 1, now=NOON + DAY) == 15
    for table, was in before.items():
        key = "fact_id" if table == "outcomes" else next(name for name in was[0] if name.endswith("prediction_id"))
        now = rows(store, table)
        assert sorted(now, key=lambda row: row[key]) == sorted(was, key=lambda row: row[key])
        (file,) = present(store).files(table)
        assert file.by_case
        assert [row[f"{'_' * table.startswith('features')}association_id"] for row in now] == ["a", "a", "b", "c", None]
    assert present(store).verify() == 8
    assert compact(LogManifest(store, "p"), before=NOON + 1, now=NOON + DAY) == 0


@pytest.mark.parametrize("damage", [True, False])
def test_compaction_makes_no_sound_file_of_one_that_was_damaged_or_lost(
    store: FolderStore, log: Log, damage: bool
) -> None:
    log(a_prediction(), an_outcome("a", True))
    (file,) = present(store).files("predictions")
    content = bytearray(store.get(file.path))
    content[6] ^= 1
    store.put(file.path, bytes(content)) if damage else store.delete(file.path)
    with pytest.raises(BrokenManifest, match=file.path):
        compact(LogManifest(store, "p"), before=NOON + 1, now=NOON + DAY)
    assert file in present(store).files()


def test_compaction_keeps_days_apart_and_leaves_the_present_day(store: FolderStore, log: Log) -> None:
    midnight = NOON // DAY * DAY
    for moment in (midnight, midnight + DAY - 1, midnight + DAY, midnight + 2 * DAY):
        log(a_prediction(at=moment))
    assert compact(LogManifest(store, "p"), before=midnight + 2 * DAY, now=NOON) == 3
    files = present(store).files("predictions")
    assert [(file.rows, file.by_case) for file in files] == [(2, True), (1, True), (1, False)]


def test_two_compactions_at_once_double_nothing(store: FolderStore, log: Log) -> None:
    first = a_prediction()
    log(first)
    late = LogManifest(store, "p")
    late.refresh()
    assert compact(LogManifest(store, "p"), before=NOON + 1, now=NOON) == 1

    class Behind(LogManifest):
        """Reads what it read before, the first time."""

        def refresh(self) -> int:
            return self.position if self.position else late.position

    behind = Behind(store, "p")
    behind.position, behind._head, behind._files = late.position, late._head, late._files
    with pytest.raises(ManifestConflict):
        compact(behind, before=NOON + 1, now=NOON)
    assert [row["prediction_id"] for row in rows(store)] == [name_of(first)]


def test_a_sweep_removes_what_no_entry_names_when_it_is_old(store: FolderStore, log: Log) -> None:
    log(a_prediction())
    log(a_prediction())
    compact(LogManifest(store, "p"), before=NOON + 1, now=NOON + SECOND)
    replaced = data_keys(store) - {file.path for file in present(store).files()}
    assert len(replaced) == 2
    young = f"log/p/data/predictions/2023-11-14/{NOON + SECOND:016d}-0123456789abcdef.parquet"
    store.put(young, b"not yet named")
    assert sweep(LogManifest(store, "p"), now=NOON + SECOND, grace=2 * SECOND) == ()
    assert set(sweep(LogManifest(store, "p"), now=NOON + DAY + 1)) == replaced
    assert young in data_keys(store)
    assert len(rows(store)) == 2
