"""A bundle gives back what it was packaged from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from trueup.bundle.errors import FilesDiffer
from trueup.bundle.package import BundleContents, BundleRef, package
from trueup.bundle.unpacking import contents_of


def test_contents_come_back_and_give_the_same_bundle(
    bundle: BundleRef, contents: BundleContents, trusted: list[Path], signing_key: Path, tmp_path: Path
) -> None:
    found = contents_of(bundle.path, trusted_keys=trusted)

    assert found.model_path.read_bytes() == contents.model_path.read_bytes()
    same = {"model_path": contents.model_path, "model_digest": "", "requirements_lock": contents.requirements_lock}
    assert replace(found, **same) == contents  # type: ignore[arg-type]  # names go with types
    assert package(found, into=tmp_path, signing_key=signing_key).digest == bundle.digest


def test_a_changed_bundle_gives_nothing(bundle: BundleRef, trusted: list[Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / bundle.digest))
    (copy / "code" / "pipeline.py").write_text("")

    with pytest.raises(FilesDiffer):
        contents_of(copy, trusted_keys=trusted)


def test_a_model_that_is_changed_after_it_was_verified_is_not_signed(
    bundle: BundleRef, trusted: list[Path], signing_key: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / bundle.digest))
    found = contents_of(copy, trusted_keys=trusted)
    found.model_path.write_bytes(b"another model")

    with pytest.raises(FilesDiffer, match="changed since it was verified"):
        package(found, into=tmp_path / "made", signing_key=signing_key)
