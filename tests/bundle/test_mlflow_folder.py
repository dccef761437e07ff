"""MLflow itself opens a bundle's model, and gets the bundle's own numbers."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.build.calibration import Calibration, ClassMap
from trueup.build.shipping import CalibratedEstimator
from trueup.bundle.features import FeatureSpec
from trueup.bundle.frames import learn_features, prepare_frame
from trueup.bundle.golden import make_golden_requests, parse_golden
from trueup.bundle.loading import verify_bundle
from trueup.bundle.package import BundleContents, BundleRef, package

_ASK = """
import json, logging, sys
import pandas as pd
import mlflow.pyfunc
folders, requests = json.load(sys.stdin)
answers = []
models = [mlflow.pyfunc.load_model(folder) for folder in folders]
for model in models:
    given = model.predict(pd.DataFrame(requests))
    columns = list(given.columns) if isinstance(given, pd.DataFrame) else None
    rows = given.to_numpy().tolist() if columns else [[x] for x in given.tolist()]
    example = model.predict(model.input_example)
    answers.append({
        "columns": columns, "rows": [[x.hex() for x in row] for row in rows], "example": len(example),
        "inputs": model.metadata.get_input_schema().input_names(),
    })
json.dump(answers, sys.stdout)
"""
KINDS = (
    FeatureSpec("amount", "number"),
    FeatureSpec("count", "number"),
    FeatureSpec("broker", "category"),
    FeatureSpec("new", "boolean"),
    FeatureSpec("since", "date"),
)


def ask_mlflow(*folders: Path, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what `mlflow.pyfunc.load_model(folder).predict` says in a fresh process."""
    ran = subprocess.run(
        [sys.executable, "-c", _ASK],
        input=json.dumps([[str(folder) for folder in folders], requests]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    # what a model prints comes before
    answers: list[dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return answers


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Return rows with missing values in every column that can have them."""
    rng = np.random.default_rng(5)
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=int(day)) for day in rng.integers(0, 700, 400)]
    return pa.table(
        {
            "amount": pa.array(rng.gamma(2.0, 900.0, 400), mask=rng.random(400) < 0.1),
            "count": pa.array(rng.integers(0, 9, 400)),
            "broker": pa.array(rng.choice(["a", "b", "c"], 400), mask=rng.random(400) < 0.1),
            "new": pa.array(rng.random(400) < 0.5, mask=rng.random(400) < 0.1),
            "since": pa.array(days, mask=rng.random(400) < 0.1),
        }
    )


def _pipeline(final: Any) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (numbers, ["amount", "count", "new", "since"]), (OneHotEncoder(handle_unknown="ignore"), ["broker"])
    )
    return make_pipeline(columns, final)


def _estimators() -> dict[str, tuple[str, Any]]:
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression

    boosting = HistGradientBoostingClassifier(max_iter=20, categorical_features="from_dtype")
    return {
        "pipeline": ("binary", _pipeline(LogisticRegression())),
        "calibrated": ("binary", boosting),
        "lightgbm": ("binary", LGBMClassifier(n_estimators=20, verbose=-1)),
        "classes": ("multiclass", LGBMClassifier(n_estimators=10, verbose=-1)),
        "number": ("regression", HistGradientBoostingRegressor(max_iter=20, categorical_features="from_dtype")),
    }


def _bundle(name: str, table: pa.Table, folder: Path, signing_key: Path) -> BundleRef:
    task, estimator = _estimators()[name]
    features = tuple(learn_features(table, KINDS))
    amount = table["amount"].to_numpy()
    outcome = {
        "binary": (np.nan_to_num(amount) > 1_500).astype(np.int64),
        "multiclass": (np.nan_to_num(amount) // 1_000).clip(0, 2).astype(np.int64),
        "regression": np.nan_to_num(amount) / 7,
    }[task]
    fitted = estimator.fit(prepare_frame(table, features), outcome)
    if name == "calibrated":
        fitted = CalibratedEstimator(fitted, Calibration((ClassMap(0.7, -0.2),)), 2)
    (folder / "model.pickle").write_bytes(pickle.dumps(fitted))
    contents = BundleContents(
        project="p",
        task=task,
        model_version="1",
        charter_version=1,
        charter_digest="c" * 64,
        table_version="1",
        features=features,
        model_path=folder / "model.pickle",
        golden_requests=make_golden_requests(table, features),
        classes={"binary": ("no", "yes"), "multiclass": ("low", "mid", "high"), "regression": ()}[task],
    )
    return package(contents, into=folder / "bundles", signing_key=signing_key)


@pytest.mark.parametrize("name", ["pipeline", "calibrated", "lightgbm", "classes", "number"])
def test_mlflow_gives_the_bundles_golden_numbers_to_the_last_bit(
    name: str, table: pa.Table, signing_key: Path, trusted: list[Path], tmp_path: Path
) -> None:
    bundle = _bundle(name, table, tmp_path, signing_key)
    golden = [row for row in parse_golden((bundle.path / "golden.jsonl").read_bytes()) if row.output is not None]

    [given] = ask_mlflow(bundle.path / "model", requests=[json.loads(row.request) for row in golden])

    assert len(golden) > 400
    assert given["rows"] == [[x.hex() for x in row.output or ()] for row in golden]
    assert given["columns"] == (["low", "mid", "high"] if name == "classes" else None)
    assert given["inputs"] == ["amount", "count", "broker", "new", "since"]
    assert given["example"] == 5
    # MLflow leaves nothing behind: the bundle is still what was signed
    assert verify_bundle(bundle.path, trusted_keys=trusted).digest == bundle.digest


def test_a_frame_read_from_the_table_gives_the_same_numbers_and_so_does_a_copy_of_the_folder(
    table: pa.Table, signing_key: Path, tmp_path: Path
) -> None:
    bundle = _bundle("pipeline", table, tmp_path, signing_key)
    copied = shutil.copytree(bundle.path / "model", tmp_path / "elsewhere")
    script = (
        "import sys, mlflow.pyfunc, pyarrow.parquet as pq\n"
        "frame = pq.read_table(sys.argv[2]).to_pandas()\n"
        "print(*(x.hex() for x in mlflow.pyfunc.load_model(sys.argv[1]).predict(frame).tolist()))\n"
    )
    pq.write_table(table, tmp_path / "table.parquet")

    said = subprocess.run(
        [sys.executable, "-c", script, copied, tmp_path / "table.parquet"], capture_output=True, text=True, check=True
    ).stdout.split()

    golden = parse_golden((bundle.path / "golden.jsonl").read_bytes())[:400]
    assert said == [row.output[0].hex() for row in golden if row.output]


def test_two_bundles_with_modules_of_the_same_name_keep_their_own_code_in_one_process(
    bundle: BundleRef, contents: BundleContents, signing_key: Path, tmp_path: Path
) -> None:
    code = {**contents.code, "parts/known.py": b"SCORE = 0.125\n"}
    other = package(replace(contents, code=code), into=tmp_path, signing_key=signing_key)

    # 0.25 or 0.125 for the known broker, plus half the amount
    first, second, again = ask_mlflow(
        bundle.path / "model", other.path / "model", bundle.path / "model", requests=[{"amount": 0.5, "broker": "a"}]
    )

    assert [answer["rows"] for answer in (first, second, again)] == [
        [[(0.5).hex()]],
        [[(0.375).hex()]],
        [[(0.5).hex()]],
    ]


def test_the_flavour_of_scikit_learn_loads_the_estimator_itself(
    table: pa.Table, signing_key: Path, tmp_path: Path
) -> None:
    bundle = _bundle("pipeline", table, tmp_path, signing_key)
    script = "import sys, mlflow.sklearn\nprint(type(mlflow.sklearn.load_model(sys.argv[1])).__name__)\n"

    said = subprocess.run(
        [sys.executable, "-c", script, bundle.path / "model"], capture_output=True, text=True, check=True
    ).stdout

    assert said == "Pipeline\n"


def test_a_frame_without_a_column_is_refused_by_its_name(bundle: BundleRef) -> None:
    script = (
        "import sys, mlflow.pyfunc, pandas as pd\n"
        "mlflow.pyfunc.load_model(sys.argv[1]).predict(pd.DataFrame({'amount': [1.0]}))\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script, bundle.path / "model"], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    assert "missing inputs ['broker']" in ran.stderr


def test_no_row_gives_no_score(bundle: BundleRef) -> None:
    from trueup.bundle.mlflow_loader import BundledModel

    given = BundledModel(bundle.path / "model").predict(pd.DataFrame({"amount": [], "broker": []}))

    assert np.asarray(given).shape == (0,)
