"""A host acts on no more cases than its lease allows, whoever of its processes renews it, and whatever else happens."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.serve.conftest import TOKEN, ServedLake
from tests.serve.running import RunningServer, serving, until

from trueup.align.decision_policy import DecisionPolicy
from trueup.align.streaming import Terms
from trueup.lake.capacity_leases import read_leases
from trueup.lake.folder_store import FolderStore
from trueup.loop.serve import manifest_in_lake
from trueup.serve.host_capacity import HostCapacity
from trueup.serve.spooling import Spool

WORTH = {"case": "A-1", "amount": 5.0, "age": 60, "happened": "2026-05-01T10:00:00Z"}
NOW = 1_462_100_000_000_000


@pytest.fixture
def policy(served_lake: ServedLake) -> DecisionPolicy:
    return DecisionPolicy.from_document(manifest_in_lake(served_lake.store, served_lake.old).policy)


def process_of(host: str, lake: ServedLake, folder: Path, *, rehearsing: bool = False) -> HostCapacity:
    return HostCapacity("small-fraud", folder / host, store=lake.store, host=host, sync=False, rehearsing=rehearsing)


def acted(server: RunningServer, rows: int) -> int:
    answer = server.predict("small-fraud", [WORTH | {"case": f"{n}"} for n in range(rows)])
    return sum(told["decision"] for told in answer.json()["predictions"])


def test_two_hosts_of_one_lake_together_act_on_no_more_cases_than_the_capacity(
    served_lake: ServedLake, policy: DecisionPolicy, tmp_path: Path
) -> None:
    lake, key = served_lake.store.folder, ("--trust", str(served_lake.trusted[0]))
    with (
        serving(lake, *key, spool=tmp_path / "one", token=TOKEN) as first,
        serving(lake, *key, spool=tmp_path / "two", token=TOKEN) as second,
    ):
        by_first = acted(first, 20)
        by_second = 0

        def second_may() -> bool:
            nonlocal by_second
            by_second += acted(second, 1)
            return by_second > 0

        until(second_may)
        by_first += sum(acted(first, 400) for _ in range(2))
        by_second += sum(acted(second, 400) for _ in range(2))
    start = Terms.of(policy).calendar.start_of(time.time_ns() // 1000)
    held = read_leases(served_lake.store, "small-fraud", start).held
    assert sorted(held) == sorted(Spool(tmp_path / name).host() for name in ("one", "two"))
    assert by_first == held[Spool(tmp_path / "one").host()]
    assert by_second == held[Spool(tmp_path / "two").host()]
    assert by_first + by_second == 300


def test_one_process_renews_and_the_others_of_the_host_read(
    served_lake: ServedLake, policy: DecisionPolicy, tmp_path: Path
) -> None:
    one, other = (process_of("a", served_lake, tmp_path) for _ in range(2))
    start = Terms.of(policy).calendar.start_of(NOW)
    assert other.tokens.allowed(start, 300) == (0, 1.0)
    assert one.renew(policy, NOW, first=True)
    assert not one.renew(policy, NOW)
    assert other.renew(policy, NOW)
    assert one.tokens.allowed(start, 300) == other.tokens.allowed(start, 300) == (300, 1.0)
    assert one.tokens.allowed(Terms.of(policy).calendar.next_start(NOW), 300) == (300, 1.0)


def test_what_a_new_signature_allows_more_is_granted_with_the_next_renewal(
    served_lake: ServedLake, policy: DecisionPolicy, tmp_path: Path
) -> None:
    host = process_of("a", served_lake, tmp_path)
    document = manifest_in_lake(served_lake.store, served_lake.old).policy
    raised = DecisionPolicy.from_document({**document, "capacity": {**document["capacity"], "cases": 500}})
    host.renew(policy, NOW)
    assert (host.is_short_of(policy), host.is_short_of(raised)) == (False, True)
    assert host.renew(raised, NOW)
    assert not host.is_short_of(raised)
    for start in (Terms.of(policy).calendar.start_of(NOW), Terms.of(policy).calendar.next_start(NOW)):
        assert host.tokens.allowed(start, 500) == (500, 1.0)
        assert host.tokens.allowed(start, 300) == (300, 1.0)


def test_with_the_lake_gone_the_lease_that_is_held_goes_on_and_it_is_said(
    served_lake: ServedLake, policy: DecisionPolicy, tmp_path: Path
) -> None:
    host = process_of("a", served_lake, tmp_path)
    host.renew(policy, NOW)
    served_lake.store.folder.rename(tmp_path / "away")
    served_lake.store.folder.write_text("no folder")
    assert not host.renew(policy, NOW)
    assert host.problem is not None
    assert host.tokens.allowed(Terms.of(policy).calendar.start_of(NOW), 300) == (300, 1.0)


def test_a_capacity_lowered_in_one_process_holds_for_the_others_and_is_lifted_again(
    served_lake: ServedLake, policy: DecisionPolicy, tmp_path: Path
) -> None:
    told, behind = (process_of("a", served_lake, tmp_path) for _ in range(2))
    start = Terms.of(policy).calendar.start_of(NOW)
    told.renew(policy, NOW)
    told.limit(policy, 120, version=2, now=NOW)
    assert behind.tokens.allowed(start, 300)[0] == 120
    told.limit(policy, None, version=3, now=NOW)
    assert behind.tokens.allowed(start, 300)[0] == 300


def test_a_rehearsal_counts_by_itself_and_holds_no_lease(
    served_lake: ServedLake, policy: DecisionPolicy, tmp_path: Path
) -> None:
    host = process_of("a", served_lake, tmp_path, rehearsing=True)
    assert not host.renew(policy, NOW)
    assert host.tokens.allowed(0, 300) == (300, 1.0)
    assert not list(served_lake.store.list("serving/small-fraud/capacity"))


def test_another_disk_is_another_host(tmp_path: Path) -> None:
    name = Spool(tmp_path / "one").host()
    assert Spool(tmp_path / "one").host() == name
    assert Spool(tmp_path / "two").host() != name
    assert FolderStore(tmp_path / "one").exists("host")
