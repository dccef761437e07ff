"""A rehearsal plays the past as it was known then."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from trueup.align.charter import Capacity, Envelope, ExposureStep, Project, RetrainingPolicy, Trigger
from trueup.kernel.durations import parse_duration
from trueup.lake.rehearsals import Rehearsal, Strategy
from trueup.loop.play import Played, Player
from trueup.loop.prepare import NothingToRehearse, Workspace, history_of, pipeline_recipe, stage_of
from trueup.loop.rehearse import UnknownStrategy, rehearse
from trueup.loop.stage import Bench, open_bench, open_workbench
from trueup.loop.strategies import StrategyPlan, plan_strategies
from trueup.loop.summing_up import sum_up

MakeProject = Callable[..., tuple[Project, Workspace]]


@pytest.fixture(scope="module")
def rehearsal(small_project: MakeProject) -> Rehearsal:
    project, workspace = small_project()
    return rehearse(project, workspace, guided=False)


def strategy(rehearsal: Rehearsal, name: str) -> Strategy:
    return next(s for s in rehearsal.strategies if s.name == name)


def play(project: Project, workspace: Workspace, plan: StrategyPlan) -> tuple[Played, Strategy]:
    history = history_of(project, workspace)
    with open_workbench(project, history, workspace.scratch) as (runner, _):
        recipe = pipeline_recipe(project, history, runner)
    with open_bench(stage_of(project, workspace, history, recipe)) as bench:
        played = Player(bench, plan).play()
        return played, sum_up(bench, played).strategy


def test_every_kind_of_strategy_stands_side_by_side(rehearsal: Rehearsal) -> None:
    assert [s.name for s in rehearsal.strategies] == ["never", "own", "monthly", "monthly-90d"]


def test_no_model_ever_learns_from_an_outcome_of_its_future(rehearsal: Rehearsal) -> None:
    for played in rehearsal.strategies:
        for release in played.releases:
            assert release.latest_final_at is not None
            assert dt.datetime.fromisoformat(release.latest_final_at) <= dt.datetime.fromisoformat(release.at)


def test_the_capacity_is_used_and_never_exceeded(rehearsal: Rehearsal) -> None:
    for played in rehearsal.strategies:
        assert played.max_cases_in_period == 3
        assert played.capacity_filled is not None
        assert 0.9 < played.capacity_filled <= 1.0


def test_retraining_is_recommended_where_the_world_changes(rehearsal: Rehearsal) -> None:
    assert rehearsal.recommended != "never"
    assert "more than never retraining" in rehearsal.reason
    last = {s.name: s.windows[-1].auc or 0 for s in rehearsal.strategies}
    assert last["monthly-90d"] > last["never"] + 0.2


def test_never_is_recommended_with_its_reason_where_nothing_changes(small_project: MakeProject) -> None:
    project, workspace = small_project(drift=False)
    steady = rehearse(project, workspace, guided=False)
    assert steady.recommended == "never"
    assert "not" in steady.reason
    assert "€" in steady.reason


def test_a_column_written_after_the_fact_is_named_though_it_is_excluded(rehearsal: Rehearsal) -> None:
    assert "closed_as" in {w.column for w in rehearsal.warnings if w.code == "data.leakage-suspected"}


def test_values_of_windows_add_up_to_the_value_of_the_strategy(rehearsal: Rehearsal) -> None:
    for played in rehearsal.strategies:
        assert np.isclose(sum(w.value or 0 for w in played.windows), played.value)


def test_a_window_whose_outcomes_are_not_all_final_says_so(rehearsal: Rehearsal) -> None:
    maturity = [w.label_maturity for w in strategy(rehearsal, "never").windows]
    assert maturity[0] == 1.0
    assert maturity[-1] < 1.0


def test_two_rehearsals_give_the_same_document(rehearsal: Rehearsal, small_project: MakeProject) -> None:
    project, workspace = small_project()
    again = rehearse(project, workspace, guided=False, workers=2)
    assert json.dumps(again.as_json(), sort_keys=True) == json.dumps(rehearsal.as_json(), sort_keys=True)


def test_the_value_is_what_the_decisions_paid_above_doing_nothing(small_project: MakeProject) -> None:
    project, workspace = small_project()
    played, result = play(project, workspace, plan_strategies(project)[0])
    history = history_of(project, workspace)
    acted = np.flatnonzero(played.log.acted)
    final = np.asarray(history.final_at)[acted] <= history.data_end
    amount = np.asarray(history.payoffs)[acted, 2] * -1
    fraud = np.asarray(history.outcome)[acted] == 1
    # a review costs 5 and saves the amount of a fraud
    assert np.isclose(result.value, (np.where(fraud, amount, 0) - 5)[final].sum())


def test_what_happens_later_changes_nothing_that_was_decided_before(small_project: MakeProject) -> None:
    """The future is replaced; every decision up to then stays the same: nothing looks ahead."""
    project, workspace = small_project()
    plan = plan_strategies(project)[1]
    history = history_of(project, workspace)
    with open_workbench(project, history, workspace.scratch) as (runner, _):
        recipe = pipeline_recipe(project, history, runner)
    stage = stage_of(project, workspace, history, recipe)
    with open_bench(stage) as bench:
        whole = Player(bench, plan).play()
    cut = int(stage.turns[120])
    with open_bench(stage) as bench:
        forged = _with_other_outcomes_after(bench, cut)
        changed = Player(forged, plan).play()
    before = history.rows_between(stage.start, cut)
    assert np.array_equal(whole.log.acted[before], changed.log.acted[before])
    assert np.array_equal(whole.log.score[before], changed.log.score[before])
    assert not np.array_equal(whole.log.score, changed.log.score)


def _with_other_outcomes_after(bench: Bench, cut: int) -> Bench:
    outcome = np.array(bench.history.outcome)
    later = np.asarray(bench.history.final_at) > cut
    outcome[later] = 1.0 - outcome[later]
    history = replace(bench.history, outcome=outcome)
    worth = replace(bench.worth, history=history)
    return replace(bench, history=history, worth=worth)


def test_a_release_reaches_everybody_only_after_its_canary(small_project: MakeProject) -> None:
    steps = (ExposureStep("canary", 0.2, parse_duration("10d")), ExposureStep("full", 1.0, None))
    project, workspace = small_project(exposure=steps)
    _, direct = play(*small_project(), plan_strategies(project)[2])
    _, slow = play(project, workspace, plan_strategies(project)[2])
    assert slow.value != direct.value
    assert len(slow.releases) == len(direct.releases)


def test_a_control_group_and_exploration_stay_inside_the_capacity(small_project: MakeProject) -> None:
    project, workspace = small_project(control_group=0.2, exploration_share=0.4, capacity=Capacity(5, "day"))
    played, result = play(project, workspace, plan_strategies(project)[0])
    assert result.max_cases_in_period is not None
    assert result.max_cases_in_period <= 5
    below = played.log.acted & (played.log.gain <= 0)
    assert below.any()


def test_cases_whose_outcome_acting_changed_are_no_labels(small_project: MakeProject) -> None:
    project, workspace = small_project(action="prevents", success_share=0.5, capacity=Capacity(1_000, "day"))
    played, result = play(project, workspace, plan_strategies(project)[2])
    trained = [r.trained_rows for r in result.releases]
    history = history_of(project, workspace)
    last_final = int((np.asarray(history.final_at) <= history.event_time[-1]).sum())
    assert trained[-1] < last_final
    assert played.log.acted.sum() > 100


def test_a_refused_model_does_not_decide(small_project: MakeProject) -> None:
    tight = Envelope(min_value_gain=1e9, max_loss=None, max_change_in_cases=None)
    project, workspace = small_project(envelope=tight)
    _, never = play(project, workspace, plan_strategies(project)[0])
    _, own = play(project, workspace, plan_strategies(project)[1])
    assert {r.kind for r in own.releases[1:]} == {"refused"}
    assert own.value == never.value
    assert own.net_value < never.net_value


def test_a_policy_on_realised_value_fires_when_the_world_has_changed(small_project: MakeProject) -> None:
    trigger = Trigger(
        "realised_performance < 85% of release over 30d",
        "metric",
        metric="realised_performance",
        limit=replace(small_project()[0].charter.guards[0].limit, operator="<", value=0.85),
        relative_to_promise=True,
        window=parse_duration("30d"),
    )
    policy = RetrainingPolicy("on-performance", (trigger,), parse_duration("60d"))
    project, workspace = small_project(retraining=(policy,))
    _, result = play(project, workspace, plan_strategies(project)[1])
    retrained = [r for r in result.releases if r.kind in ("retrained", "refused")]
    assert retrained
    # the world changes on 29 May 2016; outcomes take 14 days to be final
    assert retrained[0].at > "2016-06-12"


def test_data_without_a_time_cannot_be_rehearsed_and_says_what_to_do(small_project: MakeProject) -> None:
    project, workspace = small_project()
    timeless = replace(project, data=replace(project.data, time=None, label_known_at=None, label_final_at=None))
    with pytest.raises(NothingToRehearse, match=r"data\.time"):
        rehearse(timeless, workspace)


def test_a_period_without_cases_is_refused_with_what_the_data_hold(small_project: MakeProject) -> None:
    project, workspace = small_project()
    later = replace(project, rehearsal=replace(project.rehearsal, start="2031-01-01"))
    with pytest.raises(NothingToRehearse, match="2016"):
        rehearse(later, workspace)


def test_an_unknown_strategy_is_refused_before_anything_is_played(small_project: MakeProject) -> None:
    project, workspace = small_project()
    with pytest.raises(UnknownStrategy, match='did you mean "monthly"'):
        rehearse(project, workspace, only=("monthyl",))


def test_a_model_that_learned_from_a_suspected_column_has_it_named(small_project: MakeProject) -> None:
    project, workspace = small_project()
    guided = replace(project.train, pipeline=None, trials=1)
    leaking = replace(project, data=replace(project.data, exclude=()), train=guided)
    shown = rehearse(leaking, workspace, only=("never",))
    assert shown.suspected_features == ("closed_as",)


def test_a_healthy_model_in_a_steady_world_fires_no_trigger(small_project: MakeProject) -> None:
    trigger = Trigger(
        "realised_value < 70% of promise over 60d",
        "metric",
        metric="realised_value",
        limit=replace(small_project()[0].charter.guards[0].limit, operator="<", value=0.7),
        relative_to_promise=True,
        window=parse_duration("60d"),
    )
    project, workspace = small_project(drift=False, retraining=(RetrainingPolicy("value", (trigger,), None),))
    _, result = play(project, workspace, plan_strategies(project)[1])
    assert len(result.releases) == 1
