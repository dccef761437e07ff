"""The environment of a bundle is locked exactly, and differences are named."""

from __future__ import annotations

import importlib.metadata
import platform

from trueup.bundle.environment import (
    EnvironmentDifference,
    compare_environment,
    imported_modules,
    lock_environment,
    locked_versions,
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
    assert f"pandas=={importlib.metadata.version('pandas')}" in lines


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
