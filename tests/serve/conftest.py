"""A lake with two models of one small project, for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.serve.lakes import PROJECT, TOKEN, ServedLake, TwoModels, make_lake, make_two_models

__all__ = ["PROJECT", "TOKEN", "ServedLake"]


@pytest.fixture(scope="session")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> TwoModels:
    """Return a folder with two bundles, the public key of both, and their digests."""
    return make_two_models(tmp_path_factory.mktemp("two-models"))


@pytest.fixture
def served_lake(two_models: TwoModels, tmp_path: Path) -> ServedLake:
    """Return a lake in which the old model is champion and the token of the tests may do everything."""
    return make_lake(two_models, tmp_path / "lake")
