"""A C library is opened without its Python package, and a missing one says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trueup.bundle.errors import LibraryMissing
from trueup.bundle.predictors.native_libraries import open_library


def test_lightgbm_opens_without_any_of_the_packages_it_would_import() -> None:
    code = (
        "import sys; from trueup.bundle.predictors.trees import LightgbmTrees\n"
        "try: LightgbmTrees(b'', inputs=1, outputs=1)\n"
        "except ValueError: pass\n"
        "print(sorted({'lightgbm', 'sklearn', 'pandas', 'scipy', 'pyarrow', 'xgboost'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.splitlines()[-1] == "[]"


def test_a_package_that_is_not_installed_is_named_with_what_to_install() -> None:
    with pytest.raises(LibraryMissing, match=r"no_such_trees, which is not installed here; install trueup\[trees\]"):
        open_library("no_such_trees", stem="libtrees", install="trueup[trees]")


def test_a_package_without_the_library_is_told_like_a_missing_one() -> None:
    with pytest.raises(LibraryMissing, match="not installed here"):
        open_library("msgspec", stem="libtrees", install="msgspec")


def test_a_library_that_the_system_cannot_open_is_told_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_trees" / "lib").mkdir(parents=True)
    (tmp_path / "broken_trees" / "__init__.py").touch()
    (tmp_path / "broken_trees" / "lib" / "libtrees.so").write_bytes(b"no library")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LibraryMissing, match=r"cannot open: .*libtrees\.so"):
        open_library("broken_trees", stem="libtrees", install="broken_trees")
