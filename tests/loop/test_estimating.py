"""What was said of a window before its outcomes were in uses nothing of its future, and outcomes judge it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from trueup.align.charter import Project
from trueup.lake.rehearsals import Rehearsal, Strategy
from trueup.loop.prepare import Workspace
from trueup.loop.rehearse import rehearse

MakeProject = Callable[..., tuple[Project, Workspace]]


def never(rehearsal: Rehearsal) -> Strategy:
    return next(s for s in rehearsal.strategies if s.name == "never")


@pytest.fixture(scope="module")
def drifting(small_project: MakeProject) -> Rehearsal:
    project, workspace = small_project()
    return rehearse(project, workspace, guided=False)


@pytest.fixture(scope="module")
def steady(small_project: MakeProject) -> Rehearsal:
    project, workspace = small_project(drift=False)
    return rehearse(project, workspace, guided=False)


def test_concept_drift_is_contradicted_and_the_delay_is_said(drifting: Rehearsal) -> None:
    # fraud follows another column from the 150th day, 30 May, on; outcomes are final after 14 days
    (found,) = never(drifting).contradictions
    began, proved = dt.datetime.fromisoformat(found.since), dt.datetime.fromisoformat(found.at)
    assert dt.date(2016, 5, 16) <= began.date() <= dt.date(2016, 6, 20)
    assert dt.date(2016, 6, 13) <= proved.date() <= dt.date(2016, 8, 15)
    assert found.delay_days == pytest.approx((proved - began) / dt.timedelta(days=1))


def test_windows_after_the_proof_say_so_and_those_before_do_not(drifting: Rehearsal) -> None:
    (found,) = never(drifting).contradictions
    for window in never(drifting).windows:
        assert window.estimate is not None
        if window.estimate.status != "too_few":
            assert (window.estimate.status == "contradicted") == (found.at <= window.estimate.at)


def test_nothing_is_contradicted_in_a_steady_world(steady: Rehearsal) -> None:
    assert never(steady).contradictions == ()


def test_estimates_of_a_steady_world_meet_what_happened(steady: Rehearsal) -> None:
    for window in never(steady).windows:
        assert window.estimate is not None
        expected, realised = window.estimate.expected, window.estimate.realised
        if realised.cases < 500:
            continue
        assert expected.auc == pytest.approx(realised.auc, abs=0.08)  # about 40 frauds a month: one se is 0.03
        assert expected.outcome_rate == pytest.approx(realised.outcome_rate, abs=0.04)


def test_the_realised_side_is_what_the_window_reports(drifting: Rehearsal) -> None:
    for strategy in drifting.strategies:
        for window in strategy.windows:
            assert window.estimate is not None
            assert window.estimate.realised.auc == window.auc
            assert window.estimate.realised.value == window.value or not window.estimate.realised.cases
            assert window.estimate.now.final_share == pytest.approx(window.label_maturity)


def test_a_settled_window_is_expected_to_bring_what_it_brought(drifting: Rehearsal) -> None:
    settled = [w for s in drifting.strategies for w in s.windows if w.label_maturity == 1.0 and w.estimate]
    assert settled
    for window in settled:
        assert window.estimate is not None
        if window.estimate.now.expected is None:
            continue
        assert window.estimate.now.expected == pytest.approx(window.value)
        assert window.estimate.now.interval == pytest.approx((window.value, window.value))
