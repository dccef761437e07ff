"""Small tables whose law is known, for tests of training."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.build.recipe import Feature, TrainingRows
from trueup.build.runner import ModelRunner

FEATURES = (
    Feature("amount", "number"),
    Feature("channel", "category"),
    Feature("new", "boolean"),
    Feature("day", "date"),
    Feature("remark", "text"),
)


def write_cases(path: Path, rows: int = 600, seed: int = 3) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
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
            "number_outcome": outcome * 10 + random.normal(0, 1, rows),
        }
    )
    pq.write_table(table, path)
    return outcome


@pytest.fixture
def cases(tmp_path: Path) -> TrainingRows:
    """All of 600 cases, with binary outcomes."""
    outcome = write_cases(tmp_path / "table.parquet")
    return TrainingRows(tmp_path / "table.parquet", np.arange(600, dtype=np.int64), outcome)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def open_runner(project: Path, tmp_path: Path) -> Iterator[Callable[[str], ModelRunner]]:
    """Open runners by the name of their scratch folder; close them after the test."""
    runners: list[ModelRunner] = []

    def start(scratch: str = "scratch") -> ModelRunner:
        runners.append(ModelRunner(project, tmp_path / scratch))
        return runners[-1]

    yield start
    for runner in runners:
        runner.close()
