"""From a project folder to a past that can be played: its table, its history, its recipe."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from trueup.align.charter import Project
from trueup.build.recipe import Feature, Recipe
from trueup.build.runner import ModelRunner
from trueup.data.duck import connect
from trueup.data.history import History, open_history
from trueup.data.telling import HistoryError, tell_history
from trueup.kernel.digests import digest_of
from trueup.kernel.durations import Duration, parse_duration
from trueup.kernel.errors import TrueupError
from trueup.kernel.periods import Calendar, local_iso, moment_of
from trueup.lake.staging import clear_dead_writers, staging_folder
from trueup.lake.tables import Tables, TableVersion
from trueup.loop.stage import Stage

Progress = Callable[[int, int, str], None]
"""Called with (done, total, what is being done)."""
SHORTEST_REHEARSAL = parse_duration("2w")
_HISTORY_FORMAT = 4


class LoopError(TrueupError):
    """A journey across the stages cannot start."""

    code = "loop.error"


class NothingToRehearse(LoopError):
    """The asked period holds no cases, or the data have no time."""

    code = "loop.nothing-to-rehearse"


class CannotWrite(LoopError):
    """The scratch folder is full or cannot be written."""

    code = "loop.cannot-write"


@dataclass(frozen=True)
class Workspace:
    """Where a project's working files live."""

    root: Path
    today: dt.date | None = None
    """The day in UTC, for a signing key that has a last day."""
    supplied_key: Path | None = None
    """Private key that signs bundles in place of the own one."""
    advisories: Path | None = None
    """OSV database that the versions of a bundle are looked up in."""

    @property
    def lake(self) -> Path:
        """Tables; bundles are beside them."""
        return self.root / "lake"

    @property
    def scratch(self) -> Path:
        """Histories, fitted models and temporary files; may be deleted when nothing runs."""
        return self.root / "scratch"

    @property
    def bundles(self) -> Path:
        """Signed bundles by digest."""
        return self.lake / "bundles"

    @property
    def last_bundle(self) -> Path:
        """The digest of the bundle that was packaged last."""
        return self.lake / "last-bundle"

    @property
    def keys(self) -> Path:
        """Local signing keys; readable by their owner alone."""
        return self.root / "keys"


def table_name(project: Project) -> str:
    """Return the name of the project's table."""
    return project.name.replace("-", "_")


def open_tables(workspace: Workspace) -> Tables:
    """Return the versioned tables of a workspace."""
    return Tables(workspace.lake / "tables", scratch=workspace.scratch / "staging")


def history_of(project: Project, workspace: Workspace) -> History:
    """Return the history of the latest version of the project's table, told once and kept.

    Raises
    ------
    TableMissing
        When nothing has been ingested yet.
    CannotWrite
        When there is no space for it, or no right to write.
    """
    tables = open_tables(workspace)
    version = tables.get(table_name(project))
    folder = workspace.scratch / "histories" / history_digest(project, version)[:32]
    if (folder / "history.json").exists():
        return open_history(folder)
    waiting = workspace.scratch / "telling"
    with _said_when_full(folder.parent):
        clear_dead_writers(waiting, lambda _: None)
        with staging_folder(waiting) as staged:
            unfinished = staged.folder / "history"
            unfinished.mkdir()
            folder.parent.mkdir(parents=True, exist_ok=True)
            _tell(project, workspace, version, tables=tables, folder=unfinished)
            if not (folder / "history.json").exists():  # another command may have told it meanwhile
                unfinished.rename(folder)
    return open_history(folder)


def _tell(project: Project, workspace: Workspace, version: TableVersion, *, tables: Tables, folder: Path) -> None:
    files = tables.local_files(table_name(project), version.version, into=folder / "files")
    spill = workspace.scratch / "duckdb"
    with contextlib.closing(connect(memory_limit_mb=2_000, threads=2, temp_directory=spill)) as connection:
        tell_history(
            project,
            connection=connection,
            file_uris=[str(path) for path in files],
            table_version=f"{version.id} {version.digest[:16]}",
            folder=folder,
        )
    shutil.rmtree(folder / "files", ignore_errors=True)


