"""A copy beside the server is whole and checked, whoever brings it, and a bad one is brought again."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from benchmarks.enduring.filling import small_disk
from tests.serve.conftest import ServedLake
from tests.serve.lakes import fill

from trueup.bundle.errors import BundleRefused, CannotWrite
from trueup.serve.opening import Opening
from trueup.serve.spooling import Spool

TODAY = dt.date(2026, 11, 27)


def fetch(lake: ServedLake, spool: Spool) -> Path:
    opening = Opening(lake.trusted, spool.environments)
    check = lambda copy: opening.check(copy, digest=lake.old, today=TODAY)  # noqa: E731
    return spool.fetch_bundle(lake.store, lake.old, check=check)


def test_a_damaged_bundle_of_the_lake_is_not_kept_and_is_brought_once_it_is_repaired(
    served_lake: ServedLake, tmp_path: Path
) -> None:
    spool, golden = Spool(tmp_path / "spool"), served_lake.store.folder / "bundles" / served_lake.old / "golden.jsonl"
    good = golden.read_bytes()
    golden.write_bytes(good[:100])
    with pytest.raises(BundleRefused):
        fetch(served_lake, spool)
    assert not (spool.bundles / served_lake.old).exists()
    golden.write_bytes(good)
    assert (fetch(served_lake, spool) / "golden.jsonl").read_bytes() == good


def test_a_damaged_copy_is_brought_again_and_an_intact_one_stays(served_lake: ServedLake, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    folder = fetch(served_lake, spool)
    made = folder.stat().st_ino
    assert fetch(served_lake, spool).stat().st_ino == made
    good = (folder / "golden.jsonl").read_bytes()
    (folder / "golden.jsonl").write_bytes(good[:100])
    assert (fetch(served_lake, spool) / "golden.jsonl").read_bytes() == good


def test_a_full_disk_keeps_no_part_of_a_bundle_and_space_brings_it_whole(
    served_lake: ServedLake, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", megabytes=2) as disk:
        if disk is None:
            pytest.skip("mounting a small disk needs root")
        spool, ballast = Spool(disk / "spool"), disk / "ballast"
        fill(ballast)
        with pytest.raises(CannotWrite, match="no space left on device"):
            fetch(served_lake, spool)
        assert [path.name for path in spool.bundles.iterdir() if not path.name.startswith(".lock-")] == []
        ballast.unlink()
        assert fetch(served_lake, spool) == spool.bundles / served_lake.old


def test_many_who_bring_a_bundle_at_once_get_one_copy(served_lake: ServedLake, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(lambda: fetch(served_lake, spool).stat().st_ino) for _ in range(16)]
        copies = {one.result() for one in asked}
    assert len(copies) == 1
