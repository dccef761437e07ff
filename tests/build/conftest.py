"""Small tables whose law is known, and separate processes that tests share, for tests of training."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from trueup.build.recipe import Feature, TrainingRows
from trueup.build.runner import ModelRunner

FEATURES = (
    Feature("amount", "number"),
    Feature("channel", "category"),
    Feature("new", "boolean"),
    Feature("day", "date"),
    Feature("remark", "text"),
)
PIPELINE = """
import numpy as np
from helpers import HALF
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC


def make():
    print("what the project prints")
    return make_pipeline(SimpleImputer(), LogisticRegression())


def named(seed, features):
    assert seed == 7 and features[0].name == "amount"
    return make()


def check(X):
    raise KeyError("Miller, 4711")


def raising():
    return make_pipeline(FunctionTransformer(check), LogisticRegression())


def near():
    return make_pipeline(SimpleImputer(), KNeighborsClassifier())


def no_probabilities():
    return make_pipeline(SimpleImputer(), LinearSVC(random_state=0))


def number():
    return 1


class Coin:
    classes_ = np.array([0, 1])

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.full(len(X), np.nan)

    def predict_proba(self, X):
        return np.full((len(X), 2), HALF)
"""
CHECK_LINE = 1 + PIPELINE[: PIPELINE.index("raise KeyError")].count("\n")


def write_cases(path: Path, rows: int = 600, seed: int = 3) -> NDArray[np.float64]:
    """Write cases of every kind of column and return their outcome, which follows `amount` and `channel`."""
    random = np.random.default_rng(seed)
    amount = random.normal(100, 30, rows)
    channel = random.choice(["web", "shop", "phone"], rows)
    odds = (amount - 100) / 15 + np.where(channel == "web", 1.5, -0.5)
    outcome = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    amount[::50] = np.nan
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    table = pa.table(
        {
            "amount": amount,
            "channel": pa.array([None if i % 40 == 0 else str(c) for i, c in enumerate(channel)]),
            "new": random.random(rows) < 0.5,
            "day": pa.array([start + dt.timedelta(hours=i) for i in range(rows)], pa.timestamp("us", "UTC")),
            "remark": [f"remark number {i}" for i in range(rows)],
        }
    )
    pq.write_table(table, path)
    return outcome


@pytest.fixture
def cases(tmp_path: Path) -> TrainingRows:
    """All of 600 cases, with binary outcomes."""
    outcome = write_cases(tmp_path / "table.parquet")
    return TrainingRows(tmp_path / "table.parquet", np.arange(600, dtype=np.int64), outcome)


@pytest.fixture(scope="session")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with many pipelines."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "helpers.py").write_text("HALF = 0.5\n")
    return folder


@pytest.fixture(scope="session")
def runner(shared_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelRunner]:
    """A runner that many tests share: starting one costs seconds."""
    with ModelRunner(shared_project, tmp_path_factory.mktemp("scratch")) as shared:
        yield shared


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def open_runner(project: Path, tmp_path: Path) -> Iterator[Callable[..., ModelRunner]]:
    """Open runners of `project` by the name of their scratch folder; close them after the test."""
    runners: list[ModelRunner] = []

    def start(scratch: str = "scratch") -> ModelRunner:
        runners.append(ModelRunner(project, tmp_path / scratch))
        return runners[-1]

    yield start
    for opened in runners:
        opened.close()


@pytest.fixture
def in_order() -> Callable[[NDArray[np.float64], NDArray[np.float64]], float]:
    """Share of pairs of a positive and a negative case that the scores put in order, ties one half."""

    def share(positive: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
        above = scores[positive == 1][:, None] - scores[positive == 0][None, :]
        return float(np.mean((above > 0) + 0.5 * (above == 0)))

    return share
