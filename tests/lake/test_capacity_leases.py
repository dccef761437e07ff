"""Several hosts share one capacity: whatever is lost or comes late, together they never act on more cases."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.lake.capacity_file import CapacityFile
from trueup.lake.capacity_leases import BadLeases, LeasedTokens, read_leases, renew_leases
from trueup.lake.errors import LakeError
from trueup.lake.folder_store import FolderStore
from trueup.lake.store import Store
from trueup.lake.stores import open_store

if TYPE_CHECKING:
    from tests.conftest import S3Server

MAY, JUNE = 1_462_053_600_000_000, 1_464_732_000_000_000
MINUTE = 60_000_000


@dataclass
class Host:
    """One host with its own disk."""

    name: str
    folder: Path
    store: Store

    def __post_init__(self) -> None:
        self.tokens = LeasedTokens(CapacityFile(self.folder), self.folder)
        self.taken = 0

    def renew(self, *, cases: int = 10, now: int = MAY, periods: tuple[int, ...] = (MAY,)) -> None:
        renew_leases(self.store, "loans", self.tokens, host=self.name, periods=periods, cases=cases, now=now)

    def take(self, *, start: int = MAY, cases: int = 10) -> bool:
        most = self.tokens.allowed(start, cases)[0]
        name = f"{self.name}{self.taken}".encode()
        taken = self.tokens.take(start, name, exploring=False, most=most, in_all=most)
        self.taken += taken
        return taken

    def take_all(self, *, start: int = MAY, cases: int = 10) -> int:
        before = self.taken
        while self.take(start=start, cases=cases):
            pass
        return self.taken - before


NewHost = Callable[[str], Host]
"""Gives a host of one lake by its name."""


@pytest.fixture(scope="module", params=["folder", "s3"])
def new_lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Store]:
    """Return what makes an empty lake."""
    if request.param == "folder":
        return lambda: open_store(tmp_path_factory.mktemp("lake"))
    server: S3Server = request.getfixturevalue("s3_server")
    bucket, numbers = server.create_bucket("leases"), itertools.count()
    return lambda: open_store(f"{bucket}/lake-{next(numbers)}", options=server.options)


@pytest.fixture
def host(new_lake: Callable[[], Store], tmp_path: Path) -> NewHost:
    lake = new_lake()
    return lambda name: Host(name, tmp_path / name, lake)


def away_from(store: Store, folder: Path) -> Store:
    """Return the same kind of store where nothing can be read or made."""
    if isinstance(store, FolderStore):
        return open_store(next(folder.glob("*.lease")))
    options = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    return open_store(store.url, options={**options, "AWS_REGION": "us-east-1"})


def test_a_single_host_has_all_of_it(host: NewHost) -> None:
    only = host("a")
    assert only.tokens.allowed(MAY, 10) == (0, 1.0)  # nothing was granted yet
    only.renew()
    assert only.tokens.allowed(MAY, 10) == (10, 1.0)
    assert only.take_all() == 10


def test_hosts_that_are_there_get_equal_parts_one_period_ahead(host: NewHost) -> None:
    one, other = host("a"), host("b")
    one.renew()
    other.renew()
    one.renew(periods=(MAY, JUNE))
    other.renew(periods=(MAY, JUNE))
    assert read_leases(one.store, "loans", JUNE).held == {"a": 5, "b": 5}
    assert one.tokens.allowed(JUNE, 10) == other.tokens.allowed(JUNE, 10) == (5, 0.5)


def test_a_host_that_comes_later_has_none_until_it_is_given_some(host: NewHost) -> None:
    first, late = host("a"), host("b")
    first.renew()
    assert [first.take() for _ in range(4)] == [True] * 4
    late.renew()
    assert not late.take()
    first.renew()  # six are unused: half of them
    late.renew()
    assert read_leases(first.store, "loans", MAY).held == {"a": 7, "b": 3}
    assert (first.take_all(), late.take_all()) == (3, 3)


def test_a_lost_host_wastes_its_part_and_is_not_counted_in_again(host: NewHost) -> None:
    one, lost = host("a"), host("b")
    lost.renew(now=MAY - 90 * MINUTE, periods=())
    one.renew(now=MAY - 91 * MINUTE, periods=())
    lost.renew(now=MAY - 89 * MINUTE)
    assert read_leases(one.store, "loans", MAY).held == {"a": 5, "b": 5}
    one.renew(now=MAY, periods=(MAY, JUNE))
    assert one.take_all() == 5
    assert read_leases(one.store, "loans", JUNE).held == {"a": 10}


def test_with_the_lake_gone_hosts_go_on_with_what_was_granted(host: NewHost) -> None:
    one = host("a")
    one.renew(periods=(MAY, JUNE))
    one.store = away_from(one.store, one.folder)
    with pytest.raises((LakeError, OSError)):
        one.renew(periods=(MAY, JUNE))
    restarted = LeasedTokens(CapacityFile(one.folder), one.folder)
    assert restarted.allowed(MAY, 10) == restarted.allowed(JUNE, 10) == (10, 1.0)


def test_a_lowered_capacity_is_lowered_on_each_host_in_proportion(host: NewHost) -> None:
    one, other = host("a"), host("b")
    one.renew(periods=())
    other.renew(periods=())
    one.renew()
    other.renew()
    one.tokens.limit(MAY, 4, version=2)
    assert (one.take_all(), other.take_all(cases=4)) == (2, 2)


def test_a_raised_capacity_is_granted_at_once_and_once_in_both_periods(host: NewHost) -> None:
    one, other = host("a"), host("b")
    one.renew(periods=(MAY, JUNE))
    assert one.take_all() == 10
    for each in (other, one, other):
        each.renew(cases=16, periods=(MAY, JUNE))
    other.renew(cases=10)  # it still serves the champion of before
    assert (one.take_all(cases=16), other.take_all(cases=16)) == (3, 3)
    assert sum(read_leases(one.store, "loans", JUNE).held.values()) == 16


def test_what_is_raised_comes_on_top_of_what_a_host_gave_away_and_can_be_given_too(host: NewHost) -> None:
    one, late = host("a"), host("b")
    one.renew()
    late.renew()
    one.renew()
    assert read_leases(one.store, "loans", MAY).held == {"a": 5, "b": 5}
    one.renew(cases=20)
    latest = host("c")
    latest.renew(cases=20)
    one.renew(cases=20)  # ten unused: half of them
    for each in (late, latest):
        each.renew(cases=20)
    assert read_leases(one.store, "loans", MAY).held == {"a": 5, "b": 10, "c": 5}
    assert [each.take_all(cases=20) for each in (one, late, latest)] == [5, 10, 5]


def test_what_another_host_raises_while_this_one_gives_stays_with_it(host: NewHost) -> None:
    one, late = host("a"), host("b")
    one.renew()
    late.renew()

    class Slow:
        """The store of the first host; the other raises the capacity before its first gift is written."""

        def __getattr__(self, name: str) -> object:
            return getattr(late.store, name)

        def compare_and_swap(self, key: str, content: bytes, *, expected: str) -> str:
            if str(MAY) in key and not late.taken:
                late.renew(cases=14)
                late.taken = 1
            return late.store.compare_and_swap(key, content, expected=expected)

    one.store = cast("Store", Slow())
    one.renew()
    leases = read_leases(late.store, "loans", MAY)
    assert sum(leases.held.values()) == leases.cases == 14
    one.renew(cases=14)
    late.renew(cases=14)
    late.taken = 0
    assert one.take_all(cases=14) + late.take_all(cases=14) == 14


def test_a_damaged_document_is_said(host: NewHost) -> None:
    one = host("a")
    one.store.put("serving/loans/capacity/hosts.json", b"{}")
    with pytest.raises(BadLeases):
        one.renew()


def test_going_back_to_a_smaller_champion_leaves_its_capacity_to_those_who_had_it(host: NewHost) -> None:
    one, other, late = host("a"), host("b"), host("c")
    for each in (one, other):
        each.renew(periods=())
    for each in (one, other, late):
        each.renew()
    assert (one.take_all(), other.take_all()) == (5, 5)
    for cases in (50, 10):
        for each in (one, other, late):
            each.renew(cases=cases)
    assert [each.take_all() for each in (one, other, late)] == [0, 0, 0]
    assert late.take_all(cases=50) > 0


def test_what_a_lost_host_used_is_not_used_again_after_a_larger_champion_was_there(host: NewHost) -> None:
    one, lost = host("a"), host("b")
    one.renew(periods=(), now=MAY - MINUTE)
    for each in (lost, one):
        each.renew()
    assert lost.take_all() == 5
    for cases in (50, 10):
        one.renew(cases=cases, now=MAY + 90 * MINUTE)
    assert one.take_all() == 5
    assert one.take_all(cases=50) == 40


def test_what_was_given_while_the_capacity_is_lowered_is_not_used_by_two(host: NewHost) -> None:
    one, late = host("a"), host("b")
    one.renew()
    assert one.take_all(cases=4) == 4
    for each in (late, one, late):
        each.renew()
    assert late.take_all(cases=4) == 0
    assert one.take_all() + late.take_all() == 6


_STEPS = ["renew", "renew", "take", "take", "take all", "limit", "restart", "lose", "wait"]


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(_STEPS), st.sampled_from([0, 3, 10, 11, 50]))),
)
def test_whatever_rises_falls_or_is_lost_no_capacity_is_ever_exceeded(
    new_lake: Callable[[], Store], tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    """Each step with the capacity that this host has heard of, whatever the others know."""
    root, lake, now = tmp_path_factory.mktemp("hosts"), new_lake(), MAY
    hosts = {name: Host(name, root / name, lake) for name in "abc"}
    taken: list[int] = []  # the capacity that each token was taken under
    for number, (name, what, cases) in enumerate(steps):
        one = hosts[name]
        if what == "renew":
            one.renew(cases=cases, now=now)
        elif what == "take":
            taken += [cases] * one.take(cases=cases)
        elif what == "take all":
            taken += [cases] * one.take_all(cases=cases)
        elif what == "limit":
            one.tokens.limit(MAY, cases, version=number)
        elif what == "restart":
            hosts[name] = Host(name, one.folder, lake)
            hosts[name].taken = one.taken
        elif what == "wait":
            now += 61 * MINUTE
        else:  # its disk is gone: it comes back as another host
            hosts[name] = Host(f"{name}{number}", root / f"{name}{number}", lake)
    for most in sorted(set(taken)):
        assert sum(cases <= most for cases in taken) <= most
    if any(str(MAY) in entry.key for entry in lake.list("serving/loans/capacity")):
        leases = read_leases(lake, "loans", MAY)
        numbers = [number for runs in leases.dealt.values() for run in runs for number in run.numbers]
        assert len(numbers) == len(set(numbers))
        assert set(numbers) == set(range(leases.cases))


def test_two_writers_at_once_grant_a_period_once(host: NewHost) -> None:
    hosts = [host(name) for name in "abcd"]
    ready = threading.Barrier(len(hosts))

    def join(one: Host) -> None:
        ready.wait()
        one.renew(cases=10)

    threads = [threading.Thread(target=join, args=(one,)) for one in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(3):
        for one in hosts:
            one.renew()
    assert sum(read_leases(hosts[0].store, "loans", MAY).held.values()) <= 10
    assert sum(one.take_all() for one in hosts) <= 10
