"""What would this model have earned? Plays several strategies over the past and recommends one, in money."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trueup.align.charter import Project
from trueup.align.document import charter_digest
from trueup.compute.pool import run_all
from trueup.kernel.errors import nearest_spelling
from trueup.kernel.periods import local_iso
from trueup.lake.incidents import DataIncident
from trueup.lake.rehearsals import FeatureDrift, Notice, Rehearsal
from trueup.loop.immature import find_immature_labels
from trueup.loop.play import Player
from trueup.loop.prepare import LoopError, Progress, Workspace, history_of, rehearsed_period, stage_of
from trueup.loop.recipes import RecipeChoice, choose_recipes
from trueup.loop.stage import Bench, Stage, bench_of, open_bench, open_workbench
from trueup.loop.strategies import StrategyPlan, guided_strategy, plan_strategies
from trueup.loop.summing_up import Result, choose, sum_up
from trueup.loop.suspicions import Suspicions, find_suspicions
from trueup.loop.telling_drift import find_drift
from trueup.loop.telling_incidents import find_incidents
from trueup.loop.worth import DecisionWorth


class _Quiet:
    def __call__(self, done: int, total: int, what: str) -> None:
        """Say nothing."""


class UnknownStrategy(LoopError):
    """A strategy was asked for that the project does not have."""

    code = "loop.unknown-strategy"


@dataclass(frozen=True)
class _Act:
    """One strategy to play, in this process or another."""

    stage: Stage
    plan: StrategyPlan


@dataclass(frozen=True)
class _Moved:
    """What became of the columns."""

    drift: tuple[FeatureDrift, ...]
    incidents: tuple[DataIncident, ...]


def rehearse(
    project: Project,
    workspace: Workspace,
    *,
    workers: int = 1,
    only: Sequence[str] = (),
    guided: bool = True,
    progress: Progress | None = None,
) -> Rehearsal:
    """Play the project's strategies over its past.

    Parameters
    ----------
    project : Project
    workspace : Workspace
        Holds the ingested table.
    workers : int
        Processes that play strategies side by side, 1 or more.
    only : sequence of str
        Names of the strategies to play beside `never`; empty plays all.
    guided : bool
        With a pipeline of the project's own: whether guided training stands beside it.
    progress : callable, optional

    Raises
    ------
    NothingToRehearse
        When the data have no time or the period holds no case.
    """
    say = progress or _Quiet()
    _check_names(project, only)
    say(0, 1, "reading the past")
    history = history_of(project, workspace)
    start, _ = rehearsed_period(project, history)
    with open_workbench(project, history, workspace.scratch) as (runner, pricer):
        choice = choose_recipes(project, history, runner, pricer=pricer, as_of=start, guided=guided, progress=say)
        stage = stage_of(project, workspace, history, choice.recipe)
        bench = bench_of(stage, history, runner=runner, pricer=pricer)
        found = _warned(bench, say)
        results = _play_all(bench, _acts(stage, choice, only), workers=workers, say=say)
        say(0, 1, "measuring drift")
        first = plan_strategies(project)[0]
        moved = _Moved(find_drift(bench, first), find_incidents(bench, first))
        return _rehearsal(bench, results=results, found=found, choice=choice, moved=moved)


def _check_names(project: Project, only: Sequence[str]) -> None:
    names = [plan.name for plan in (*plan_strategies(project), guided_strategy())]
    for name in only:
        if name not in names:
            raise UnknownStrategy(
                f'there is no strategy "{name}"{nearest_spelling(name, names)}; there are {", ".join(names)}',
                strategy=name,
            )


def _warned(bench: Bench, say: Progress) -> Suspicions:
    """Return what makes figures too good: columns written after the fact, outcomes that are not final."""
    history, project = bench.history, bench.project
    say(0, 1, "looking for columns that give the outcome away")
    found = find_suspicions(history, bench.runner, task=project.task, seed=project.train.seed)
    say(0, 1, "looking for immature labels")
    immature = find_immature_labels(bench)
    return replace(found, warnings=(*history.notices, *found.warnings, *immature, *_no_exploration(project)))


def _no_exploration(project: Project) -> tuple[Notice, ...]:
    """Return a warning where the signed share of the capacity for random cases is less than one case a period."""
    charter = project.charter
    if not charter.exploration_share or charter.capacity is None:
        return ()
    if int(charter.exploration_share * charter.capacity.cases) >= 1:
        return ()
    return (
        Notice(
            "align.no-exploration",
            f"exploration_share {charter.exploration_share:g} of {charter.capacity.cases} cases a "
            f"{charter.capacity.per} is less than one case, so no case is drawn at random",
        ),
    )


def play_act(act: _Act) -> Result:
    """Play one strategy; a top-level function, so that another process can run it."""
    with open_bench(act.stage) as bench:
        return sum_up(bench, Player(bench, act.plan).play())


def _play_all(bench: Bench, acts: Sequence[_Act], *, workers: int, say: Progress) -> list[Result]:
    if workers > 1:
        say(0, len(acts), "playing strategies")
        done: list[str] = []

        def on_done(index: int, result: Result) -> None:
            done.append(result.strategy.name)
            say(len(done), len(acts), f"played {result.strategy.name}")

        return run_all(play_act, acts, workers=workers, on_done=on_done)
    return [_play_here(bench, act, turn_progress(act.plan.name, say)) for act in acts]


def turn_progress(name: str, say: Progress) -> Callable[[int, int], None]:
    """Return what tells the turns of one strategy."""
    return lambda done, total: say(done, total, f"playing {name}")


def _play_here(bench: Bench, act: _Act, progress: Callable[[int, int], None]) -> Result:
    its = replace(bench, stage=act.stage)
    return sum_up(its, Player(its, act.plan).play(progress))


def _acts(stage: Stage, choice: RecipeChoice, only: Sequence[str]) -> tuple[_Act, ...]:
    acts = [_Act(stage, plan) for plan in plan_strategies(stage.project)]
    if choice.guided is not None:
        acts.append(_Act(replace(stage, recipe=choice.guided), guided_strategy()))
    return tuple(a for a in acts if not only or a.plan.name in only or a.plan.name == "never")


def _rehearsal(
    bench: Bench,
    *,
    results: Sequence[Result],
    found: Suspicions,
    choice: RecipeChoice,
    moved: _Moved,
) -> Rehearsal:
    project, stage = bench.project, bench.stage
    charter = project.charter
    recommended, reason = choose(results, charter.currency, own=[p.name for p in charter.retraining])
    return Rehearsal(
        project=project.name,
        title=project.title,
        task=project.task,
        objective=charter.objective,
        currency=charter.currency,
        charter_digest=charter_digest(replace(charter, promise=None)),
        table_version=bench.history.table_version,
        start=local_iso(stage.start, charter.timezone),
        end=local_iso(stage.end, charter.timezone),
        turns=len(stage.turns) - 1,
        rows=bench.rows.stop - bench.rows.start,
        capacity={"cases": charter.capacity.cases, "per": charter.capacity.per} if charter.capacity else None,
        assumptions=_assumptions(bench, choice),
        strategies=tuple(r.strategy for r in results),
        recommended=recommended,
        reason=reason,
        warnings=found.warnings,
        drift=moved.drift,
        incidents=moved.incidents,
        candidates=choice.candidates,
        promise=_promise(bench, results, recommended),
        facts={"recipe": choice.recipe.digest, "kept_columns": [dict(k) for k in found.kept]},
    )


def _promise(bench: Bench, results: Sequence[Result], recommended: str) -> dict[str, Any]:
    """Return what the recommended strategy would have earned in a usual period, net of its retraining cost."""
    strategy = next(r.strategy for r in results if r.strategy.name == recommended)
    calendar = bench.project.charter.calendar("month")
    periods = max(1, len(calendar.starts_between(bench.stage.start, bench.stage.end)) - 1)
    return {
        "value": strategy.net_value / periods,
        "per": "month",
        "interval": [(bound - strategy.retraining_cost) / periods for bound in strategy.value_interval],
    }


def _assumptions(bench: Bench, choice: RecipeChoice) -> tuple[str, ...]:
    charter, project = bench.project.charter, bench.project
    said: list[str] = []
    if charter.action == "prevents" and charter.success_share is not None:
        said.append(
            f"Acting on a case that would have been positive changes its outcome in {charter.success_share:.0%} of "
            "cases. This share is signed in the charter, not measured; a control group measures it in production."
        )
    if isinstance(bench.worth, DecisionWorth):
        rule = (
            f'what the rule "{charter.baseline_rule}" would have done' if charter.baseline_rule else "acting on nobody"
        )
        limit = " under the same capacity" if charter.baseline_rule and charter.capacity else ""
        said.append(f"Value is the payoff minus that of {rule}{limit}, on the same cases.")
    elif charter.baseline_rule:
        said.append(f'Value is the payoff minus that of predicting "{charter.baseline_rule}", on the same cases.')
    else:
        usual = "the mean" if project.task == "regression" else "the most frequent class"
        said.append(f"Value is the payoff minus that of predicting {usual} of all outcomes known by then.")
    if charter.capacity and isinstance(bench.worth, DecisionWorth):
        said.append(
            f"At most {charter.capacity.cases:,} cases a {charter.capacity.per} are acted on; each is decided as it "
            "arrives, without knowing the rest of the period."
        )
    said.append("Every model was trained only on cases whose outcome was final at that time.")
    if charter.retraining_cost:
        said.append(f"Each retraining costs {charter.retraining_cost:,.0f} {charter.currency}.")
    if choice.note:
        said.append(choice.note)
    return tuple(said)
