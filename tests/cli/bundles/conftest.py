"""A project with two bundles packaged for real, and a watch over what a command starts."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.package import BundleContents, BundleRef, package
from trueup.bundle.signing import ensure_signing_key, sign_folder
from trueup.cli.workspace import open_workspace
from trueup.kernel.digests import canonical_json, digest_of_bytes

STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn")
RUNS = (*STARTS, "pickle.find_class", "socket.connect")
_seen: list[str] = []
_watching = [False]


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _watching[0] and event in RUNS:
        _seen.append(f"{event} {arguments!r}"[:200])


sys.addaudithook(_note)


@pytest.fixture
def watch() -> Iterator[list[str]]:
    """Return what the interpreter starts, unpickles or connects to while a test runs.

    The events are those of https://docs.python.org/3/library/audit_events.html.
    """
    _seen.clear()
    _watching[0] = True
    yield _seen
    _watching[0] = False


@pytest.fixture
def nothing_runs(watch: list[str]) -> Iterator[None]:
    """Fail where anything of that happened in a test."""
    yield
    assert watch == []


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BundleRef, BundleRef]:
    """Return a project folder with two bundles, the second with another data version, category and payoff."""
    project = tmp_path_factory.mktemp("project")
    workspace = open_workspace(project)
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({"amount": chance.normal(size=200), "age": chance.uniform(18, 90, 200)})
    model = project / "model.pickle"
    model.write_bytes(pickle.dumps(LogisticRegression().fit(frame, frame["amount"] > 0)))
    features = (FeatureSpec("amount", "number"), FeatureSpec("age", "number"))
    first = BundleContents(
        project="application-fraud",
        task="binary",
        model_version="1",
        charter_version=1,
        charter_digest="c" * 64,
        table_version="applications@3",
        features=features,
        model_path=model,
        golden_requests=make_golden_requests(pa.Table.from_pandas(frame), features),
        classes=("no", "yes"),
        policy={"payoff": {"true_positive": "-30"}, "currency": "EUR"},
        metrics={"training_rows": 200},
        cutoff=0.5,
    )
    second = replace(
        first,
        model_version="2",
        table_version="applications@4",
        policy={"payoff": {"true_positive": "-35"}, "currency": "EUR"},
        metrics={"training_rows": 250},
    )
    key = ensure_signing_key(workspace.keys / "bundle-signing.key")
    into = workspace.for_loop().bundles
    bundles = [package(contents, into=into, signing_key=key) for contents in (first, second)]
    return project, bundles[0], bundles[1]


@pytest.fixture
def project(packaged: tuple[Path, BundleRef, BundleRef], tmp_path: Path) -> Path:
    """Return a copy of the project for one test, with its keys."""
    return Path(shutil.copytree(packaged[0], tmp_path / "project"))


@pytest.fixture
def first(packaged: tuple[Path, BundleRef, BundleRef]) -> str:
    """Return the digest of the first bundle."""
    return packaged[1].digest


@pytest.fixture
def second(packaged: tuple[Path, BundleRef, BundleRef]) -> str:
    """Return the digest of the second bundle."""
    return packaged[2].digest


@pytest.fixture
def folder_of(project: Path) -> Callable[[str], Path]:
    """Return what gives a bundle's folder in the copied project."""
    return lambda digest: project / ".trueup" / "lake" / "bundles" / digest


@pytest.fixture
def signed_again(project: Path) -> Callable[..., str]:
    """Return what signs a bundle anew for its files as they are now, and gives its new digest."""

    def sign(folder: Path, **entries: Any) -> str:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest["files"] = {name: digest_of_bytes((folder / name).read_bytes()) for name in manifest["files"]}
        manifest |= {"lock_digest": manifest["files"]["environment.lock"], **entries}
        (folder / "manifest.json").write_text(canonical_json(manifest))
        digest = digest_of_bytes((folder / "manifest.json").read_bytes())
        renamed = folder.rename(folder.with_name(digest))
        sign_folder(renamed, signing_key=project / ".trueup" / "keys" / "bundle-signing.key")
        return digest

    return sign
