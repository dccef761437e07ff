"""A feed that breaks during a rehearsal is told with its days, its place, and what it changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from tests.loop.conftest import PROJECT, past

from trueup.align.project_file import parse_project
from trueup.lake.incidents import DataIncident
from trueup.loop.prepare import Workspace, history_of, open_tables, pipeline_recipe, stage_of, table_name
from trueup.loop.stage import open_bench, open_workbench
from trueup.loop.strategies import plan_strategies
from trueup.loop.telling_incidents import find_incidents

SHOPS_PIPELINE = """
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

def make():
    numbers = ColumnTransformer([("numbers", SimpleImputer(), ["a", "b", "amount"])])
    return make_pipeline(numbers, StandardScaler(), LogisticRegression(solver="newton-cholesky"))
"""


def told(table: pa.Table, folder: Path) -> tuple[DataIncident, ...]:
    (folder / "pipeline.py").write_text(SHOPS_PIPELINE)
    project, workspace = parse_project(PROJECT, folder=str(folder)), Workspace(folder / ".trueup")
    open_tables(workspace).write(table_name(project), table.to_reader())
    history = history_of(project, workspace)
    with open_workbench(project, history, workspace.scratch) as (runner, _):
        recipe = pipeline_recipe(project, history, runner)
    with open_bench(stage_of(project, workspace, history, recipe)) as bench:
        return find_incidents(bench, plan_strategies(project)[0])


def shops() -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Return a steady world with shops, who of it is the fourth shop, and who came from 1 to 10 July."""
    table = past(drift=False)
    shop = np.random.default_rng(1).integers(0, 5, len(table))
    happened = np.asarray(table["happened"]).astype("datetime64[D]")  # without a zone: local days
    table = table.append_column("shop", pa.array([f"shop {i}" for i in shop]))
    return table, shop == 3, (happened >= np.datetime64("2016-07-01")) & (happened < np.datetime64("2016-07-11"))


def with_a(table: pa.Table, a: np.ndarray) -> pa.Table:
    return table.set_column(table.column_names.index("a"), "a", pa.array(a, from_pandas=True))


def test_a_steady_world_has_none(tmp_path: Path) -> None:
    assert told(shops()[0], tmp_path) == ()


def test_one_shops_percentages_are_told_with_what_they_cost(tmp_path: Path) -> None:
    table, fourth, july = shops()
    a = np.asarray(table["a"])
    (found,) = told(with_a(table, np.where(fourth & july, a * 100.0, a)), tmp_path)
    assert (found.column, found.only_in, found.only_values) == ("a", "shop", ("shop 3",))
    assert found.factor == 100.0
    assert "2016-07-01" <= found.first_day <= "2016-07-03"
    assert "2016-07-08" <= found.last_day <= "2016-07-10"
    assert not found.ongoing
    # half of the shop's forty cases now look like certain fraud and take the three places a day
    assert found.decisions_changed is not None
    assert found.decisions_changed >= 10
    assert found.effect_on_value is not None
    assert found.effect_on_value < 0


def test_values_that_go_missing_are_told_and_cost_what_the_model_loses(tmp_path: Path) -> None:
    table, _, july = shops()
    (found,) = told(with_a(table, np.where(july, np.nan, np.asarray(table["a"]))), tmp_path)
    assert (found.kind, found.only_in, found.factor) == ("missing", None, None)
    assert found.cases == int(july.sum())
    assert (found.first_day, found.last_day, found.share) == ("2016-07-01", "2016-07-10", 1.0)
    assert found.effect_on_value is not None
    assert found.effect_on_value < 0  # fraud follows `a`


def test_a_new_category_is_told(tmp_path: Path) -> None:
    table, fourth, july = shops()
    names = np.where(fourth & july, "shop 9", np.asarray(table["shop"]))
    (found,) = told(table.set_column(table.column_names.index("shop"), "shop", pa.array(names)), tmp_path)
    assert (found.column, found.kind, found.ongoing) == ("shop", "new", False)
    assert found.decisions_changed == 0  # the model does not read it
