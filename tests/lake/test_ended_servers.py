"""Do servers that ended long ago stay counted, each once, while what they said goes?"""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from trueup.lake.desired_state import ServerStatus, read_statuses, write_status
from trueup.lake.ended_servers import DAY, GONE_AFTER, LOOK_EVERY, Retiring, retire_servers
from trueup.lake.errors import StoreUnavailable
from trueup.lake.folder_store import FolderStore
from trueup.lake.store import Versioned

NOW = 1_700_000_000_000_000


def a_status(server: str, *, started: int = 1, reported: int = 2, served: int = 3) -> ServerStatus:
    return ServerStatus(
        server=server,
        project="p",
        version=1,
        bundles=(),
        started_at=started,
        reported_at=reported,
        served=served,
        logged=served + 1,
        shed=served + 2,
        fallback=served + 3,
    )


def totals(store: FolderStore) -> tuple[int, int, int, int]:
    told = read_statuses(store, "p")
    return (
        sum(one.served for one in told),
        sum(one.logged for one in told),
        sum(one.shed for one in told),
        sum(one.fallback for one in told),
    )


def documents(store: FolderStore) -> set[str]:
    return {entry.key.rpartition("/")[2] for entry in store.list("serving/p/status")}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "lake")
    for number in range(3):
        write_status(store, a_status(f"old-{number}", started=NOW - 90 * DAY + number, reported=NOW - 40 * DAY))
    write_status(store, a_status("live-1", started=NOW - DAY, reported=NOW - GONE_AFTER, served=10))
    return store


def test_who_ended_long_ago_is_one_document_and_every_figure_stays(store: FolderStore) -> None:
    before = totals(store)
    assert retire_servers(store, "p", now=NOW) == 3
    assert documents(store) == {"ended.json", "live-1.json"}
    assert totals(store) == before == (19, 23, 27, 31)
    ended = next(one for one in read_statuses(store, "p") if one.server == "ended")
    assert (ended.started_at, ended.reported_at) == (NOW - 90 * DAY, NOW - 40 * DAY)
    assert retire_servers(store, "p", now=NOW) == 0
    assert retire_servers(store, "p", now=NOW + 1) == 1
    assert documents(store) == {"ended.json"}
    assert totals(store) == before


def test_a_server_with_the_number_of_one_that_ended_is_counted_too(store: FolderStore) -> None:
    retire_servers(store, "p", now=NOW)
    write_status(store, a_status("old-1", started=NOW, reported=NOW, served=100))
    assert totals(store)[0] == 119
    retire_servers(store, "p", now=NOW)
    assert totals(store)[0] == 119


class Killed(BaseException):
    """The process would have ended here."""


class Ending(FolderStore):
    """A lake whose user ends before a deletion."""

    left = 1

    def delete(self, key: str) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1
        super().delete(key)


@pytest.mark.parametrize("deleted", [0, 1, 2])
def test_a_kill_in_between_counts_nobody_twice(store: FolderStore, deleted: int) -> None:
    before, ending = totals(store), Ending(store.folder)
    ending.left = deleted
    with pytest.raises(Killed):
        retire_servers(ending, "p", now=NOW)
    assert totals(store) == before
    retire_servers(store, "p", now=NOW)
    assert totals(store) == before
    assert documents(store) == {"ended.json", "live-1.json"}


def test_two_who_add_up_at_once_count_nobody_twice(store: FolderStore) -> None:
    before = totals(store)

    class Interrupted(FolderStore):
        def put_if_absent(self, key: str, content: bytes) -> str:
            assert retire_servers(store, "p", now=NOW) == 3
            return super().put_if_absent(key, content)

    assert retire_servers(Interrupted(store.folder), "p", now=NOW) == 0
    assert totals(store) == before


def test_it_looks_once_an_hour_and_again_after_a_failure(store: FolderStore) -> None:
    class Gone(FolderStore):
        gone = True
        looks = 0

        def get_versioned(self, key: str) -> Versioned:
            self.looks += 1
            if self.gone:
                raise StoreUnavailable("the lake does not answer")
            return super().get_versioned(key)

    lake, moments = Gone(store.folder), [NOW, NOW, NOW + 1, NOW + LOOK_EVERY, NOW - DAY]
    retiring = Retiring(lake, "p", clock=lambda: moments.pop(0))
    with pytest.raises(StoreUnavailable):
        retiring.look()
    lake.gone = False
    seen = []
    for _ in range(4):
        retiring.look()
        seen.append(lake.looks)
    assert seen == [2, 2, 3, 4]


def test_a_sum_that_cannot_be_read_costs_no_document(store: FolderStore) -> None:
    store.put("serving/p/status/ended.json", b"half a docu")
    assert retire_servers(store, "p", now=NOW) == 0
    assert len(read_statuses(store, "p")) == 4


def test_a_figure_changes_nothing_of_who_lives(store: FolderStore) -> None:
    status = a_status("live-2", reported=NOW)
    write_status(store, status)
    retire_servers(store, "p", now=NOW)
    assert status in read_statuses(store, "p")
    write_status(store, replace(status, served=4))
    assert totals(store)[0] == 23
