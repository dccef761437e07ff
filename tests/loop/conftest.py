"""A small project whose past is played in a second: two columns, a delay, and a drift in the middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.loop.predicting import NOW, Made, Packaged, packaged

from trueup.align.charter import Project
from trueup.align.project_file import parse_project
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import local_moment
from trueup.lake.folder_store import FolderStore
from trueup.loop.predict_logging import LogTarget
from trueup.loop.prepare import Workspace, open_tables, table_name
from trueup.serve.spooling import Spool

collect_ignore = ["mlflow_folders.py"]
"""A program that `test_adopt` runs apart; importing MLflow warns."""

DAY = MICROSECONDS_PER_DAY
DAYS = 300
PER_DAY = 20

PROJECT = """
[project]
name = "small-fraud"
title = "Small fraud"

[charter]
objective = "Stop fraud"
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "sponsor@example.com"
retraining_cost = 10

[[charter.reviewer]]
group = "fraud"

[charter.payoff]
true_positive = "-5"
false_positive = "-5"
false_negative = "-amount"
true_negative = "0"

[charter.capacity]
cases = 3
per = "day"

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
name = "own"
trigger = ["every 30d", "new_final_outcomes >= 4000"]

[charter.envelope]
min_value_gain = 0.0
max_loss = 0.5

[data]
source = "cases.parquet"
case_id = "case"
time = "happened"
label = "fraud"
label_known_at = "confirmed"
label_final_at = "happened + INTERVAL 14 DAY"
exclude = ["closed_as"]

[train]
pipeline = "pipeline:make"
holdout = "30d"

[rehearsal]
start = "2016-04-01"
window = "month"
"""

PIPELINE = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

def make():
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, solver="newton-cholesky"))
"""


def past(*, drift: bool = True, seed: int = 3) -> pa.Table:
    """Return the cases: fraud follows `a` in the first half and, with drift, `b` in the second."""
    rng = np.random.default_rng(seed)
    rows = DAYS * PER_DAY
    start = local_moment(2016, 1, 1, timezone="Europe/Berlin") + DAY // 24  # stored as local time below
    happened = start + np.sort(rng.integers(0, DAYS * DAY, rows)) // 1_000_000 * 1_000_000
    a, b = rng.normal(size=(2, rows))
    late = (happened - start) > DAYS * DAY // 2
    signal = np.where(late & drift, b, a)
    fraud = rng.random(rows) < 1 / (1 + np.exp(4.0 - 2.2 * signal))
    delay = rng.integers(1, 14, rows) * DAY
    confirmed = np.where(fraud, happened + delay, 0)
    return pa.table(
        {
            "case": np.arange(rows),
            "happened": pa.array(happened, pa.timestamp("us")),
            "a": a,
            "b": b,
            "amount": np.round(rng.exponential(200, rows), 2),
            "fraud": fraud,
            "confirmed": pa.array(confirmed, pa.timestamp("us"), mask=~fraud),
            "closed_as": np.where(fraud, "loss", "paid"),
        }
    )


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Project, Workspace]]:
    """Return a function that makes an ingested project; projects of one kind share a workspace."""
    made: dict[tuple[bool, int], tuple[Project, Workspace]] = {}

    def make(*, drift: bool = True, seed: int = 3, **charter: object) -> tuple[Project, Workspace]:
        if (drift, seed) not in made:
            folder = tmp_path_factory.mktemp("small")
            (folder / "pipeline.py").write_text(PIPELINE)
            workspace = Workspace(folder / ".trueup")
            project = parse_project(PROJECT, folder=str(folder))
            table = past(drift=drift, seed=seed)
            open_tables(workspace).write(table_name(project), table.to_reader())
            made[drift, seed] = (project, workspace)
        project, workspace = made[drift, seed]
        changed = replace(project.charter, **charter)  # type: ignore[arg-type]  # the charter's own fields
        return replace(project, charter=changed), workspace

    return make


@pytest.fixture
def project_folder(small_project: Callable[..., tuple[Project, Workspace]]) -> Path:
    """Return the folder of the drifting project."""
    return Path(small_project()[0].folder)


@pytest.fixture(scope="session")
def fraud(small_project: Made) -> Packaged:
    """Return the small project with a bundle."""
    return packaged(*small_project())


@pytest.fixture
def grouped_rows(fraud: Packaged, tmp_path: Path) -> Path:
    """2,500 cases as a file with five groups of rows."""
    table = pq.read_table(fraud.history.table_path).slice(0, 2_500)
    path = tmp_path / "rows.parquet"
    names = [name for name in table.column_names if not name.startswith("trueup$")]
    pq.write_table(table.select(names), path, row_group_size=500)
    return path


@pytest.fixture
def target(tmp_path: Path) -> LogTarget:
    """Return a lake and a spool; every look at the clock is a second later, at the ticks a millisecond."""
    moments, ticks = count(NOW, 1_000_000), count(0, 1_000_000)
    return LogTarget(
        FolderStore(tmp_path / "lake"), Spool(tmp_path / "spool"), lambda: next(moments), lambda: next(ticks)
    )
