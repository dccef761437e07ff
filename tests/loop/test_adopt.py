"""A model that MLflow logged becomes a bundle with the same numbers, and MLflow opens the bundle's model again."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.align.charter import Project
from trueup.align.project_file import read_project
from trueup.bundle.errors import PickleRefused
from trueup.bundle.examining import examine
from trueup.bundle.golden import parse_golden
from trueup.bundle.loading import open_bundle
from trueup.bundle.manifest import parse_manifest
from trueup.bundle.mlflow_reading import MlflowUnsupported, read_logged_model
from trueup.bundle.scoring import ModelProcess
from trueup.bundle.signing import public_key_path
from trueup.bundle.unpacking import contents_of
from trueup.data.ingest import ingest
from trueup.loop.adopt import Adopted, CannotAdopt, adopt_mlflow
from trueup.loop.packaging import OfNoProject, last_bundle, package_again
from trueup.loop.prepare import Workspace, open_tables, table_name

PROJECT = """[project]
name = "desk"
title = "Desk"

[charter]
objective = "Look at the cases that are worth a look."
currency = "EUR"
timezone = "UTC"
sponsor = "someone@example.com"

[[charter.reviewer]]
group = "desk"

[charter.payoff]
true_positive = "10"
false_positive = "-3"
false_negative = "0"
true_negative = "0"

[data]
source = "table.parquet"
case_id = "case"
label = "result"
positive = "bad"
exclude = ["cost"]
"""
NUMBERS = PROJECT.replace('name = "desk"', 'name = "costs"\ntask = "regression"').replace(
    'label = "result"\npositive = "bad"\nexclude = ["cost"]', 'label = "cost"\nexclude = ["broker", "new", "result"]'
)
NUMBERS = (
    NUMBERS[: NUMBERS.index("true_positive")]
    + 'per_case = "-abs(outcome - prediction)"\n\n'
    + NUMBERS[NUMBERS.index("[data]") :]
)
FLAVOURS = ("linear-pickle", "unsigned-skops", "boosting", "lightgbm-text", "onnx-map", "onnx-tensor")
LINEAR = FLAVOURS[:2]
ROWS = 2_600


def ingested(folder: Path, text: str) -> Project:
    """Return a project in a folder with its table."""
    (folder / "trueup.toml").write_text(text)
    project, workspace = read_project(folder), Workspace(folder / ".trueup")
    ingest(str(folder / "table.parquet"), tables=open_tables(workspace), name=table_name(project), as_of=0)
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return an ingested project of 2,600 cases with missing numbers and texts."""
    folder = tmp_path_factory.mktemp("desk")
    rng = np.random.default_rng(8)
    amount = rng.gamma(2.0, 900.0, ROWS)
    broker = np.array(["a", "b", "c"])[rng.integers(0, 3, ROWS)]
    table = pa.table(
        {
            "case": pa.array([f"c{place}" for place in range(ROWS)]),
            "amount": pa.array(amount, mask=rng.random(ROWS) < 0.1),
            "count": pa.array(rng.integers(0, 9, ROWS)),
            "broker": pa.array(broker, mask=rng.random(ROWS) < 0.1),
            "new": pa.array(rng.random(ROWS) < 0.5),
            "cost": pa.array(amount * 2 + rng.normal(size=ROWS)),
            "result": pa.array(np.where(amount + 300 * (broker == "a") > 1_800, "bad", "good")),
        }
    )
    pq.write_table(table, folder / "table.parquet")
    return ingested(folder, PROJECT)


