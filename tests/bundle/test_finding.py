"""A bundle is found by the start of its digest, and a start that fits several is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trueup.bundle.errors import BundleNotFound
from trueup.bundle.finding import bundle_folders, find_bundle


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """Return a folder with three folders named by digests, made one second apart, and something else."""
    folder = tmp_path / "bundles"
    for age, digest in enumerate(("abcd1" + "0" * 59, "abcd2" + "0" * 59, "1234" + "0" * 60)):
        (folder / digest).mkdir(parents=True)
        os.utime(folder / digest, (1000 - age, 1000 - age))
    (folder / ".partial-x").mkdir()
    return folder


def test_the_newest_bundle_comes_first(bundles: Path) -> None:
    assert [path.name[:5] for path in bundle_folders(bundles)] == ["abcd1", "abcd2", "12340"]
    assert bundle_folders(bundles / "none") == []


def test_a_start_that_fits_one_is_enough(bundles: Path) -> None:
    assert find_bundle("1234", bundles=bundles).name == "1234" + "0" * 60


@pytest.mark.parametrize(("named", "told"), [("abcd", "start of 2 bundles"), ("ffff", "no bundle"), ("12", "4 digits")])
def test_what_fits_none_or_several_is_refused(bundles: Path, named: str, told: str) -> None:
    with pytest.raises(BundleNotFound, match=told):
        find_bundle(named, bundles=bundles)


def test_a_path_is_found_where_no_digest_fits(bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beef").mkdir()
    monkeypatch.chdir(tmp_path)

    assert find_bundle("beef", bundles=bundles) == tmp_path / "beef"


def test_where_there_is_none_yet_it_is_said_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="trueup train"):
        find_bundle("abcd", bundles=tmp_path)
