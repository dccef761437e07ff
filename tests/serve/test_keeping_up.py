"""A server does what is desired: at once where it can, not at all where it must not, and goes on without the lake."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from benchmarks.enduring.filling import small_disk
from tests.serve.conftest import ServedLake
from tests.serve.lakes import fail_reads, fill

from trueup.lake.desired_state import BundleRole, DesiredState, change_desired, desired_key
from trueup.serve.keeping_up import Keeper, NothingToServe
from trueup.serve.opening import OpenedBundle, Opening
from trueup.serve.pauses import FIRST_SECONDS, MOST_SECONDS
from trueup.serve.spooling import Spool

REQUEST = b'{"amount": 0.5, "age": 40}'


@dataclass
class Adopted:
    """What a server would answer with."""

    states: list[DesiredState] = field(default_factory=list)
    opened: Mapping[str, OpenedBundle] = field(default_factory=dict)

    def __call__(self, state: DesiredState, opened: Mapping[str, OpenedBundle]) -> None:
        self.states.append(state)
        self.opened = opened

    @property
    def champion(self) -> OpenedBundle:
        return self.opened[self.states[-1].champion.digest]


def keeper_of(lake: ServedLake, spool: Path, adopted: Adopted, clock: Callable[[], float] = time.monotonic) -> Keeper:
    return Keeper(
        lake.project,
        store=lake.store,
        spool=Spool(spool),
        opening=Opening(lake.trusted, spool / "environments"),
        today=lambda: dt.date(2026, 11, 27),
        adopt=adopted,
        clock=clock,
    )


def change(lake: ServedLake, **parts: Any) -> None:
    def changed(state: DesiredState | None) -> DesiredState:
        assert state is not None
        return msgspec.structs.replace(state, **parts)

    change_desired(lake.store, lake.project, changed)


def champion(digest: str) -> tuple[BundleRole, ...]:
    return (BundleRole(digest, "champion"),)


def test_it_starts_with_what_is_desired_and_the_bundle_answers(served_lake: ServedLake, tmp_path: Path) -> None:
    adopted = Adopted()
    asyncio.run(keeper_of(served_lake, tmp_path / "spool", adopted).start())
    assert adopted.champion.digest == served_lake.old
    assert adopted.champion.predictor is not None
    assert 0 < adopted.champion.predictor.score_request(REQUEST)[0] < 1


def test_another_champion_is_adopted_once_it_is_open_and_the_way_back_opens_nothing(
    served_lake: ServedLake, tmp_path: Path
) -> None:
    adopted = Adopted()

    async def journey() -> None:
        keeper = keeper_of(served_lake, tmp_path / "spool", adopted)
        await keeper.start()
        first = adopted.champion
        change(served_lake, bundles=champion(served_lake.new))
        await keeper.look()
        await keeper.settle()
        assert adopted.champion.digest == served_lake.new
        change(served_lake, bundles=champion(served_lake.old))
        assert await keeper.look()
        assert adopted.champion is first
        assert keeper.version == 3
        assert not await keeper.look()

    asyncio.run(journey())


def test_it_is_behind_from_a_change_until_it_looked_and_not_without_the_lake(
    served_lake: ServedLake, tmp_path: Path
) -> None:
    async def journey() -> None:
        keeper = keeper_of(served_lake, tmp_path / "spool", Adopted())
        await keeper.start()
        assert not keeper.is_behind()
        change(served_lake, paused=True)
        assert keeper.is_behind()
        await keeper.look()
        assert not keeper.is_behind()
        served_lake.store.folder.rename(tmp_path / "away")
        assert not keeper.is_behind()

    asyncio.run(journey())


def test_a_canary_that_does_not_verify_is_left_out_and_told(served_lake: ServedLake, tmp_path: Path) -> None:
    adopted = Adopted()
    (served_lake.store.folder / "bundles" / served_lake.new / "golden.jsonl").write_text("{}")

    async def journey() -> Keeper:
        keeper = keeper_of(served_lake, tmp_path / "spool", adopted)
        await keeper.start()
        change(served_lake, bundles=(*champion(served_lake.old), BundleRole(served_lake.new, "canary", 0.5)))
        await keeper.look()
        await keeper.settle()
        return keeper

    keeper = asyncio.run(journey())
    assert [role.role for role in adopted.states[-1].bundles] == ["champion"]
    assert [status.state for status in keeper.statuses] == ["ready", "refused"]
    assert keeper.problem is not None
    assert "golden.jsonl" in keeper.problem


def test_a_champion_that_does_not_verify_leaves_what_answers_but_a_pause_counts(
    served_lake: ServedLake, tmp_path: Path
) -> None:
    adopted = Adopted()

    async def journey() -> Keeper:
        keeper = keeper_of(served_lake, tmp_path / "spool", adopted)
        await keeper.start()
        change(served_lake, bundles=champion("f" * 64), paused=True, capacity=7, tokens=())
        await keeper.look()
        await keeper.settle()
        return keeper

    keeper = asyncio.run(journey())
    state = adopted.states[-1]
    assert (state.champion.digest, state.paused, state.capacity, state.tokens) == (served_lake.old, True, 7, ())
    assert keeper.version == 1
    assert keeper.problem is not None
    assert "not in the lake" in keeper.problem


def test_a_document_that_is_none_changes_nothing(served_lake: ServedLake, tmp_path: Path) -> None:
    adopted = Adopted()

    async def journey() -> Keeper:
        keeper = keeper_of(served_lake, tmp_path / "spool", adopted)
        await keeper.start()
        served_lake.store.put(desired_key(served_lake.project), b"not a document")
        await keeper.look()
        await keeper.settle()
        return keeper

    keeper = asyncio.run(journey())
    assert len(adopted.states) == 1
    assert keeper.problem is not None


@pytest.mark.parametrize("wrong", [b"not a document", None])
def test_what_is_refused_is_read_once_and_told_until_something_else_is_desired(
    served_lake: ServedLake, tmp_path: Path, wrong: bytes | None
) -> None:
    key = desired_key(served_lake.project)
    right = served_lake.store.get(key)

    async def journey() -> None:
        keeper = keeper_of(served_lake, tmp_path / "spool", Adopted())
        await keeper.start()
        served_lake.store.put(key, wrong or right.replace(served_lake.project.encode(), b"another"))
        assert keeper.is_behind()
        for _ in range(2):
            await keeper.look()
            assert "refused" in str(keeper.problem)
            assert not keeper.is_behind()
        served_lake.store.put(key, right)
        assert keeper.is_behind()
        await keeper.look()
        assert (keeper.problem, keeper.version) == (None, 1)

    asyncio.run(journey())


def test_a_lake_whose_reading_fails_is_told_and_what_answers_goes_on(served_lake: ServedLake, tmp_path: Path) -> None:
    adopted = Adopted()
    desired = served_lake.store.folder / desired_key(served_lake.project)

    async def journey() -> None:
        keeper = keeper_of(served_lake, tmp_path / "spool", adopted)
        await keeper.start()
        before = desired.read_bytes()
        fail_reads(desired)
        assert not keeper.is_behind()
        assert not await keeper.look()
        assert "cannot be read" in str(keeper.problem)
        desired.unlink()
        desired.write_bytes(before)
        change(served_lake, paused=True)
        assert await keeper.look()
        assert (adopted.states[-1].paused, keeper.problem) == (True, None)

    asyncio.run(journey())


def test_with_the_lake_gone_it_goes_on_starts_again_and_catches_up(served_lake: ServedLake, tmp_path: Path) -> None:
    adopted, later = Adopted(), Adopted()
    lake, away = served_lake.store.folder, tmp_path / "away"

    async def journey() -> None:
        keeper = keeper_of(served_lake, tmp_path / "spool", adopted)
        await keeper.start()
        lake.rename(away)
        assert not await keeper.look()
        assert keeper.problem is not None
        again = keeper_of(served_lake, tmp_path / "spool", later)
        await again.start()
        assert later.champion.digest == served_lake.old
        assert again.problem is not None
        shutil.rmtree(lake, ignore_errors=True)
        away.rename(lake)
        change(served_lake, bundles=champion(served_lake.new))
        await again.look()
        await again.settle()
        assert later.champion.digest == served_lake.new
        assert again.problem is None

    asyncio.run(journey())


def test_while_a_bundle_is_opened_a_pause_counts_and_the_way_back_is_open(
    served_lake: ServedLake, tmp_path: Path
) -> None:
    adopted = Adopted()
    bundle = served_lake.store.folder / "bundles" / served_lake.new / "golden.jsonl"

    async def journey() -> None:
        keeper = keeper_of(served_lake, tmp_path / "spool", adopted)
        await keeper.start()
        content = bundle.read_bytes()
        bundle.unlink()
        os.mkfifo(bundle)  # whoever reads it waits for a writer, as for a slow disk or a long installation
        change(served_lake, bundles=champion(served_lake.new), paused=True)
        assert not await keeper.look()
        assert (adopted.states[-1].paused, adopted.champion.digest) == (True, served_lake.old)
        change(served_lake, bundles=champion(served_lake.old), paused=False)
        assert await keeper.look()
        assert (adopted.states[-1].paused, keeper.version) == (False, 3)
        await asyncio.to_thread(bundle.write_bytes, content)
        await keeper.settle()
        assert (keeper.version, keeper.problem) == (3, None)

    asyncio.run(journey())


def test_a_bundle_that_comes_later_than_what_is_desired_is_tried_again_at_its_pace(
    served_lake: ServedLake, tmp_path: Path
) -> None:
    adopted = Adopted()
    bundle, aside, now = served_lake.store.folder / "bundles" / served_lake.new, tmp_path / "aside", [0.0]

    async def journey() -> None:
        keeper = keeper_of(served_lake, tmp_path / "spool", adopted, clock=lambda: now[0])
        await keeper.start()
        bundle.rename(aside)
        change(served_lake, bundles=champion(served_lake.new))
        for tries in range(2):
            await keeper.look()
            await keeper.settle()
            assert (adopted.champion.digest, "not in the lake" in str(keeper.problem)) == (served_lake.old, True)
            if tries:
                aside.rename(bundle)
        assert not await keeper.look()
        now[0] += FIRST_SECONDS
        await keeper.look()
        await keeper.settle()
        assert adopted.champion.digest == served_lake.new
        assert keeper.problem is None

    asyncio.run(journey())


@pytest.mark.parametrize("failures", [1, 12])
def test_however_long_the_lake_was_gone_a_bundle_is_tried_again_with_the_first_look_that_succeeds(
    served_lake: ServedLake, tmp_path: Path, failures: int
) -> None:
    adopted, now = Adopted(), [0.0]
    lake, away = served_lake.store.folder, tmp_path / "away"
    bundle, aside = lake / "bundles" / served_lake.new, tmp_path / "aside"

    async def look(keeper: Keeper) -> str:
        await keeper.look()
        await keeper.settle()
        return adopted.champion.digest

    async def journey() -> None:
        keeper = keeper_of(served_lake, tmp_path / "spool", adopted, clock=lambda: now[0])
        await keeper.start()
        bundle.rename(aside)
        change(served_lake, bundles=champion(served_lake.new))
        assert await look(keeper) == served_lake.old
        lake.rename(away)
        for _ in range(failures):
            now[0] += MOST_SECONDS
            assert await look(keeper) == served_lake.old
        away.rename(lake)
        aside.rename(bundle)
        assert await look(keeper) == served_lake.new
        assert keeper.problem is None

    asyncio.run(journey())


@pytest.mark.parametrize(("failures", "pause"), [(1, 1.0), (3, 4.0), (8, 60.0)])
def test_on_a_full_disk_it_serves_on_and_tries_again_ever_later_at_last_every_minute(
    served_lake: ServedLake, tmp_path: Path, failures: int, pause: float
) -> None:
    adopted, now = Adopted(), [0.0]

    async def look(keeper: Keeper) -> str:
        await keeper.look()
        await keeper.settle()
        return adopted.champion.digest

    async def journey(disk: Path) -> None:
        keeper = keeper_of(served_lake, disk / "spool", adopted, clock=lambda: now[0])
        await keeper.start()
        fill(disk / "ballast")
        change(served_lake, bundles=champion(served_lake.new))
        for _ in range(failures):
            now[0] += MOST_SECONDS  # long enough after each
            assert await look(keeper) == served_lake.old
            assert "no space left on device" in str(keeper.problem)
        [told] = keeper.statuses
        assert (told.state, "no space left on device" in str(told.reason)) == ("refused", True)
        (disk / "ballast").unlink()
        now[0] += pause - 0.001
        assert await look(keeper) == served_lake.old
        now[0] += 0.001
        assert await look(keeper) == served_lake.new
        assert keeper.problem is None

    with small_disk(tmp_path / "disk", megabytes=2) as disk:
        if disk is None:
            pytest.skip("mounting a small disk needs root")
        asyncio.run(journey(disk))


def test_with_nothing_to_serve_it_says_why(served_lake: ServedLake, tmp_path: Path) -> None:
    change(served_lake, bundles=champion("f" * 64))
    with pytest.raises(NothingToServe, match="not in the lake"):
        asyncio.run(keeper_of(served_lake, tmp_path / "spool", Adopted()).start())


@pytest.mark.parametrize("damage", [lambda folder: (folder / "signature.json").unlink()])
def test_an_unsigned_bundle_is_never_opened(
    served_lake: ServedLake, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(served_lake.store.folder / "bundles" / served_lake.old)
    with pytest.raises(NothingToServe, match=r"signature\.json"):
        asyncio.run(keeper_of(served_lake, tmp_path / "spool", Adopted()).start())


def test_a_document_of_another_project_is_refused_and_writes_nowhere(served_lake: ServedLake, tmp_path: Path) -> None:
    adopted = Adopted()

    async def journey() -> Keeper:
        keeper = keeper_of(served_lake, tmp_path / "spool", adopted)
        await keeper.start()
        change(served_lake, project="../../outside", paused=True)
        await keeper.look()
        return keeper

    keeper = asyncio.run(journey())
    assert "another project" in (keeper.problem or "")
    assert not adopted.states[-1].paused
    assert not (tmp_path.parent / "outside").exists()
