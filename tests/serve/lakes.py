"""A lake with two models of one small project: packaged, signed, ready to be served."""

from __future__ import annotations

import contextlib
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.linear_model import LogisticRegression

from trueup.align.decision_policy import policy_document
from trueup.align.project_file import parse_project
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.package import BundleContents, package
from trueup.bundle.signing import ensure_signing_key, public_key_path
from trueup.lake.desired_state import BundleRole, DesiredState, TokenGrant, change_desired, token_digest
from trueup.lake.folder_store import FolderStore
from trueup.lake.store import Store

PROJECT = """
[project]
name = "small-fraud"
title = "Small fraud"

[charter]
objective = "Stop fraud"
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "sponsor@example.com"
baseline_rule = "amount > 2"
fallback = "amount > 1"

[[charter.reviewer]]
group = "fraud"

[charter.payoff]
true_positive = "-5"
false_positive = "-5"
false_negative = "-20 * greatest(amount, 0)"
true_negative = "0"

[charter.capacity]
cases = 300
per = "month"

[[charter.kpi]]
name = "Fraud caught"
sql = "count(*) FILTER (acted AND outcome) / count(*) FILTER (outcome)"
target = ">= 0.5"

[[charter.guard]]
name = "False alarms per fraud caught"
count = "acted AND NOT outcome"
per = "acted AND outcome"
limit = "<= 50"
window = "30d"
breach = "alert"

[[charter.retraining]]
trigger = ["every 30d"]

[data]
source = "cases.parquet"
case_id = "case"
time = "happened"
label = "fraud"
"""
FEATURES = (FeatureSpec("amount", "number"), FeatureSpec("age", "number"))
TwoModels = tuple[Path, Path, str, str]
"""A folder with two bundles, the public key of both, and their digests."""
Durability = Literal["process", "disk"]
TOKEN = "a-token-of-the-tests"


@dataclass(frozen=True)
class ServedStore:
    """A lake of its own for each test, in a folder or an object store."""

    store: Store
    trusted: tuple[Path, ...]
    old: str
    """Digest of the model that is champion first."""
    new: str
    """Digest of another model of the same features, with other scores."""
    project: str = "small-fraud"


@dataclass(frozen=True)
class ServedLake(ServedStore):
    """The same in a folder."""

    store: FolderStore


def make_two_models(folder: Path) -> TwoModels:
    """Package two models of the same features into a folder."""
    key = ensure_signing_key(folder / "signing.pem")
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({"amount": chance.normal(size=400), "age": chance.uniform(18, 90, 400)})
    table = pa.Table.from_pandas(frame)
    digests = []
    for version, bias in (("1", 1.5), ("2", 2.5)):
        model = LogisticRegression().fit(frame, (frame["amount"] + frame["age"] / 40 > bias).astype(int))
        path = folder / f"model-{version}.pickle"
        path.write_bytes(pickle.dumps(model))
        contents = BundleContents(
            project="small-fraud",
            task="binary",
            model_version=version,
            charter_version=1,
            charter_digest="c" * 64,
            table_version="7",
            features=FEATURES,
            model_path=path,
            golden_requests=make_golden_requests(table, FEATURES),
            classes=("no", "yes"),
            policy=policy_document(parse_project(PROJECT, folder=folder)),
            cutoff=0.4,
        )
        digests.append(package(contents, into=folder / "bundles", signing_key=key).digest)
    return folder, public_key_path(key), digests[0], digests[1]


def make_lake(models: TwoModels, lake_folder: Path, *, durability: Durability = "process") -> ServedLake:
    """Return a lake in which the old model is champion and the token of the tests may do everything."""
    folder, public, old, new = models
    shutil.copytree(folder / "bundles", lake_folder / "bundles")
    lake = ServedLake(FolderStore(lake_folder), (public,), old, new)
    _publish(lake, durability)
    return lake


def make_lake_in(store: Store, models: TwoModels) -> ServedStore:
    """Return the same lake in any store."""
    folder, public, old, new = models
    for path in sorted((folder / "bundles").rglob("*")):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    lake = ServedStore(store, (public,), old, new)
    _publish(lake)
    return lake


def _publish(lake: ServedStore, durability: Durability = "process") -> None:
    state = DesiredState(
        project=lake.project,
        version=1,
        bundles=(BundleRole(lake.old, "champion"),),
        durability=durability,
        tokens=(TokenGrant("tests", token_digest(TOKEN), ("predict", "facts", "metrics")),),
    )
    change_desired(lake.store, lake.project, lambda _: state)


def fail_reads(file: Path) -> None:
    """Let every read of a file fail as with a damaged disk or a lost mount, for any user: it leads back to itself."""
    file.unlink()
    file.symlink_to(file)


def fill(ballast: Path) -> None:
    """Write a file until its disk is full."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
