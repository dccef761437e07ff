"""Is the manifest the truth about the log: nothing lost between writers, nothing changed without notice?"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from trueup.kernel.digests import digest_of_bytes
from trueup.lake.errors import StoreUnavailable
from trueup.lake.folder_store import FolderStore
from trueup.lake.log_manifest import (
    AlreadySealed,
    BrokenManifest,
    Draft,
    LoggedFile,
    LogManifest,
    ManifestConflict,
)


def a_file(store: FolderStore, name: str, table: str = "predictions", *, at: int = 1) -> LoggedFile:
    content = name.encode()
    store.put(f"log/p/data/{name}", content)
    return LoggedFile(f"log/p/data/{name}", table, 1, at, at, "a", "b", len(content), digest_of_bytes(content))


def sealed(store: FolderStore, *names: str, **more: Any) -> Draft:
    return Draft(kind="sealed", at=1, added=tuple(a_file(store, name) for name in names), **more)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def test_files_are_those_the_entries_leave(store: FolderStore) -> None:
    manifest = LogManifest(store, "p")
    old, other = a_file(store, "old", at=1), a_file(store, "other", "outcomes", at=2)
    manifest.append(Draft(kind="sealed", at=1, added=(old, other)))
    new = a_file(store, "new", at=3)
    manifest.append(Draft(kind="replaces", at=2, added=(new,), removed=(old,)))
    reader = LogManifest(store, "p")
    assert reader.files() == ()
    assert reader.refresh() == 2
    assert reader.files() == (other, new)
    assert reader.files("predictions") == (new,)
    assert reader.tables() == ("outcomes", "predictions")
    manifest.append(Draft(kind="dropped", at=3, removed=(other,)))
    assert reader.files("outcomes") == (other,)
    assert reader.refresh() == 3
    assert reader.files() == (new,)


def test_a_file_in_the_folder_that_no_entry_names_is_no_file(store: FolderStore) -> None:
    manifest = LogManifest(store, "p")
    manifest.append(sealed(store, "named"))
    a_file(store, "stray")
    manifest.refresh()
    assert [file.path for file in manifest.files()] == ["log/p/data/named"]


def test_a_replay_reads_no_further_than_it_did(store: FolderStore) -> None:
    manifest = LogManifest(store, "p")
    for number in range(130):
        manifest.append(sealed(store, f"f{number}"))
    for until in (1, 63, 64, 100, 128, 130):
        replay = LogManifest(store, "p", until=until)
        assert replay.refresh() == until
        assert len(replay.files()) == until
        assert replay.verify() == until


def test_a_reader_starts_at_the_checkpoint(store: FolderStore) -> None:
    manifest = LogManifest(store, "p")
    for number in range(130):
        manifest.append(sealed(store, f"f{number}"))
    for number in range(1, 129):
        store.delete(f"log/p/manifest/{number:08d}.json")
    reader = LogManifest(store, "p")
    assert reader.refresh() == 130
    assert len(reader.files()) == 130
    with pytest.raises(BrokenManifest, match="missing"):
        reader.verify()


def test_writers_at_once_lose_nothing(store: FolderStore) -> None:
    def write(name: str) -> None:
        manifest = LogManifest(store, "p")
        for number in range(20):
            manifest.append(sealed(store, f"{name}{number}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manifest = LogManifest(store, "p")
    assert manifest.refresh() == 80
    assert len(manifest.files()) == 80
    assert manifest.verify() == 80


def test_a_segment_is_sealed_once(store: FolderStore) -> None:
    first, second = LogManifest(store, "p"), LogManifest(store, "p")
    second.refresh()
    first.append(sealed(store, "a", segments=("s1", "s2")))
    with pytest.raises(AlreadySealed):
        second.append(sealed(store, "b", segments=("s2",)))
    first.append(sealed(store, "c", segments=("s3",)))
    with pytest.raises(AlreadySealed):
        first.append(sealed(store, "d", segments=("s1",)), after=0)
    with pytest.raises(AlreadySealed):
        LogManifest(store, "p").append(sealed(store, "e", segments=("s3",)), after=1)
    assert first.refresh() == 2


def test_a_file_is_replaced_once(store: FolderStore) -> None:
    first, second = LogManifest(store, "p"), LogManifest(store, "p")
    (old,) = first.append(sealed(store, "old")).added
    second.refresh()
    first.append(Draft(kind="dropped", at=2, removed=(old,)))
    with pytest.raises(ManifestConflict):
        second.append(Draft(kind="replaces", at=2, removed=(old,), added=(a_file(store, "copy"),)))
    assert second.files() == ()


class Forgetful(FolderStore):
    """Writes, and loses the answer."""

    forgets = False

    def put_if_absent(self, key: str, content: bytes) -> str:
        token = super().put_if_absent(key, content)
        if self.forgets:
            raise StoreUnavailable("the answer was lost")
        return token


def test_an_entry_whose_acknowledgement_was_lost_is_not_written_twice(tmp_path: Path) -> None:
    store = Forgetful(tmp_path)
    manifest = LogManifest(store, "p")
    store.forgets = True
    draft = sealed(store, "a", segments=("s",))
    with pytest.raises(StoreUnavailable):
        manifest.append(draft, after=0)
    store.forgets = False
    with pytest.raises(AlreadySealed):
        manifest.append(draft, after=0)
    assert len(list(manifest.entries())) == 1


@pytest.mark.parametrize("change", [b'"reason":"x"', b'"at":9'])
def test_a_changed_entry_is_noticed(store: FolderStore, change: bytes) -> None:
    manifest = LogManifest(store, "p")
    for number in range(3):
        manifest.append(sealed(store, f"f{number}"))
    key = "log/p/manifest/00000002.json"
    before = b'"reason":""' if b"reason" in change else b'"at":1'
    store.put(key, store.get(key).replace(before, change))
    with pytest.raises(BrokenManifest, match="entry 3"):
        manifest.verify()
    with pytest.raises(BrokenManifest, match="entry 3"):
        LogManifest(store, "p").refresh()


def test_an_entry_taken_out_is_noticed(store: FolderStore) -> None:
    manifest = LogManifest(store, "p")
    for number in range(3):
        manifest.append(sealed(store, f"f{number}"))
    store.put("log/p/manifest/00000002.json", store.get("log/p/manifest/00000003.json"))
    store.delete("log/p/manifest/00000003.json")
    with pytest.raises(BrokenManifest, match="entry 2"):
        LogManifest(store, "p").refresh()


def test_a_forged_checkpoint_is_noticed(store: FolderStore) -> None:
    manifest = LogManifest(store, "p")
    for number in range(64):
        manifest.append(sealed(store, f"f{number}"))
    key = "log/p/checkpoint.json"
    store.put(key, store.get(key).replace(b'"rows":1,', b'"rows":2,', 1))
    reader = LogManifest(store, "p")
    reader.refresh()
    with pytest.raises(BrokenManifest, match="checkpoint"):
        reader.verify()


def test_a_checkpoint_that_is_no_document_is_done_without(store: FolderStore) -> None:
    manifest = LogManifest(store, "p")
    manifest.append(sealed(store, "a"))
    store.put("log/p/checkpoint.json", b"half")
    assert LogManifest(store, "p").refresh() == 1


@pytest.mark.parametrize("content", [b"other", None])
def test_a_changed_or_missing_file_is_noticed(store: FolderStore, content: bytes | None) -> None:
    manifest = LogManifest(store, "p")
    manifest.append(sealed(store, "a", "b"))
    assert manifest.verify() == 1
    if content is None:
        store.delete("log/p/data/b")
    else:
        store.put("log/p/data/b", content)
    with pytest.raises(BrokenManifest, match="data/b"):
        manifest.verify()


@pytest.mark.parametrize("content", [b"{}", b"half", b""])
def test_an_entry_that_cannot_be_read_is_named(store: FolderStore, content: bytes) -> None:
    store.put("log/p/manifest/00000001.json", content)
    with pytest.raises(BrokenManifest, match="entry 1"):
        LogManifest(store, "p").refresh()


def test_an_entry_of_a_newer_version_is_refused(store: FolderStore) -> None:
    LogManifest(store, "p").append(sealed(store, "a"))
    key = "log/p/manifest/00000001.json"
    store.put(key, store.get(key).replace(b'"format":1', b'"format":2'))
    with pytest.raises(BrokenManifest, match="format 2"):
        LogManifest(store, "p").refresh()


def test_every_missing_and_changed_file_is_named_at_once(store: FolderStore) -> None:
    manifest = LogManifest(store, "p")
    manifest.append(sealed(store, "a", "b", "c"))
    store.delete("log/p/data/a")
    store.put("log/p/data/c", bytes(len(store.get("log/p/data/c"))))
    with pytest.raises(BrokenManifest) as told:
        manifest.verify()
    assert told.value.facts["files"] == {"log/p/data/a": "missing", "log/p/data/c": "changed"}
    assert manifest.changed_files(contents=False) == {"log/p/data/a": "missing"}
