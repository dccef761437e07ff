"""The environment of a bundle is locked exactly, and differences are named."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

from trueup.bundle.environment import (
    EnvironmentDifference,
    _hashes,
    compare_environment,
    imported_modules,
    lock_environment,
    locked_hashes,
    locked_versions,
    without_hash,
)


def test_the_lock_holds_python_and_what_a_model_needs_but_not_the_tools_beside_it() -> None:
    versions = locked_versions(lock_environment())

    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == importlib.metadata.version("numpy")
    assert {"trueup", "scikit-learn", "scipy", "pandas", "lightgbm"} <= set(versions)
    assert not {"pytest", "hypothesis", "ruff"} & set(versions)


def test_what_the_code_imports_is_locked_too() -> None:
    assert "hypothesis" in locked_versions(lock_environment(imported=["hypothesis", "no_such_module"]))


def test_hashes_are_taken_over_for_the_installed_version_only() -> None:
    numpy = importlib.metadata.version("numpy")
    requirements = (
        f"numpy=={numpy} \\\n    --hash=sha256:bb \\\n    --hash=sha256:aa\npandas==0.1 \\\n    --hash=sha256:cc\n"
    )

    lines = lock_environment(requirements_lock=requirements).splitlines()

    assert f"numpy=={numpy} --hash=sha256:aa --hash=sha256:bb" in lines
    [pandas] = [line for line in lines if line.startswith("pandas==")]
    assert "sha256:cc" not in pandas


def test_every_distribution_has_a_hash_without_a_lock_of_the_project() -> None:
    lock = lock_environment()

    assert without_hash(lock) == ()
    assert all(name in locked_hashes(lock) for name in ("numpy", "lightgbm", "scikit-learn"))
    assert "trueup" not in locked_hashes(lock)


def test_a_distribution_that_no_lock_pins_is_said() -> None:
    assert without_hash(lock_environment(imported=["pytest"])) == ("iniconfig", "pluggy", "pytest")


def test_the_hashes_that_ship_are_those_of_the_locks() -> None:
    root = Path(__file__).parents[2]
    known, used, developed = (
        _hashes((root / path).read_text())
        for path in ("src/trueup/bundle/known_hashes.lock", "requirements.lock", "requirements-dev.lock")
    )

    assert used
    assert used.items() <= known.items()
    assert known.items() <= developed.items()
    extras = {name for name, _ in set(known) - set(used)}
    assert {"onnxruntime", "xgboost-cpu"} <= extras


def test_the_same_environment_has_no_differences() -> None:
    assert compare_environment(lock_environment()) == ()


def test_differences_are_named() -> None:
    found = compare_environment("python==2.7.18\nno-such-thing==1.0\n")

    assert found == (
        EnvironmentDifference("python", "2.7.18", platform.python_version()),
        EnvironmentDifference("no-such-thing", "1.0", None),
    )
    assert str(found[0]) == f"python 2.7.18 is {platform.python_version()} here"


def test_modules_of_the_project_itself_are_not_looked_for() -> None:
    code = {
        "pipeline.py": b"import numpy as np, parts.more\nfrom sklearn.base import X\nfrom . import y",
        "parts/more.py": b"import yaml",
    }

    assert imported_modules(code) == ("numpy", "sklearn", "yaml")


def test_code_that_is_no_python_imports_nothing() -> None:
    assert imported_modules({"broken.py": b"def (", "data.txt": b"import os", "null.py": b"\0"}) == ()
