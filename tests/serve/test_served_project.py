"""What answers is what was signed: the champion's own policy, for each kind of outcome, and nothing an editor wrote."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from tests.serve.lakes import FEATURES, PROJECT, TOKEN
from tests.serve.running import RunningServer, serving, until

from trueup.align.decision_policy import policy_document
from trueup.align.project_file import parse_project
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.package import BundleContents, package
from trueup.bundle.signing import ensure_signing_key, public_key_path
from trueup.kernel.digests import digest_of
from trueup.lake.desired_state import (
    BundleRole,
    DesiredState,
    TokenGrant,
    change_desired,
    desired_key,
    read_desired,
    read_statuses,
    token_digest,
)
from trueup.lake.folder_store import FolderStore
from trueup.lake.personal import PersonalSealer
from trueup.loop.serve import check_servable, manifest_in_lake
from trueup.release.serving import with_champion
from trueup.serve.served_project import Sealing

WORTH = {"case": "A-1", "amount": 5.0, "age": 60, "happened": "2026-05-01T10:00:00Z"}
BINARY = ("binary", ("no", "yes"))
FOUR_RESULTS = """true_positive = "-5"
false_positive = "-5"
false_negative = "-20 * greatest(amount, 0)"
true_negative = "0"
"""


def project_text(task: str, **changes: str) -> str:
    text = PROJECT
    if task != "binary":
        price = (
            "CASE WHEN prediction = outcome THEN 1 ELSE 0 END" if task == "multiclass" else "-abs(prediction - outcome)"
        )
        text = text.replace(FOUR_RESULTS, f'per_case = "{price}"\n')
        text = text.replace('baseline_rule = "amount > 2"\n', "").replace('fallback = "amount > 1"\n', "")
        text = text.replace('[charter.capacity]\ncases = 300\nper = "month"\n', "")
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def bundle(lake: Path, text: str, task: str, classes: tuple[str, ...]) -> str:
    """Package a small model of a task into a lake; return its digest."""
    key = ensure_signing_key(lake.parent / "signing.pem")
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({"amount": chance.normal(size=300), "age": chance.uniform(18, 90, 300)})
    ranks = np.digitize(frame["amount"], [-0.5, 0.5]) if task == "multiclass" else (frame["amount"] > 0).astype(int)
    made: BaseEstimator = LinearRegression() if task == "regression" else LogisticRegression()
    pickled = lake.parent / "model.pickle"
    pickled.write_bytes(pickle.dumps(made.fit(frame, frame["amount"] * 2 if task == "regression" else ranks)))
    project = replace(parse_project(text, folder=lake), task=task)  # type: ignore[arg-type]  # by the test's parameters
    contents = BundleContents(
        project="small-fraud",
        task=task,
        model_version="1",
        charter_version=1,
        charter_digest="c" * 64,
        table_version="7",
        features=FEATURES,
        model_path=pickled,
        golden_requests=make_golden_requests(pa.Table.from_pandas(frame), FEATURES),
        classes=classes,
        policy=policy_document(project),
        cutoff=0.4 if task == "binary" else None,
    )
    return package(contents, into=lake / "bundles", signing_key=key).digest


def publish(store: FolderStore, digest: str) -> None:
    state = DesiredState(
        project="small-fraud",
        version=0,
        bundles=(BundleRole(digest, "champion"),),
        tokens=(TokenGrant("tests", token_digest(TOKEN), ("predict",)),),
    )
    change_desired(store, "small-fraud", lambda _: state)


def key_of(lake: Path) -> str:
    return str(public_key_path(lake.parent / "signing.pem"))


def acted(server: RunningServer, cases: int) -> int:
    answer = server.predict("small-fraud", [WORTH | {"case": str(number)} for number in range(cases)])
    return sum(told["decision"] for told in answer.json()["predictions"])


def test_capacity_and_personal_columns_are_those_signed_with_the_champion_and_no_editor_changes_them(
    tmp_path: Path,
) -> None:
    lake = tmp_path / "lake"
    three = bundle(lake, project_text("binary", **{"cases = 300": "cases = 3"}), *BINARY)
    people = {"cases = 300": "cases = 5", 'label = "fraud"': 'label = "fraud"\npersonal = ["name"]'}
    five = bundle(lake, project_text("binary", **people), *BINARY)
    store = FolderStore(lake)
    publish(store, three)
    with serving(lake, "--trust", key_of(lake), "--no-sealing", spool=tmp_path / "spool", token=TOKEN) as server:
        assert acted(server, 10) == 3
        written = store.get_versioned(desired_key("small-fraud"))
        forged = json.loads(written.content) | {"policy": dict(manifest_in_lake(store, five).policy)}
        store.put(desired_key("small-fraud"), json.dumps(forged).encode())
        until(lambda: "policy" in str([one.problem for one in read_statuses(store, "small-fraud")]))
        assert acted(server, 10) == 0

        store.put(desired_key("small-fraud"), written.content)
        change_desired(store, "small-fraud", lambda state: with_champion(_is(state), five, pace=None))
        version = read_desired(store, "small-fraud").version
        until(lambda: [one.version for one in read_statuses(store, "small-fraud")] == [version])
        [told] = server.predict("small-fraud", [WORTH]).json()["predictions"]
        assert told["policy_version"] == digest_of(manifest_in_lake(store, five).policy)
        server.predict("small-fraud", [WORTH | {"name": "Ada Lovelace"}, WORTH | {"NAME": "Grace Hopper"}])
    kept = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())
    assert b"Ada Lovelace" not in kept
    assert b"Grace Hopper" not in kept


def test_a_capacity_that_a_new_champion_raises_holds_at_once_also_after_all_of_it_was_used(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    three, five = (
        bundle(lake, project_text("binary", **{"cases = 300": f"cases = {cases}"}), *BINARY) for cases in (3, 5)
    )
    store = FolderStore(lake)
    publish(store, three)
    trust = ("--trust", key_of(lake), "--no-sealing", "--processes", "2")
    with serving(lake, *trust, spool=tmp_path / "spool", token=TOKEN) as server:
        assert acted(server, 10) == 3
        change_desired(store, "small-fraud", lambda state: with_champion(_is(state), five, pace=None))
        more = 0

        def both_acted() -> bool:
            nonlocal more
            more += acted(server, 10)
            return more >= 2

        until(both_acted)
        assert (more, acted(server, 10)) == (2, 0)


@pytest.mark.parametrize(
    ("task", "classes", "expected"),
    [("multiclass", ("low", "middle", "high"), "high"), ("regression", (), 10.0)],
)
def test_classes_and_numbers_are_served(
    task: str, classes: tuple[str, ...], expected: str | float, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    digest = bundle(lake, project_text(task), task, classes)
    store = FolderStore(lake)
    check_servable(manifest_in_lake(store, digest))
    publish(store, digest)
    with serving(lake, "--trust", key_of(lake), "--no-sealing", spool=tmp_path / "spool", token=TOKEN) as server:
        [told] = server.predict("small-fraud", [WORTH]).json()["predictions"]
    assert told["decision"] == (pytest.approx(expected) if task == "regression" else expected)
    assert (told["reason"], told["decision_by"]) == ("predicted", "champion")


def _is(state: DesiredState | None) -> DesiredState:
    assert state is not None
    return state


def test_a_change_of_the_personal_columns_goes_on_in_the_same_file_of_keys(tmp_path: Path) -> None:
    sealing = Sealing(lambda columns: PersonalSealer(tmp_path, columns, clock=lambda: 1))
    before, after = sealing.of(("iban",)), sealing.of(("name",))
    assert before is not None
    assert after is not None
    row = b'[{"iban": "DE1", "name": "Ann"}]'
    assert json.loads(after(row, ["a"]))[0].keys() == {"iban", "_personal"}
    assert json.loads(before(row, ["a"]))[0].keys() == {"name", "_personal"}  # a request in flight
    assert sealing.of(()) is None
    [keys] = tmp_path.glob("*.keys")
    assert keys.stat().st_size == 2 * 64
    sealing.close()