@pytest.fixture(scope="module")
def folders(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of models that MLflow logged, with MLflow's own answers."""
    into = tmp_path_factory.mktemp("mlflow")
    script = Path(__file__).with_name("mlflow_folders.py")
    table = Path(project.folder) / "table.parquet"
    ran = subprocess.run([sys.executable, script, table, into], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return into


@pytest.fixture(scope="module")
def adopt(project: Project, folders: Path) -> Callable[[str], Adopted]:
    """Return what packages a folder into the project, once each."""
    done: dict[str, Adopted] = {}

    def adopted(name: str) -> Adopted:
        if name not in done:
            done[name] = adopt_mlflow(
                folders / name, project=project, workspace=Workspace(Path(project.folder) / ".trueup")
            )
        return done[name]

    return adopted


@pytest.fixture
def alone(tmp_path: Path) -> Workspace:
    """Return the working folders of a place without a project."""
    return Workspace(tmp_path / ".trueup")


def answers_of(folders: Path, name: str) -> list[float]:
    """Return what MLflow's own loader answered for every row of the table."""
    told = json.loads((folders / "answers.json").read_text())[name]
    return [float.fromhex(text) for text in told]


def bundle_scores(adopted: Adopted, project: Project, table: pa.Table) -> np.ndarray:
    """Return the scores of the bundle, opened and proved as anyone who loads it does."""
    key = public_key_path(Path(project.folder) / ".trueup" / "keys" / "bundle-signing.key")
    with open_bundle(adopted.bundle.path, trusted_keys=[key]) as bundle:
        return np.asarray(bundle.score_table(table))


def table_of(project: Project) -> pa.Table:
    """Return the project's rows."""
    return pq.read_table(Path(project.folder) / "table.parquet")


def table_for(name: str, project: Project) -> pa.Table:
    """Return the rows as the model was given them: the ONNX models were, with zeros for missing amounts."""
    table = table_of(project)
    if name.startswith("onnx"):
        amounts = table["amount"].fill_null(0.0)
        table = table.set_column(table.schema.get_field_index("amount"), "amount", amounts)
    return table


@pytest.mark.parametrize("name", FLAVOURS)
def test_the_bundle_gives_the_numbers_of_mlflows_own_loader(
    name: str, adopt: Callable[[str], Adopted], project: Project, folders: Path
) -> None:
    given = bundle_scores(adopt(name), project, table_for(name, project))

    expected = np.array(answers_of(folders, name))
    assert len(given) == ROWS
    # trees and graphs to the last bit, sums of linear models in another order
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-15 if name in LINEAR else 0)


def test_the_original_in_a_bundle_gives_the_very_bits_of_mlflows_own_loader(
    adopt: Callable[[str], Adopted], project: Project, folders: Path
) -> None:
    path = adopt("linear-pickle").bundle.path
    manifest = parse_manifest((path / "manifest.json").read_bytes())

    with ModelProcess(path, files=manifest.files, features=manifest.features, task="binary", n_classes=2) as process:
        given = process.score_table(table_of(project))

    assert given.tolist() == answers_of(folders, "linear-pickle")


@pytest.mark.parametrize("name", [name for name in FLAVOURS if not name.startswith("onnx")])
def test_a_fast_way_of_answering_ships_not_the_original(name: str, adopt: Callable[[str], Adopted]) -> None:
    manifest = parse_manifest((adopt(name).bundle.path / "manifest.json").read_bytes())

    assert manifest.predictor.kind == "compiled"


@pytest.mark.parametrize("name", ["unsigned-skops", "boosting", "onnx-map"])
def test_mlflow_opens_the_bundles_model_and_gives_the_golden_numbers(
    name: str, adopt: Callable[[str], Adopted]
) -> None:
    script = (
        "import json, sys, pandas as pd, mlflow.pyfunc\n"
        "rows = json.load(sys.stdin)\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "print(json.dumps([x.hex() for x in model.predict(pd.DataFrame(rows)).tolist()]))\n"
    )
    golden = parse_golden((adopt(name).bundle.path / "golden.jsonl").read_bytes())
    answered = [row for row in golden if row.output is not None]

    said = subprocess.run(
        [sys.executable, "-c", script, adopt(name).bundle.path / "model"],
        input=json.dumps([json.loads(row.request) for row in answered]),
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    # real rows and edge rows
    assert len(answered) > 2_000
    given = [float.fromhex(text) for text in json.loads(said)]
    # the last bit of a sum in NumPy depends on how many rows are multiplied at once
    np.testing.assert_allclose(given, [row.output[0] for row in answered if row.output], rtol=0, atol=1e-15)


def test_an_unknown_text_reaches_the_model_as_it_came(adopt: Callable[[str], Adopted], folders: Path) -> None:
    script = (
        "import sys, pandas as pd, mlflow.sklearn\n"
        "row = pd.DataFrame({'amount': [1.0], 'count': [2], 'broker': ['never seen'], 'new': [True]})\n"
        "print(mlflow.sklearn.load_model(sys.argv[1]).predict_proba(row)[0, 1].hex())\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, folders / "linear-pickle"], capture_output=True, text=True, check=True
    ).stdout.strip()

    path = adopt("linear-pickle").bundle.path
    manifest = parse_manifest((path / "manifest.json").read_bytes())
    with ModelProcess(path, files=manifest.files, features=manifest.features, task="binary", n_classes=2) as process:
        [given] = process.score_requests(['{"amount": 1.0, "broker": "never seen", "count": 2, "new": true}'])

    assert given == (float.fromhex(said),)


def test_native_formats_are_kept_without_any_pickle_of_the_library(adopt: Callable[[str], Adopted]) -> None:
    for name in ("lightgbm-text", "onnx-tensor"):
        content = (adopt(name).bundle.path / "model" / "model.pkl").read_bytes()

        assert b"sklearn" not in content
        assert b"lightgbm.sklearn" not in content


def test_lightgbms_estimator_is_the_same_model_in_whichever_form_it_was_logged(folders: Path) -> None:
    logged = [read_logged_model(folders / f"lightgbm-{form}") for form in ("cloudpickle", "skops")]

    by_pickle, by_skops = (
        examine(one.file.read_bytes(), one.form, names=None, classes=None, code={}) for one in logged
    )

    assert by_pickle == by_skops
    assert b"lightgbm.sklearn" not in by_skops.content


def test_the_pickle_of_a_scikit_learn_model_is_shipped_as_it_was_logged(
    adopt: Callable[[str], Adopted], folders: Path
) -> None:
    content = (adopt("linear-pickle").bundle.path / "model" / "model.pkl").read_bytes()

    assert content == (folders / "linear-pickle" / "model.pkl").read_bytes()


def test_what_the_requirements_ask_for_and_is_not_here_is_said(adopt: Callable[[str], Adopted]) -> None:
    [difference] = adopt("linear-pickle").requirements

    assert difference.startswith("scikit-learn==1.2.3 was asked for, and ")


def test_golden_rows_are_two_thousand_of_the_projects_table(adopt: Callable[[str], Adopted]) -> None:
    assert adopt("linear-pickle").real_rows == 2_000
    assert adopt("linear-pickle").notes == ()


def test_packaging_the_bundle_again_knows_which_library_its_format_needs(
    adopt: Callable[[str], Adopted], project: Project
) -> None:
    key = public_key_path(Path(project.folder) / ".trueup" / "keys" / "bundle-signing.key")

    assert contents_of(adopt("lightgbm-text").bundle.path, trusted_keys=[key]).needs == ("lightgbm",)


def test_without_a_signature_the_types_come_from_the_projects_table(adopt: Callable[[str], Adopted]) -> None:
    signed = [(f.name, f.kind, f.dtype) for f in adopt("linear-pickle").features]

    assert [(f.name, f.kind, f.dtype) for f in adopt("unsigned-skops").features] == signed


def test_an_adopted_bundle_is_proved_at_the_cutoff_that_the_charter_gives(adopt: Callable[[str], Adopted]) -> None:
    path = adopt("linear-pickle").bundle.path
    manifest = parse_manifest((path / "manifest.json").read_bytes())
    [certificate] = (path / "evidence").glob("parity-*")

    # a case is worth a look where 10 p - 3 (1 - p) > 0
    assert manifest.predictor.cutoff == pytest.approx(3 / 13, abs=0.02)
    assert manifest.policy["payoff"]["true_positive"] == "10"
    assert json.loads(certificate.read_text())["decisions_differ"] == 0


def test_an_adopted_bundle_has_the_profiles_of_the_projects_past(
    adopt: Callable[[str], Adopted], project: Project
) -> None:
    reference = adopt("linear-pickle").bundle.path / "reference"
    features, [scores] = (json.loads((reference / f"{name}.json").read_text()) for name in ("features", "scores"))
    amounts = table_of(project)["amount"]

    assert json.loads((reference / "rows.json").read_text()) == ROWS
    assert set(features) == {"amount", "count", "broker", "new"}
    assert features["amount"]["missing"] == amounts.null_count
    assert scores["missing"] == 0


def test_a_model_of_numbers_on_an_array_becomes_a_bundle_of_the_project(
    project: Project, folders: Path, tmp_path: Path
) -> None:
    shutil.copy(Path(project.folder) / "table.parquet", tmp_path)
    costs = ingested(tmp_path, NUMBERS)

    adopted = adopt_mlflow(folders / "array", project=costs, workspace=Workspace(tmp_path / ".trueup"))

    # without names, in the order of the project's features
    assert [f.name for f in adopted.features] == ["amount", "count"]
    assert adopted.task == "regression"
    assert parse_manifest((adopted.bundle.path / "manifest.json").read_bytes()).predictor.cutoff is None
    given = bundle_scores(adopted, costs, table_for("onnx", costs))
    np.testing.assert_allclose(given, answers_of(folders, "array"), rtol=1e-12)
    # the model refuses rows without an amount
    [scores] = json.loads((adopted.bundle.path / "reference" / "scores.json").read_text())
    assert scores["missing"] == table_of(project)["amount"].null_count > 0


def test_a_model_of_three_classes_brings_the_module_of_its_own_step(
    folders: Path, alone: Workspace, project: Project
) -> None:
    adopted = adopt_mlflow(folders / "with-code", project=None, workspace=alone)

    assert (adopted.task, adopted.classes) == ("multiclass", ("0", "1", "2"))
    assert adopted.real_rows == 30
    assert adopted.notes == (
        "proved on 30 rows of the input example and the edge rows; name a project for 2,000 real ones",
    )
    assert last_bundle(alone) == adopted.bundle.path
    with pytest.raises(OfNoProject, match="made of an MLflow model without a project"):
        package_again(project, alone, adopted.bundle.path, progress=lambda done, total, what: None)
    manifest = parse_manifest((adopted.bundle.path / "manifest.json").read_bytes())
    assert (manifest.predictor.cutoff, manifest.policy) == (None, {})
    key = public_key_path(alone.keys / "bundle-signing.key")
    with open_bundle(adopted.bundle.path, trusted_keys=[key]) as bundle:
        given = bundle.score_table(table_for("onnx", project))
    np.testing.assert_allclose(given.ravel(), answers_of(folders, "with-code"), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "message"), [("unsigned-skops", "has no signature"), ("lightgbm-skops", "no rows to prove")]
)
def test_a_model_that_says_too_little_is_refused_with_what_to_do(
    name: str, message: str, folders: Path, alone: Workspace
) -> None:
    with pytest.raises(CannotAdopt, match=f"{message}.*log (it|the model) again with"):
        adopt_mlflow(folders / name, project=None, workspace=alone)


def test_a_model_of_another_task_is_refused(folders: Path, project: Project) -> None:
    with pytest.raises(CannotAdopt, match="answers a regression task, and the project's is binary"):
        adopt_mlflow(folders / "array", project=project, workspace=Workspace(Path(project.folder) / ".trueup"))


def changed(folder: Path, into: Path, **pickled: Any) -> Path:
    """Return a copy of an MLflow folder whose pickle holds something else."""
    shutil.copytree(folder, into)
    (into / "model.pkl").write_bytes(pickle.dumps(pickled["model"]))
    return into


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch ran",)


def test_a_pickle_that_would_run_a_program_is_refused_and_nothing_runs(
    folders: Path, alone: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(PickleRefused, match=r"(posix|os)\.system"):
        adopt_mlflow(changed(folders / "linear-pickle", tmp_path / "bad", model=_Runs()), project=None, workspace=alone)
    assert not list(tmp_path.rglob("ran"))
    assert not list(alone.bundles.glob("*"))


def test_a_classifier_without_probabilities_is_refused(folders: Path, alone: Workspace, tmp_path: Path) -> None:
    from sklearn.svm import LinearSVC

    model = LinearSVC().fit([[0.0], [1.0]], [0, 1])

    with pytest.raises(MlflowUnsupported, match=r"has no predict_proba.*CalibratedClassifierCV"):
        adopt_mlflow(changed(folders / "linear-pickle", tmp_path / "svc", model=model), project=None, workspace=alone)


def test_classes_that_are_not_the_projects_are_refused(folders: Path, project: Project, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit([[0.0], [1.0]], ["left", "right"])

    with pytest.raises(MlflowUnsupported, match="tells apart left, right, and the project good, bad"):
        adopt_mlflow(
            changed(folders / "linear-pickle", tmp_path / "other", model=model),
            project=project,
            workspace=Workspace(Path(project.folder) / ".trueup"),
        )
