"""Does every example say what its business case says?"""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import pytest

from trueup.align.charter import PayoffMatrix, PayoffPerCase, Project
from trueup.align.project_file import read_project

EXAMPLES = Path(__file__).parents[2] / "examples"


def _example(name: str) -> Project:
    return read_project(EXAMPLES / name)


def test_the_packaged_example_is_in_order() -> None:
    with as_file(files("trueup.cli").joinpath("examples", "application-fraud")) as folder:
        project = read_project(folder)
    assert project.charter.capacity is not None
    assert (project.charter.capacity.cases, project.charter.capacity.per) == (4, "day")
    assert "collection_stage" in project.data.exclude
    assert project.train.pipeline is None


@pytest.mark.parametrize("folder", sorted(p.name for p in EXAMPLES.iterdir() if (p / "trueup.toml").exists()))
def test_every_example_is_in_order_and_tells_its_story(folder: str) -> None:
    assert _example(folder).charter.objective
    assert len((EXAMPLES / folder / "README.md").read_text()) > 500


def test_hotel_calls_cost_four_and_300_fit_a_month() -> None:
    charter = _example("hotel_bookings").charter
    assert isinstance(charter.payoff, PayoffMatrix)
    assert charter.payoff.true_positive == charter.payoff.false_positive == "-4"
    assert charter.capacity is not None
    assert (charter.capacity.cases, charter.capacity.per, charter.action) == (300, "month", "prevents")


def test_a_missing_bike_costs_three_times_an_idle_one() -> None:
    project = _example("bike_sharing")
    assert isinstance(project.charter.payoff, PayoffPerCase)
    assert project.task == "regression"
    assert {"casual", "registered"} <= set(project.data.exclude)
    assert [str(p.window) if p.window else None for p in project.charter.retraining] == [None, "92d"]


def test_a_missed_delay_costs_forty_and_nothing_known_later_is_a_feature() -> None:
    project = _example("nycflights13")
    assert isinstance(project.charter.payoff, PayoffMatrix)
    assert project.charter.payoff.false_negative == "-40"
    assert {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"} <= set(project.data.exclude)


def test_churn_has_no_time_and_names_its_positive_value() -> None:
    project = _example("telco_churn")
    assert (project.data.time, project.data.positive) == (None, "Yes")
