from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from trueup.build.guided import GuidedData, ValueOf, choose_recipe
from trueup.build.recipe import Feature, Recipe
from trueup.build.runner import ModelRunner

ROWS = 2000
DAY = 86_400_000_000
FEATURES = (Feature("x", "number"), Feature("group", "category"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> GuidedData:
    """Cases whose outcome follows `x` and `group`, known 20 days after they happened."""
    folder = tmp_path_factory.mktemp("guided")
    random = np.random.default_rng(8)
    x, group = random.normal(size=ROWS), random.choice(["a", "b"], ROWS)
    outcome = (random.random(ROWS) < 1 / (1 + np.exp(-2 * x - (group == "a")))).astype(np.float64)
    pq.write_table(pa.table({"x": x, "group": group}), folder / "table.parquet")
    np.save(folder / "baseline.npy", (x > 0).astype(np.float64))
    event_time = np.arange(ROWS, dtype=np.int64) * DAY
    return GuidedData(
        features_path=folder / "table.parquet",
        features=FEATURES,
        task="binary",
        outcome=outcome,
        event_time=event_time,
        final_at=event_time + 20 * DAY,
        rows=np.arange(ROWS - 20, dtype=np.int64),
        as_of=ROWS * DAY,
        has_rule=True,
    )


def best_hundred(data: GuidedData) -> ValueOf:
    """Return the value of acting on the 100 highest scores, 10 for each hit; the first of equal scores."""

    def value(scores: NDArray[np.float64], rows: NDArray[np.int64]) -> tuple[float, tuple[float, float]]:
        acted = np.argsort(-scores, kind="stable")[:100]
        gained = float(10 * data.outcome[rows][acted].sum())
        return gained, (gained - 1, gained + 1)

    return value


def test_the_candidate_worth_most_on_later_rows_is_chosen(data: GuidedData, runner: ModelRunner) -> None:
    result = choose_recipe(runner, data, value_of=best_hundred(data), trials=2)
    names = [candidate.name for candidate in result.candidates]
    assert names[:4] == ["the same for every case", "the old rule", "linear model", "gradient boosting"]
    assert set(names[4:]) == {"gradient boosting, tuned", "LightGBM, tuned"}
    values = [candidate.value for candidate in result.candidates if candidate.value is not None]
    chosen = [candidate for candidate in result.candidates if candidate.chosen]
    assert len(chosen) == 1
    assert chosen[0].value == max(values)
    assert chosen[0].recipe == result.recipe
    assert max(values) > values[0]


def test_the_later_rows_and_what_was_known_at_their_start_are_kept_apart(data: GuidedData, runner: ModelRunner) -> None:
    judged: list[NDArray[np.int64]] = []

    def watch(scores: NDArray[np.float64], rows: NDArray[np.int64]) -> tuple[float, tuple[float, float]]:
        judged.append(rows)
        return 0.0, (0.0, 0.0)

    result = choose_recipe(runner, replace(data, holdout=400 * DAY), value_of=watch, trials=0)
    # the last final case is on day 1979: held out are days 1580 to 1979, cut just after the case of day 1579;
    # by then those of days 0 to 1559 were final
    assert judged[0].tolist() == list(range(1580, 1980))
    assert result.train_rows == 1560
    assert result.holdout_rows == 400


def test_of_equal_values_the_simpler_candidate_is_chosen(data: GuidedData, runner: ModelRunner) -> None:
    result = choose_recipe(runner, data, value_of=lambda scores, rows: (1.0, (0.0, 2.0)), trials=0)
    assert result.recipe.kind == "constant"


def test_the_same_seed_gives_the_same_result_in_a_new_scratch(
    data: GuidedData, runner: ModelRunner, shared_project: Path, tmp_path: Path
) -> None:
    first = choose_recipe(runner, data, value_of=best_hundred(data), trials=2)
    with ModelRunner(shared_project, tmp_path / "scratch") as other:
        assert choose_recipe(other, data, value_of=best_hundred(data), trials=2) == first


def test_without_a_value_function_the_metric_judges(data: GuidedData, runner: ModelRunner) -> None:
    result = choose_recipe(runner, data, value_of=None, trials=1)
    metric = {candidate.name: candidate.metric_value for candidate in result.candidates}
    chosen = next(candidate for candidate in result.candidates if candidate.chosen)
    assert chosen.metric == "AUC"
    assert metric["the same for every case"] == 0.5
    assert chosen.metric_value == max(value for value in metric.values() if value is not None)


def test_progress_counts_up_to_its_total(data: GuidedData, runner: ModelRunner) -> None:
    told: list[tuple[int, int]] = []
    choose_recipe(runner, data, value_of=None, trials=1, progress=lambda done, total, _: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1]


def test_what_a_random_split_would_have_said_is_shown(data: GuidedData, runner: ModelRunner) -> None:
    result = choose_recipe(runner, data, value_of=None, trials=0)
    assert result.comparison is not None
    assert any(note.startswith("A random split says AUC") for note in result.notes)


def test_undated_cases_are_split_at_random_and_it_is_said(data: GuidedData, runner: ModelRunner) -> None:
    result = choose_recipe(runner, replace(data, split="random"), value_of=best_hundred(data), trials=1)
    assert result.cut is None
    assert result.comparison is None
    assert "nothing is known about how the model holds on later data" in result.notes[-1]


def test_a_regression_has_its_last_value_and_its_quantile(data: GuidedData, runner: ModelRunner) -> None:
    number = replace(data, task="regression", outcome=data.event_time / DAY, quantile=0.75, has_rule=False)
    result = choose_recipe(runner, number, value_of=None, trials=0)
    by_name = {candidate.name: candidate for candidate in result.candidates}
    # the number of the day: the last value known is closest
    assert result.recipe.kind == "last_value"
    assert dict(by_name["gradient boosting"].recipe.params) == {"quantile": 0.75}
    assert by_name["last value"].metric == "MAE"


def test_several_classes_are_judged_by_log_loss(data: GuidedData, runner: ModelRunner) -> None:
    outcome = data.outcome + (np.arange(ROWS) % 7 == 0)
    several = replace(data, task="multiclass", outcome=outcome, n_classes=3, has_rule=False)
    result = choose_recipe(runner, several, value_of=None, trials=1)
    assert {candidate.metric for candidate in result.candidates} == {"log loss"}
    assert result.recipe.kind != "constant"


def test_the_projects_own_pipeline_stands_among_the_candidates(data: GuidedData, runner: ModelRunner) -> None:
    own = Recipe("pipeline", "binary", (Feature("x", "number"),), pipeline="pipeline:make")
    result = choose_recipe(runner, data, value_of=best_hundred(data), trials=0, own=own)
    assert "pipeline.py" in [candidate.name for candidate in result.candidates]
