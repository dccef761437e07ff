"""What servers should do is changed by one hand at a time, and never to something they would refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from trueup.lake.desired_state import (
    BadDesiredState,
    BundleRole,
    BundleStatus,
    DesiredState,
    DesiredStateLost,
    DesiredStateThere,
    NothingServed,
    ServerStatus,
    TokenGrant,
    change_desired,
    desired_content,
    desired_key,
    parse_desired,
    read_desired,
    read_history,
    read_statuses,
    restore_desired,
    token_digest,
    write_status,
)
from trueup.lake.folder_store import FolderStore

CHAMPION = BundleRole("a" * 64, "champion")
STATE = DesiredState(project="fraud", version=1, bundles=(CHAMPION,))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def first(_: DesiredState | None) -> DesiredState:
    return STATE


def paused(state: DesiredState | None) -> DesiredState:
    assert state is not None
    return msgspec.structs.replace(state, paused=True)


def test_what_was_written_is_read_back_with_the_next_version(store: FolderStore) -> None:
    change_desired(store, "fraud", first)
    assert change_desired(store, "fraud", paused).version == 2
    assert read_desired(store, "fraud") == msgspec.structs.replace(STATE, version=2, paused=True)


def test_what_was_desired_before_is_kept_newest_first(store: FolderStore) -> None:
    change_desired(store, "fraud", first)
    change_desired(store, "fraud", paused)
    change_desired(store, "fraud", lambda state: msgspec.structs.replace(paused(state), paused=False))
    assert [(state.version, state.paused) for state in read_history(store, "fraud")] == [(2, True), (1, False)]


def test_before_the_first_is_published_a_reader_is_told_what_to_do(store: FolderStore) -> None:
    with pytest.raises(NothingServed, match="trueup serve"):
        read_desired(store, "fraud")


def test_what_is_lost_is_never_begun_anew_and_comes_back_as_it_was_last(store: FolderStore) -> None:
    change_desired(store, "fraud", first)
    last = change_desired(store, "fraud", paused)
    store.delete(desired_key("fraud"))
    with pytest.raises(DesiredStateLost, match=r"2 versions of it were kept.*trueup serving restore"):
        read_desired(store, "fraud")
    with pytest.raises(DesiredStateLost):
        change_desired(store, "fraud", first)
    assert restore_desired(store, "fraud", lambda state: state) == msgspec.structs.replace(last, version=3)
    assert [state.version for state in read_history(store, "fraud")] == [2, 1]


def test_a_damaged_document_is_named_with_the_way_out_and_kept_when_it_is_replaced(store: FolderStore) -> None:
    whole = change_desired(store, "fraud", first)
    torn = desired_content(whole)[:40]
    store.put(desired_key("fraud"), torn)
    with pytest.raises(BadDesiredState, match=r"serving/fraud/desired\.json.*trueup serving restore"):
        read_desired(store, "fraud")
    assert restore_desired(store, "fraud", lambda state: state).bundles == whole.bundles
    assert [store.get(entry.key) for entry in store.list("serving/fraud/damaged")] == [torn]


def test_what_is_there_or_written_by_a_newer_version_is_not_restored_over(store: FolderStore) -> None:
    with pytest.raises(NothingServed):
        restore_desired(store, "fraud", lambda state: state)
    change_desired(store, "fraud", first)
    with pytest.raises(DesiredStateThere, match="nothing was changed"):
        restore_desired(store, "fraud", lambda state: state)
    newer = json.dumps(json.loads(desired_content(STATE)) | {"colour": "red"}).encode()
    store.put(desired_key("fraud"), newer)
    with pytest.raises(BadDesiredState):
        restore_desired(store, "fraud", lambda state: state)
    assert store.get(desired_key("fraud")) == newer


def test_of_changes_at_once_none_is_lost(store: FolderStore) -> None:
    change_desired(store, "fraud", first)

    def grant(number: int) -> None:
        def add(state: DesiredState | None) -> DesiredState:
            assert state is not None
            token = TokenGrant(f"caller-{number}", token_digest(str(number)), ("predict",))
            return msgspec.structs.replace(state, tokens=(*state.tokens, token))

        change_desired(store, "fraud", add)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(grant, range(8)))
    state = read_desired(store, "fraud")
    assert {token.name for token in state.tokens} == {f"caller-{number}" for number in range(8)}
    assert state.version == 9


@pytest.mark.parametrize(
    "wrong",
    [
        lambda state: msgspec.structs.replace(state, bundles=()),
        lambda state: msgspec.structs.replace(state, bundles=(CHAMPION, CHAMPION)),
        lambda state: msgspec.structs.replace(state, bundles=(CHAMPION, BundleRole("b" * 64, "canary", 1.5))),
        lambda state: msgspec.structs.replace(state, capacity=-1),
        lambda state: msgspec.structs.replace(state, tokens=(TokenGrant("x", "y", ("everything",)),)),
    ],
)
def test_a_change_that_servers_would_refuse_leaves_what_was_there(
    store: FolderStore, wrong: Callable[[DesiredState | None], DesiredState]
) -> None:
    change_desired(store, "fraud", first)
    with pytest.raises(BadDesiredState):
        change_desired(store, "fraud", wrong)
    assert read_desired(store, "fraud") == STATE


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"{" * 5_000, b'{"format": 1}'])
def test_a_document_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(BadDesiredState):
        parse_desired(content)


def test_a_document_of_a_newer_format_or_with_an_unknown_entry_is_refused() -> None:
    document = json.loads(desired_content(STATE))
    for change in ({"format": 2}, {"colour": "red"}):
        with pytest.raises(BadDesiredState):
            parse_desired(json.dumps(document | change).encode())


def test_a_token_is_nowhere_in_the_document(store: FolderStore) -> None:
    token = TokenGrant("crm", token_digest("very-secret"), ("predict", "facts"))
    change_desired(store, "fraud", lambda _: msgspec.structs.replace(STATE, tokens=(token,)))
    assert b"very-secret" not in store.get(desired_key("fraud"))


def test_servers_say_what_they_do_and_a_broken_report_is_left_out(store: FolderStore) -> None:
    status = ServerStatus(
        server="host-1",
        project="fraud",
        version=1,
        bundles=(BundleStatus("a" * 64, "champion", "ready"),),
        started_at=1,
        reported_at=2,
        served=3,
        logged=3,
        shed=0,
        fallback=0,
    )
    write_status(store, status)
    store.put("serving/fraud/status/host-2.json", b"half a docu")
    assert read_statuses(store, "fraud") == (status,)
    assert read_statuses(store, "another") == ()