@contextlib.contextmanager
def _said_when_full(folder: Path) -> Iterator[None]:
    """Say so where the disk is to blame."""
    import duckdb

    try:
        yield
    except (OSError, duckdb.IOException) as error:
        raise CannotWrite(
            f"the past could not be laid out in {folder}: the disk is full, read-only or damaged. Nothing was "
            "published; free some space or make the folder writable, then run the same command again",
            folder=str(folder),
        ) from error


def history_digest(project: Project, version: TableVersion) -> str:
    """Return what names a history: the rows, and everything that is evaluated over them."""
    data = asdict(project.data)
    for key in ("source", "rules"):  # they decide which rows come in, not what the rows mean
        data.pop(key)
    return digest_of(
        {
            "format": _HISTORY_FORMAT,
            "rows": version.digest,
            "version": version.id,
            "task": project.task,
            "data": data,
            "payoff": asdict(project.charter.payoff),
            "baseline": project.charter.baseline_rule,
            "timezone": project.charter.timezone,
        }
    )


def features_of(history: History) -> tuple[Feature, ...]:
    """Return the columns a model may see."""
    kinds = {"number": "number", "category": "category", "boolean": "boolean", "date": "date"}
    return tuple(
        Feature(c.name, kinds[c.kind])  # type: ignore[arg-type]  # the values of `kinds` are FeatureKinds
        for c in history.features
        if c.kind in kinds
    )


def pipeline_recipe(project: Project, history: History, runner: ModelRunner) -> Recipe:
    """Return the recipe of the project's own code."""
    return Recipe(
        kind="pipeline",
        task=project.task,
        features=features_of(history),
        seed=project.train.seed,
        pipeline=project.train.pipeline,
        code_digest=runner.code_digest,
        n_classes=max(2, len(history.classes)),
    )


def horizon_of(project: Project) -> Duration:
    """Return how far back recipes are judged."""
    return project.train.horizon


def rehearsed_period(project: Project, history: History) -> tuple[int, int]:
    """Return the first moment and the end of the rehearsal.

    Raises
    ------
    NothingToRehearse
        When the data have no time, or no case happened in the asked period.
    """
    if not history.dated:
        raise NothingToRehearse(
            f"{project.name} cannot be rehearsed: its data do not say when cases happened; name a time column in "
            "data.time, or use `trueup train`, which works without one"
        )
    first, last = int(history.event_time[0]), int(history.event_time[-1]) + 1
    calendar = project.charter.calendar(project.rehearsal.window)
    start = _moment(project, project.rehearsal.start) or calendar.next_start(first + (last - first) // 3)
    turn = Calendar(project.charter.timezone, project.rehearsal.turn)
    end = min(_moment(project, project.rehearsal.end) or last, turn.next_start(last - 1))
    rows = history.rows_between(start, end)

    def day(moment: int) -> str:
        return local_iso(moment, project.charter.timezone)[:10]

    if start >= end and not (project.rehearsal.start or project.rehearsal.end):
        raise NothingToRehearse(
            f"the {history.rows:,} cases from {day(first)} to {day(last)} are too short a past: a third of it trains "
            f"the first model, and the next {project.rehearsal.window} begins after its end; ingest a longer past, or "
            "set rehearsal.start"
        )
    if start >= end or rows.start >= rows.stop:
        raise NothingToRehearse(
            f"no case happened from {day(start)} to {day(end)}; the data hold {day(first)} to "
            f"{day(last)}: change rehearsal.start or rehearsal.end"
        )
    if end - start < SHORTEST_REHEARSAL.microseconds:
        raise NothingToRehearse(
            f"from {day(start)} to {day(end)} is less than two weeks, too little to tell luck from skill; "
            "rehearse a longer period"
        )
    return start, end


def stage_of(project: Project, workspace: Workspace, history: History, recipe: Recipe) -> Stage:
    """Return the stage a rehearsal is played on."""
    start, end = rehearsed_period(project, history)
    return Stage(
        project=project,
        history_folder=history.folder,
        scratch=workspace.scratch,
        recipe=recipe,
        start=start,
        end=end,
        horizon=horizon_of(project),
    )


def _moment(project: Project, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        local = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise HistoryError(f'"{text}" in [rehearsal] is not a date such as 2015-10-01', seen=text) from error
    return moment_of(local.replace(tzinfo=ZoneInfo(project.charter.timezone)))
