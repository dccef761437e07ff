"""What is served while servers are compared? One project of 200 trees over 30 numbers and 5 categories, and its rows.

The same trees stand in a signed bundle for ours and in a pickle for peers: fitted on a data frame for those that build
one of each request, and on numbers with coded categories for those that take arrays, which is faster for them. LightGBM
of the same size is there too, in its own format, for the peer that serves it natively.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.predicting import (
    CODED,
    FEATURES,
    NUMBERS,
    SUBJECTS,
    TRAINING_ROWS,
    TREES,
    framed,
    made_rows,
    outcomes,
    request,
)
from trueup.align.decision_policy import policy_document
from trueup.align.project_file import parse_project
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.package import BundleContents, package
from trueup.bundle.signing import ensure_signing_key, public_key_path
from trueup.lake.desired_state import BundleRole, DesiredState, TokenGrant, change_desired, token_digest
from trueup.lake.folder_store import FolderStore

Row = TypeVar("Row")
PROJECT, TOKEN = "benchmark", "a-token-of-the-benchmark"
ASKED_ROWS = 500
CHARTER = """
[project]
name = "benchmark"
title = "What serving costs"

[charter]
objective = "Act on the cases that pay"
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "sponsor@example.com"
baseline_rule = "n0 > 2"
fallback = "n0 > 1"

[[charter.reviewer]]
group = "operations"

[charter.payoff]
true_positive = "-5"
false_positive = "-5"
false_negative = "-20 * greatest(n1, 0)"
true_negative = "0"

[charter.capacity]
cases = 300
per = "day"

[[charter.kpi]]
name = "Cases found"
sql = "count(*) FILTER (acted AND outcome) / count(*) FILTER (outcome)"
target = ">= 0.5"

[[charter.guard]]
name = "False alarms per case found"
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
label = "outcome"
"""
PACE = {
    "format": 1,
    "cases_per_hour": [250.0] * 168,
    "offset": 0,
    "gains": [float(gain) for gain in np.linspace(40.0, 0.02, 1_000)],
    "of": 2_000,
}


@dataclass(frozen=True)
class ServedModel:
    """Where everything that servers and callers need is."""

    folder: Path
    digest: str
    trusted: Path

    @property
    def bundle(self) -> Path:
        """Return the folder of the bundle."""
        return self.folder / "bundles" / self.digest

    def lake(self, durability: str) -> Path:
        """Return the lake whose servers keep predictions in this way."""
        return self.folder / f"lake-{durability}"


def make_model(folder: Path) -> ServedModel:
    """Fit, package and publish; returns once all files are there."""
    matrix = made_rows(TRAINING_ROWS)
    label, frame = outcomes(matrix), framed(matrix, FEATURES)
    model = SUBJECTS["hist_boosting"].make().fit(frame, label)
    _pickle(model, folder / "of_frames.pickle")
    _pickle(_coded_boosting().fit(matrix, label), folder / "of_numbers.pickle")
    _lightgbm(matrix, label).save_model(folder / "lightgbm.txt")
    key = ensure_signing_key(folder / "signing.pem")
    served = ServedModel(folder, _package(frame, key, folder), public_key_path(key))
    for durability in ("process", "disk"):
        _publish(served, durability)
    return served


def _pickle(model: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(model))


def _coded_boosting() -> Any:
    """Return the same trees for arrays, in which a category is a number."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    categories = list(range(NUMBERS, len(CODED)))
    return HistGradientBoostingClassifier(
        max_iter=TREES, early_stopping=False, random_state=0, categorical_features=categories
    )


def _lightgbm(matrix: NDArray[np.float64], label: NDArray[np.int64]) -> Any:
    import lightgbm

    data = lightgbm.Dataset(matrix, label, categorical_feature=list(range(NUMBERS, len(CODED))))
    return lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, num_boost_round=TREES)


def _package(frame: Any, key: Path, folder: Path) -> str:
    import pyarrow as pa

    contents = BundleContents(
        project=PROJECT,
        task="binary",
        model_version="1",
        charter_version=1,
        charter_digest="c" * 64,
        table_version="1",
        features=FEATURES,
        model_path=folder / "of_frames.pickle",
        golden_requests=make_golden_requests(pa.Table.from_pandas(frame), FEATURES),
        classes=("no", "yes"),
        policy=policy_document(parse_project(CHARTER, folder=folder)),
        cutoff=0.4,
    )
    return package(contents, into=folder / "bundles", signing_key=key).digest


def _publish(served: ServedModel, durability: str) -> None:
    lake = served.lake(durability)
    lake.mkdir()
    (lake / "bundles").symlink_to(served.folder / "bundles")
    state = DesiredState(
        project=PROJECT,
        version=1,
        bundles=(BundleRole(served.digest, "champion"),),
        pace=PACE,
        durability="disk" if durability == "disk" else "process",
        tokens=(TokenGrant("benchmark", token_digest(TOKEN), ("predict", "facts", "metrics")),),
    )
    change_desired(FolderStore(lake), PROJECT, lambda _: state)


# --- what is asked


def rows_by_name() -> list[str]:
    """Return the JSON objects of many different rows, as callers send them: features, case and time."""
    matrix = made_rows(TRAINING_ROWS + ASKED_ROWS)[TRAINING_ROWS:]
    rows = [json.loads(request(row, FEATURES)) for row in matrix]
    dated = [{**row, "case": f"A-{place}", "happened": "2026-05-01T10:00:00Z"} for place, row in enumerate(rows)]
    return [json.dumps(row) for row in dated]


def bodies_by_name(rows_each: int) -> list[str]:
    """Return bodies of rows by name, each with other rows."""
    rows = rows_by_name()
    return [f'{{"rows": [{", ".join(chosen)}]}}' for chosen in _turns(rows, rows_each)]


def bodies_of_arrays(rows_each: int, form: Callable[[list[list[float | None]]], str]) -> list[str]:
    """Return bodies of arrays of numbers, each with other rows; `form` writes one."""
    matrix = made_rows(TRAINING_ROWS + ASKED_ROWS)[TRAINING_ROWS:]
    rows = [[None if number != number else number for number in row] for row in matrix.tolist()]  # noqa: PLR0124 - NaN
    return [form(chosen) for chosen in _turns(rows, rows_each)]


def tensor_form(rows: list[list[float | None]], *, output: str | None = None) -> str:
    """Return rows as one tensor of the Open Inference Protocol; a missing number is null."""
    data = [number for row in rows for number in row]
    document: dict[str, Any] = {
        "inputs": [{"name": "rows", "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": data}]
    }
    if output:
        document["outputs"] = [{"name": output}]
    return json.dumps(document)


probabilities_form = partial(tensor_form, output="predict_proba")


def matrix_form(rows: list[list[float | None]]) -> str:
    """Return rows as a list of lists of numbers."""
    return json.dumps({"rows": rows})


def _turns(rows: Sequence[Row], rows_each: int) -> list[list[Row]]:
    """Return many different choices of rows, of which each begins one row later."""
    bodies = len(rows) if rows_each == 1 else 50
    doubled = [*rows, *rows]
    step = len(rows) // bodies
    return [list(doubled[place * step : place * step + rows_each]) for place in range(bodies)]
