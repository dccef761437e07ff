"""A server loses, doubles and confuses nothing when models change, processes die, disks fill and callers misbehave.

The same at full length: ``python -m benchmarks.endurance swap kill full-disk lake overload misbehaving soak``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import uvloop
from benchmarks.enduring.asking import Requests, port_of
from benchmarks.enduring.filling import Filling, small_disk
from benchmarks.enduring.killing import compare, kill_again_and_again, seal_all
from benchmarks.enduring.losing import Losing, StoppedServer, put_aside
from benchmarks.enduring.misbehaving import Enduring
from benchmarks.enduring.overloading import offer
from benchmarks.enduring.swapping import Swapping, scores_of
from tests.serve.lakes import TOKEN, Durability, ServedLake, TwoModels, make_lake, make_lake_in, make_two_models
from tests.serve.running import RunningServer, serving

from trueup.lake.capacity_file import CapacityFile
from trueup.serve.spooling import Spool


@pytest.fixture(scope="module")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> TwoModels:
    return make_two_models(tmp_path_factory.mktemp("two-models"))


@pytest.fixture
def lake(two_models: TwoModels, tmp_path: Path) -> ServedLake:
    return make_lake(two_models, tmp_path / "lake")


@pytest.fixture
def server(lake: ServedLake, tmp_path: Path) -> Iterator[RunningServer]:
    trust = ("--trust", str(lake.trusted[0]))
    with serving(lake.store.folder, *trust, spool=tmp_path / "spool", token=TOKEN) as running:
        yield running


def test_models_change_under_load_without_a_failed_or_wrongly_attributed_answer(
    server: RunningServer, lake: ServedLake, two_models: TwoModels
) -> None:
    requests = Requests(lake.project)
    scores = {
        digest: scores_of(two_models[0] / "bundles", digest, trusted=lake.trusted, rows=requests.rows)
        for digest in (lake.old, lake.new)
    }
    swapping = Swapping(lake, requests, scores)
    found = uvloop.run(swapping.run(port_of(server.url), flips=10, seconds=1.5, connections=32, others=[lake.new]))
    assert (found.failed, found.wrong, found.fallbacks) == ([], [], 0)
    assert len(found.flip_seconds) == 10


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_every_acknowledged_answer_is_logged_once_when_processes_are_killed(
    two_models: TwoModels, tmp_path: Path, durability: Durability
) -> None:
    lake = make_lake(two_models, tmp_path / "lake", durability=durability)
    told = uvloop.run(kill_again_and_again(lake, tmp_path / "spool", kills=4, connections=8))
    assert seal_all(lake, tmp_path / "spool" / lake.project / "hot") == 0
    logged = compare(lake, told)
    assert (logged.lost, logged.twice, logged.different, told.changed) == (0, 0, 0, [])
    assert logged.acknowledged > 100
    used = tokens_used(tmp_path / "spool", lake)
    # a kill may waste the tokens of what was in flight, at most one for each connection; it makes none
    assert logged.acted <= used <= min(300, logged.acted + 4 * 8)


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_full_disk_refuses_at_once_and_loses_nothing(
    two_models: TwoModels, tmp_path: Path, durability: Durability
) -> None:
    lake = make_lake(two_models, tmp_path / "lake", durability=durability)
    with small_disk(tmp_path / "disk", megabytes=6) as disk:
        if disk is None:
            pytest.skip("no disk can be mounted here")
        found = uvloop.run(Filling(lake, disk).run(times=1, full_seconds=0.0, connections=4))
        seal_all(lake, disk / "spool" / lake.project / "hot")
    logged = compare(lake, found.told)
    assert (logged.lost, logged.twice, logged.different) == (0, 0, 0)
    assert set(found.told.refused) == {503}
    assert all(b"serve.disk-full" in code for code in found.codes)
    assert found.without_retry_after == 0


def test_a_lake_that_was_gone_is_caught_up_with(server: RunningServer, lake: ServedLake) -> None:
    take, give = put_aside(lake.store.folder)
    found = uvloop.run(Losing(lake).run(server, take=take, give=give, seconds=1.0, connections=4))
    assert server.stop() == 0
    logged = compare(lake, found.told)
    assert found.told.refused == {}
    assert found.answered_without > 100
    assert (logged.lost, logged.twice, logged.different) == (0, 0, 0)
    assert logged.rows == logged.acknowledged


def test_an_object_store_that_was_gone_is_caught_up_with(two_models: TwoModels, tmp_path: Path) -> None:
    with closing(StoppedServer("gone", "lake")) as s3:
        lake, options = make_lake_in(s3.store, two_models), s3.server.options
        trust = ("--trust", str(lake.trusted[0]))
        with serving(lake.store.url, *trust, spool=tmp_path / "spool", token=TOKEN, environment=options) as server:
            s3.sealing = server.sealing
            losing = Losing(lake).run(server, take=s3.take, give=s3.give, seconds=1.0, connections=4)
            found = uvloop.run(losing)
            assert server.stop() == 0
        logged = compare(lake, found.told)
    assert found.told.refused == {}
    assert found.answered_without > 100
    assert (logged.lost, logged.twice, logged.different) == (0, 0, 0)


def tokens_used(spool: Path, lake: ServedLake) -> int:
    """Return how many tokens all periods of this test took: one, or two where a month ended meanwhile."""
    folder = Spool(spool).counters(lake.project)
    tokens = CapacityFile(folder)
    used = sum(tokens.used(int(path.stem))[0] for path in folder.glob("*.tokens"))
    tokens.close()
    return used


def test_callers_who_misbehave_cost_no_answer_and_end_no_process(server: RunningServer, lake: ServedLake) -> None:
    [worker] = server.workers()
    enduring = Enduring(port_of(server.url), worker, lake.project)
    found = uvloop.run(enduring.run(idle=300, rounds=1, huge_bytes=20 << 20, connections=4))
    assert server.workers() == [worker]
    assert server.stop() == 0
    logged = compare(lake, found.told)
    assert found.idle_held == 300
    assert set(found.told.refused) <= {429}
    assert (logged.lost, logged.twice, logged.different) == (0, 0, 0)


def test_more_than_can_be_answered_is_refused_and_the_rest_is_answered(server: RunningServer) -> None:
    found = offer(port_of(server.url), rate=0, seconds=2, connections=300, rows=50)
    assert found.other == {}
    assert found.accepted > 0
    assert found.busy > 0
