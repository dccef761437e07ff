"""What does it cost to play a year of cases, beyond fitting and predicting?

A made-up shop decides 120 orders a day. Its model is a logistic regression that runs, as any, in the separate process,
so that the CPU seconds of the playing process are Trueup's own: serving, capacity, guards, triggers, judging, sums.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.measuring import Cost, Figure, apart, cost_of
from trueup.align.charter import Project
from trueup.align.project_file import parse_project
from trueup.build.runner import ModelRunner
from trueup.data.history import History
from trueup.kernel.periods import local_moment
from trueup.loop.play import Player
from trueup.loop.prepare import Workspace, history_of, open_tables, pipeline_recipe, stage_of, table_name
from trueup.loop.stage import open_bench
from trueup.loop.strategies import plan_strategies
from trueup.loop.summing_up import sum_up

TARGET_SECONDS = 20
SIZES = (250_000, 1_000_000, 2_000_000)
_DAYS_BEFORE, _DAYS = 60, 365
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND

PROJECT = """
[project]
name = "many-orders"
title = "A million orders"

[charter]
objective = "Stop fraud"
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "sponsor@example.com"
retraining_cost = 500

[[charter.reviewer]]
group = "fraud"

[charter.payoff]
true_positive = "-5"
false_positive = "-5"
false_negative = "-amount"
true_negative = "0"

[charter.capacity]
cases = 120
per = "day"

[[charter.kpi]]
name = "Fraud caught"
sql = "count(*) FILTER (acted AND outcome) / count(*) FILTER (outcome)"
target = ">= 0.2"

[[charter.guard]]
name = "False alarms per fraud caught"
count = "acted AND NOT outcome"
per = "acted AND outcome"
limit = "<= 50"
window = "30d"
breach = "alert"

[[charter.guard]]
name = "Large orders lost per large fraud"
count = "outcome AND NOT acted AND amount > 300"
per = "outcome AND amount > 300"
limit = "<= 0.99"
window = "30d"
breach = "alert"

[[charter.retraining]]
name = "own"
trigger = ["every 90d", "realised_value < 20% of promise over 30d", "estimated_performance < 80% of release over 30d"]
window = "180d"

[charter.envelope]
min_value_gain = 0.0
max_loss = 0.5

[data]
source = "orders.parquet"
case_id = "order_id"
time = "ordered"
label = "fraud"
label_known_at = "confirmed"
label_final_at = "ordered + INTERVAL 14 DAY"

[train]
pipeline = "pipeline:make"
holdout = "30d"

[rehearsal]
start = "2023-03-02"
end = "2024-03-01"
"""

PIPELINE = """
from sklearn.linear_model import LogisticRegression

def make():
    return LogisticRegression(solver="newton-cholesky", max_iter=10)
"""


def figures(folder: Path) -> list[Figure]:
    """Return the cost of a year for the project's own strategy and for `never`, and how memory grows with cases."""
    costs = {}
    for size in SIZES:
        where = folder / str(size)
        apart(make_project, where, size)
        costs[size] = apart(play, where, "own")
        if size == SIZES[1]:
            never = apart(play, where, "never")
    year = costs[SIZES[1]]
    memory = ", ".join(f"{size:,}: {costs[size].memory_mb:.0f} MB" for size in SIZES)
    last, first, step = costs[SIZES[-1]], costs[SIZES[0]], (SIZES[-1] - SIZES[0]) / 1e6
    growth, private = (last.memory_mb - first.memory_mb) / step, (last.private_mb - first.private_mb) / step
    sizes = ", ".join(f"{size:,}: {costs[size].private_mb:.0f} MB" for size in SIZES)
    model = f"fitting and predicting, in the other process: {year.child_cpu_seconds:.1f} s"
    return [
        Figure("rehearsal.1M", year.cpu_seconds, "CPU s", "target", TARGET_SECONDS, f"retrains as agreed; {model}"),
        Figure("rehearsal.1M.never", never.cpu_seconds, "CPU s", "target", TARGET_SECONDS, "never retrains"),
        Figure("rehearsal.1M.memory", year.memory_mb, "MB", note=f"above an idle process; {memory}"),
        Figure("rehearsal.memory_growth", growth, "MB per million cases", note="mapped files included"),
        Figure("rehearsal.private_growth", private, "MB per million cases", note=f"memory no file holds; {sizes}"),
    ]


def make_project(folder: Path, cases: int) -> None:
    """Write a project whose rehearsed year has about `cases` cases, its table and its history."""
    folder.mkdir(parents=True)
    (folder / "pipeline.py").write_text(PIPELINE)
    project, workspace = _opened(folder)
    table = orders(cases * (_DAYS_BEFORE + _DAYS) // _DAYS)
    open_tables(workspace).write(table_name(project), table.to_reader(100_000))
    history_of(project, workspace)


def orders(rows: int, *, seed: int = 5) -> pa.Table:
    """Return orders of which one in a hundred is a fraud, told of within two weeks."""
    rng = np.random.default_rng(seed)
    start = local_moment(2023, 1, 1, timezone="Europe/Berlin")
    ordered = start + np.sort(rng.integers(0, (_DAYS_BEFORE + _DAYS) * _DAY, rows)) // _SECOND * _SECOND
    a, b, c = rng.normal(size=(3, rows))
    fraud = rng.random(rows) < 1 / (1 + np.exp(6.5 - 1.8 * a - 0.5 * b))
    confirmed = ordered + rng.integers(1, 14, rows) * _DAY
    return pa.table(
        {
            "order_id": np.arange(rows),
            "ordered": pa.array(ordered, pa.timestamp("us")),
            "a": a,
            "b": b,
            "c": c,
            "amount": np.round(rng.exponential(200, rows), 2),
            "fraud": fraud,
            "confirmed": pa.array(np.where(fraud, confirmed, 0), pa.timestamp("us"), mask=~fraud),
        }
    )


def play(folder: Path, strategy: str) -> Cost:
    """Return what playing one strategy costs, from opening the history to its sums."""
    project, workspace = _opened(folder)
    history = history_of(project, workspace)
    with ModelRunner(folder, workspace.scratch / "models", threads=1) as runner:
        recipe = pipeline_recipe(project, history, runner)
    stage = stage_of(project, workspace, history, recipe)
    plan = next(p for p in plan_strategies(project) if p.name == strategy)

    def year() -> History:
        with open_bench(stage) as bench:
            sum_up(bench, Player(bench, plan).play())
        return bench.history  # so that its mapped files are still there to be counted

    return cost_of(year)[0]


def _opened(folder: Path) -> tuple[Project, Workspace]:
    return parse_project(PROJECT, folder=str(folder)), Workspace(folder / ".trueup")
