"""From a project's data to a signed bundle: choose the recipe by value, fit on all final data, package."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import Project
from trueup.align.decision_policy import policy_document
from trueup.align.document import charter_digest
from trueup.build.recipe import FittedModel, TrainingRows
from trueup.build.runner import ModelRunner
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.package import BundleContents, BundleRef, code_files
from trueup.data.history import History
from trueup.improve.training_rows import rows_known_then
from trueup.kernel.errors import TrueupError
from trueup.kernel.periods import NEVER, local_iso
from trueup.lake.rehearsals import Notice
from trueup.loop.carried import data_window_of, pace_of, recent_rows, reference_of
from trueup.loop.cutoff import cutoff_of
from trueup.loop.packaging import check_early, publish
from trueup.loop.prepare import Progress, Workspace, history_of
from trueup.loop.recipes import RecipeChoice, choose_recipes
from trueup.loop.retrain import MIN_TRAINING_ROWS
from trueup.loop.stage import open_workbench
from trueup.loop.suspicions import find_suspicions
from trueup.loop.worth import DecisionWorth, PredictionWorth, worth_of

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_PROFILED_ROWS = 200_000


class NoFinalOutcomes(TrueupError):
    """There is too little to train on yet."""

    code = "loop.no-final-outcomes"


@dataclass(frozen=True)
class Trained:
    """What `train` made."""

    bundle: BundleRef
    rows: int
    as_of: str | None
    """Up to when outcomes counted; None for data without a time."""
    candidates: tuple[dict[str, Any], ...]
    note: str | None
    """What a random split would have said."""
    warnings: tuple[Notice, ...]
    kept_columns: tuple[dict[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON document."""
        return {
            "bundle": self.bundle.digest,
            "path": str(self.bundle.path),
            "rows": self.rows,
            "as_of": self.as_of,
            "candidates": [dict(c) for c in self.candidates],
            "note": self.note,
            "warnings": [asdict(w) for w in self.warnings],
            "kept_columns": [dict(k) for k in self.kept_columns],
        }


def train(
    project: Project,
    workspace: Workspace,
    *,
    guided: bool = True,
    progress: Progress | None = None,
) -> Trained:
    """Train the project's model on everything final in its data, and package it.

    Parameters
    ----------
    project : Project
    workspace : Workspace
        Holds the ingested table; the bundle goes to its lake.
    guided : bool
        With a pipeline of the project's own: whether guided training stands beside it.
    progress : callable, optional

    Raises
    ------
    NoFinalOutcomes
        When fewer than `MIN_TRAINING_ROWS` outcomes are final in the data.
    """
    say = progress or _say_nothing
    check_early(project, workspace)
    say(0, 1, "reading the past")
    history = history_of(project, workspace)
    as_of = history.data_end
    rows = _final_rows(project, history, as_of=as_of)
    with open_workbench(project, history, workspace.scratch) as (runner, pricer):
        choice = choose_recipes(project, history, runner, pricer=pricer, as_of=as_of, guided=guided, progress=say)
        say(0, 1, "looking for columns that give the outcome away")
        found = find_suspicions(history, runner, task=project.task, seed=project.train.seed)
        say(0, 1, "training on everything that is final")
        model = runner.fit(choice.recipe, rows)
        say(0, 1, "packaging and proving")
        worth = worth_of(project, history, pricer)
        bundle = _package(project, workspace, history, worth, runner=runner, model=model, rows=rows, choice=choice)
    return Trained(
        bundle=bundle,
        rows=len(rows.rows),
        as_of=local_iso(as_of, project.charter.timezone) if history.dated else None,
        candidates=choice.candidates,
        note=choice.note,
        warnings=(*history.notices, *found.warnings),
        kept_columns=found.kept,
    )


def _say_nothing(done: int, total: int, what: str) -> None:
    """Tell nobody."""


def _final_rows(project: Project, history: History, *, as_of: int) -> TrainingRows:
    outcome = np.asarray(history.outcome)
    if history.dated:
        rows = rows_known_then(np.asarray(history.event_time), np.asarray(history.final_at), as_of=as_of, window=None)
    else:
        rows = np.flatnonzero((np.asarray(history.final_at) < NEVER) & ~np.isnan(outcome))
    if len(rows) < MIN_TRAINING_ROWS:
        by = f" by {local_iso(as_of, project.charter.timezone)[:10]}" if history.dated else ""
        raise NoFinalOutcomes(
            f"{len(rows):,} of the {history.rows:,} cases of {project.name} have a final outcome{by}, and "
            f"{MIN_TRAINING_ROWS} are needed to train; ingest more cases, or look at data.label_final_at"
        )
    return TrainingRows(history.table_path, rows, outcome[rows])


def _package(
    project: Project,
    workspace: Workspace,
    history: History,
    worth: DecisionWorth | PredictionWorth,
    *,
    runner: ModelRunner,
    model: FittedModel,
    rows: TrainingRows,
    choice: RecipeChoice,
) -> BundleRef:
    profiled = rows.rows[:: max(1, -(-len(rows.rows) // _PROFILED_ROWS))]
    scores = runner.predict_rows(model, history.table_path, profiled)
    cutoff, reference = None, reference_of(history, model.inputs, scores=scores, rows=profiled)
    if isinstance(worth, DecisionWorth):
        cutoff = cutoff_of(project, history, worth, scores=scores, rows=profiled)
        recent = recent_rows(history)
        if len(recent):
            gains = worth.gains(runner.predict_rows(model, history.table_path, recent), recent)
            reference |= {"pace": pace_of(project.charter, history, gains=gains)}
    estimator = runner.export(model, workspace.scratch / f"{model.digest[:32]}.pickle")
    try:
        contents = BundleContents(
            project=project.name,
            task=project.task,
            model_version=model.digest[:12],
            charter_version=1,
            charter_digest=charter_digest(project.charter),
            table_version=history.table_version,
            features=model.inputs,
            model_path=estimator,
            golden_requests=_golden(history, model.inputs, rows.rows),
            classes=history.classes,
            policy=policy_document(project),
            metrics=_metrics(project, history, rows, choice),
            recipe=choice.recipe.as_json(),
            recipe_digest=choice.recipe.digest,
            reference=reference,
            code=code_files(Path(project.folder)) if project.train.pipeline else {},
            requirements_lock=_lock_text(Path(project.folder)),
            cutoff=cutoff,
        )
        return publish(contents, workspace, project=project)
    finally:
        estimator.unlink(missing_ok=True)


def _metrics(project: Project, history: History, rows: TrainingRows, choice: RecipeChoice) -> dict[str, Any]:
    window = data_window_of(history, rows.rows, known_by=history.data_end, timezone=project.charter.timezone)
    return {
        "candidates": [dict(c) for c in choice.candidates],
        "training_rows": len(rows.rows),
        **({"data_window": window} if window else {}),
    }


def _golden(history: History, features: tuple[FeatureSpec, ...], rows: Rows) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), 5_000)).astype(np.int64)]
    table = pq.read_table(history.table_path, columns=[f.name for f in features], use_threads=False)
    return make_golden_requests(table.take(pa.array(chosen)), features)


def _lock_text(folder: Path) -> str:
    lock = folder / "requirements.lock"
    return lock.read_text(encoding="utf-8") if lock.is_file() else ""
