"""Numbers and several classes are rehearsed like yes-or-no decisions: the prediction itself is what pays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trueup.align.charter import Project
from trueup.align.project_file import parse_project
from trueup.kernel.durations import MICROSECONDS_PER_DAY as DAY
from trueup.kernel.periods import local_moment
from trueup.lake.rehearsals import Rehearsal
from trueup.loop.prepare import Workspace, open_tables, table_name
from trueup.loop.rehearse import rehearse
from trueup.loop.train import train

DAYS, PER_DAY = 300, 20
HEAD = """
[project]
name = "{name}"
title = "Small"
task = "{task}"
[charter]
objective = "x"
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "s@example.com"
retraining_cost = 1
[[charter.reviewer]]
group = "team"
[charter.payoff]
per_case = "{payoff}"
[data]
source = "x"
case_id = "case"
time = "happened"
label = "{label}"
label_final_at = "happened + INTERVAL 2 DAY"
exclude = {exclude}
[train]
holdout = "30d"
trials = 1
[rehearsal]
start = "2016-05-01"
"""


def world() -> pa.Table:
    """Parcels: demand depends on `x`, jumps by 30 in the second half; the lane follows the sign of `x` and `y`."""
    rng = np.random.default_rng(5)
    rows = DAYS * PER_DAY
    start = local_moment(2016, 1, 1, timezone="Europe/Berlin")
    happened = start + np.sort(rng.integers(0, DAYS * DAY, rows)) // 1_000_000 * 1_000_000
    x, y = rng.normal(size=(2, rows))
    jump = np.where(happened - start > DAYS * DAY * 6 // 10, 30.0, 0.0)
    lane = np.where(x > 0.5, "air", np.where(y > 0, "road", "sea"))
    return pa.table(
        {
            "case": np.arange(rows),
            "happened": pa.array(happened, pa.timestamp("us")),
            "x": x,
            "y": y,
            "demand": np.round(100 + 20 * x + jump + rng.normal(size=rows), 2),
            "lane": lane,
        }
    )


def made(folder: Path, *, task: str, payoff: str, label: str, exclude: str) -> tuple[Project, Workspace]:
    text = HEAD.format(name=f"small-{task}", task=task, payoff=payoff, label=label, exclude=exclude)
    project, workspace = parse_project(text, folder=str(folder)), Workspace(folder / ".trueup")
    open_tables(workspace).write(table_name(project), world().to_reader())
    return project, workspace


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    folder = tmp_path_factory.mktemp("numbers")
    payoff = "-3 * greatest(outcome - prediction, 0) - greatest(prediction - outcome, 0)"
    return rehearse(*made(folder, task="regression", payoff=payoff, label="demand", exclude='["lane"]'))


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Workspace]:
    folder = tmp_path_factory.mktemp("classes")
    # a parcel sent by air that need not be costs 8, any other mistake 1
    payoff = "CASE WHEN prediction = outcome THEN 0 WHEN prediction = 'air' THEN -8 ELSE -1 END"
    return made(folder, task="multiclass", payoff=payoff, label="lane", exclude='["demand"]')


def test_a_forecast_is_valued_against_the_mean_so_far_and_has_no_cases_to_act_on(numbers: Rehearsal) -> None:
    for strategy in numbers.strategies:
        assert strategy.cases_acted is None
        assert strategy.max_cases_in_period is None
        assert all(w.mae is not None and w.auc is None for w in strategy.windows if w.label_maturity > 0)
    never = next(s for s in numbers.strategies if s.name == "never")
    before, after = never.windows[0], never.windows[-2]
    assert (before.mae or 0) < 8
    assert (after.mae or 0) > 20


def test_a_forecast_that_must_not_fall_short_asks_for_a_high_quantile(numbers: Rehearsal) -> None:
    never = next(s for s in numbers.strategies if s.name == "never")
    [first, *_] = never.windows
    assert first.mean_score is not None
    assert first.outcome_rate is not None
    # under costs 3 times over: the 75 % quantile lies above the mean
    assert first.mean_score > first.outcome_rate + 0.2


def test_retraining_a_forecast_pays_after_the_jump(numbers: Rehearsal) -> None:
    assert numbers.recommended != "never"
    assert {"last value", "linear model", "the same for every case"} <= {c["name"] for c in numbers.candidates}


def test_several_classes_are_decided_by_their_payoff(classes: tuple[Project, Workspace]) -> None:
    rehearsal = rehearse(*classes)
    never = next(s for s in rehearsal.strategies if s.name == "never")
    assert all((w.accuracy or 0) > 0.9 for w in never.windows)
    assert never.value_interval[0] > 0
    assert never.cases_acted is None


def test_a_model_of_several_classes_becomes_a_bundle(classes: tuple[Project, Workspace]) -> None:
    trained = train(*classes)
    assert (trained.bundle.path / "manifest.json").exists()
    assert trained.bundle.path.name == trained.bundle.digest
