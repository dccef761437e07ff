"""A bundle carries the profiles of the rows it was given, and the days they are from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from trueup.align.charter import Project
from trueup.align.streaming import pace_document, pace_from
from trueup.bundle.features import FeatureSpec
from trueup.kernel.periods import moment_of
from trueup.loop.carried import data_window_of, pace_of, recent_rows, reference_of
from trueup.loop.prepare import Workspace, history_of

from .conftest import past

Made = Callable[..., tuple[Project, Workspace]]


@pytest.mark.parametrize("kind", ["category", "text"])
def test_profiles_describe_the_rows_that_were_named_and_no_others(small_project: Made, kind: str) -> None:
    history = history_of(*small_project())
    rows = np.array([0, 2, 5])
    specs = (FeatureSpec("amount", "number"), FeatureSpec("closed_as", kind))  # type: ignore[arg-type]  # both are kinds

    reference = reference_of(history, specs, scores=np.array([0.25, np.nan, 0.75]), rows=rows)

    closed = past()["closed_as"].take(rows).to_pylist()
    assert reference["rows"] == 3
    assert sum(reference["features"]["amount"]["counts"]) == 3
    assert dict(reference["features"]["closed_as"]["counts"]) == Counter(closed)
    # a refused row counts as missing
    assert [profile["missing"] for profile in reference["scores"]] == [1]


def test_scores_of_several_classes_have_a_profile_each(small_project: Made) -> None:
    history = history_of(*small_project())

    reference = reference_of(history, (), scores=np.array([[0.2, 0.8], [0.5, 0.5]]), rows=np.array([0, 1]))

    assert len(reference["scores"]) == 2


def test_the_window_of_the_data_is_told_in_days_of_the_business(small_project: Made) -> None:
    history = history_of(*small_project())
    rows = np.array([7, 400, 12])
    local = past()["happened"].take(rows).to_pylist()
    known_by = moment_of(datetime(2016, 5, 1, 23, 30, tzinfo=UTC))

    window = data_window_of(history, rows, known_by=known_by, timezone="Europe/Berlin")

    # half past eleven at night in UTC is the next day in Berlin
    assert window == {"from": f"{min(local):%Y-%m-%d}", "to": f"{max(local):%Y-%m-%d}", "known_by": "2016-05-02"}


def test_data_without_a_time_has_no_window(small_project: Made) -> None:
    history = replace(history_of(*small_project()), dated=False)

    assert data_window_of(history, np.array([0]), known_by=0, timezone="UTC") is None


def test_a_pace_counts_the_cases_of_the_last_four_weeks(small_project: Made) -> None:
    project, workspace = small_project()
    history = history_of(project, workspace)
    moments = np.asarray(history.event_time)
    in_four_weeks = int((moments > moments[-1] - 28 * 86_400_000_000).sum())
    rows = recent_rows(history)

    document = pace_of(project.charter, history, gains=np.linspace(-5, 5, len(rows)))

    pace = pace_from(document)
    assert len(rows) == in_four_weeks
    # 168 hours of a week, each seen four times
    assert abs(pace.cases_per_hour.sum() - in_four_weeks / 4) < 1
    assert (pace.gains > 0).sum() == in_four_weeks // 2
    assert pace_document(pace) == document


def test_data_without_a_time_has_no_recent_rows(small_project: Made) -> None:
    assert not len(recent_rows(replace(history_of(*small_project()), dated=False)))
