"""Do the folder store and the S3 store keep the same promises?"""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trueup.lake.errors import BadKey, KeyMissing, KeyTaken, VersionChanged
from trueup.lake.store import Entry, Store, Versioned
from trueup.lake.stores import open_store

if TYPE_CHECKING:
    from tests.conftest import S3Server

_numbers = itertools.count()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(tmp_path / "store")
    server: S3Server = request.getfixturevalue("s3_server")
    bucket = server.create_bucket(f"conformance-{next(_numbers)}")
    return open_store(f"{bucket}/some/prefix", options=server.options)


def test_what_was_put_is_what_is_got(store: Store) -> None:
    store.put("a/b.json", b"one")
    store.put("a/b.json", b"two")
    assert store.get("a/b.json") == b"two"
    assert store.exists("a/b.json")


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.put("empty", b"")
    assert store.get("empty") == b""
    assert list(store.list()) == [Entry("empty", 0)]


def test_a_missing_key_is_named(store: Store) -> None:
    assert not store.exists("nothing/here")
    for read in (store.get, store.get_versioned, store.open):
        with pytest.raises(KeyMissing, match="nothing/here"):
            read("nothing/here")


def test_create_if_absent_keeps_the_first(store: Store) -> None:
    store.put_if_absent("entry-1", b"first")
    with pytest.raises(KeyTaken, match="entry-1"):
        store.put_if_absent("entry-1", b"second")
    assert store.get("entry-1") == b"first"


def test_create_if_absent_has_one_winner_among_many_writers(store: Store) -> None:
    won: list[int] = []

    def create(number: int) -> None:
        try:
            store.put_if_absent("lease", str(number).encode())
        except KeyTaken:
            return
        won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.get("lease") == str(won[0]).encode()


def test_swap_replaces_only_the_version_that_was_read(store: Store) -> None:
    store.put("state", b"1")
    read = store.get_versioned("state")
    token = store.compare_and_swap("state", b"2", expected=read.version)
    with pytest.raises(VersionChanged, match="state"):
        store.compare_and_swap("state", b"3", expected=read.version)
    assert store.get_versioned("state").version == token
    assert store.get("state") == b"2"


def test_swap_of_a_missing_object_is_refused(store: Store) -> None:
    store.put("state", b"1")
    version = store.get_versioned("state").version
    store.delete("state")
    with pytest.raises(VersionChanged):
        store.compare_and_swap("state", b"2", expected=version)
    assert not store.exists("state")


def test_no_increment_is_lost_between_many_writers(store: Store) -> None:
    store.put("count", b"0")

    def add_five() -> None:
        done = 0
        while done < 5:
            seen = store.get_versioned("count")
            try:
                store.compare_and_swap("count", str(int(seen.content) + 1).encode(), expected=seen.version)
            except VersionChanged:
                continue
            done += 1

    threads = [threading.Thread(target=add_five) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("count") == b"20"


def test_the_token_of_put_is_the_token_of_get(store: Store) -> None:
    assert store.put("x", b"content") == store.get_versioned("x").version


def test_what_did_not_change_is_not_got_again(store: Store) -> None:
    first = store.put("state", b"1")
    assert store.get_if_changed("state", since="") == Versioned(b"1", first)
    assert store.get_if_changed("state", since=first) is None
    second = store.put("state", b"2")  # of the same size, within the same moment
    assert store.get_if_changed("state", since=first) == Versioned(b"2", second)
    store.delete("state")
    with pytest.raises(KeyMissing, match="state"):
        store.get_if_changed("state", since=second)


def test_listing_is_sorted_and_stays_in_the_folder(store: Store) -> None:
    for key in ("b/2", "b/1", "a", "b/c/d", "bb/1"):
        store.put(key, b"..")
    assert [entry.key for entry in store.list()] == ["a", "b/1", "b/2", "b/c/d", "bb/1"]
    assert list(store.list("b")) == [Entry("b/1", 2), Entry("b/2", 2), Entry("b/c/d", 2)]
    assert list(store.list("b/")) == list(store.list("b"))
    assert list(store.list("nowhere")) == []


def test_deleting_twice_is_fine(store: Store) -> None:
    store.put("a", b"1")
    store.delete("a")
    store.delete("a")
    assert not store.exists("a")
    assert list(store.list()) == []


def test_a_large_file_streams_in_and_out(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "large"
    block = bytes(range(256)) * 4096
    source.write_bytes(block * 12)
    store.put_file("large", source)
    with store.open("large") as stream:
        stream.seek(5 * len(block))
        assert bytes(stream.read(len(block))) == block
        stream.seek(0)
        assert sum(len(part) for part in iter(lambda: bytes(stream.read(1 << 20)), b"")) == 12 * len(block)


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../up", "a/../b", "a//b", ".store/locks/00", "a/"])
def test_a_key_that_could_leave_the_store_is_refused(store: Store, key: str) -> None:
    with pytest.raises(BadKey):
        store.put(key, b"x")
    with pytest.raises(BadKey):
        store.get(key)
