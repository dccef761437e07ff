"""Do the data keep their rules, did they before, which rules would fit? `trueup check --quality` and `--suggest`."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.console import Console
from trueup.cli.exits import CHECK_FAILED, OK, EnvironmentUnfit, WrongUsage
from trueup.cli.workspace import Workspace

if TYPE_CHECKING:
    from trueup.align.charter import Project
    from trueup.align.quality_rules import QualityRule
    from trueup.data.quality.suggesting import Suggestion
    from trueup.lake.quality_results import QualityResults, RuleResult


def run_quality(project: Project, arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup check` with ``--quality`` or ``--suggest``.

    Raises
    ------
    WrongUsage
        When ``--version`` or ``--history`` stands without ``--quality``, or the two questions are mixed.
    TableMissing
        When nothing was ingested yet.
    """
    if arguments.suggest and (arguments.quality or arguments.history or arguments.version is not None):
        raise WrongUsage("--suggest stands alone; ask for --quality in another call")
    if arguments.suggest:
        return _suggest(project, console)
    if not arguments.quality:
        raise WrongUsage("--version and --history belong to --quality: trueup check --quality --history")
    if arguments.history and arguments.version is not None:
        raise WrongUsage("--history shows every version; leave --version out")
    return _history(project, console) if arguments.history else _recheck(project, arguments.version, console)


def _recheck(project: Project, number: int | None, console: Console) -> int:
    from trueup.cli.ingest_command import gate_of
    from trueup.loop.prepare import open_tables, table_name

    workspace = Workspace(Path(project.folder)).for_loop()
    tables = open_tables(workspace)
    version = tables.get(table_name(project), number)
    gate = gate_of(project)
    if not gate.rules:
        console.result({"table_version": version.id, "quality": None}, _NO_RULES)
        return OK
    now = time.time_ns() // 1000
    with _told_as_read_only(workspace.root):
        results = gate.recheck(version, tables=tables, as_of=now, scratch=workspace.scratch)
    lines = [f"{version.id}: {results.rows:,} rows", *_table(results.results)]
    console.result({"table_version": version.id, "quality": results.as_json()}, lines)
    return CHECK_FAILED if results.broken else OK


def _history(project: Project, console: Console) -> int:
    from trueup.loop.prepare import open_tables, table_name

    tables = open_tables(Workspace(Path(project.folder)).for_loop())
    tables.get(table_name(project))
    entries = list(tables.quality_of(table_name(project)).entries())
    document = {"table": table_name(project), "history": [entry.as_json() for entry in entries]}
    console.result(document, _history_table(entries) if entries else ["No rule was evaluated yet.", *_NO_RULES])
    return OK


def _suggest(project: Project, console: Console) -> int:
    import tempfile

    from trueup.data.duck import connect
    from trueup.data.quality.checking import Rows
    from trueup.data.quality.suggesting import MIN_ROWS, suggest_rules
    from trueup.loop.prepare import open_tables, table_name

    workspace = Workspace(Path(project.folder)).for_loop()
    tables = open_tables(workspace)
    version = tables.get(table_name(project))
    with _told_as_read_only(workspace.root), contextlib.ExitStack() as stack:
        workspace.scratch.mkdir(parents=True, exist_ok=True)
        held = stack.enter_context(tempfile.TemporaryDirectory(dir=workspace.scratch, prefix="quality-"))
        files = tables.local_files(version.name, version.version, into=Path(held) / "files")
        with contextlib.closing(connect(temp_directory=Path(held) / "duckdb")) as connection:
            rows = Rows(connection, files, Path(held) / "own")
            found = suggest_rules(rows, project.data, as_of=time.time_ns() // 1000)
    known = {_subject_of(rule) for rule in project.data.rules}
    fresh = [new for suggestion in found if (new := _without(suggestion, known, project.data.rules)) is not None]
    head = (
        f"# Rules that all {version.rows:,} rows of {version.id} keep. Put what you mean below [data] in trueup.toml."
    )
    if not fresh:
        few = f"fewer than {MIN_ROWS} rows" if version.rows < MIN_ROWS else "what could be suggested is there already"
        head = f"# Nothing to suggest from the {version.rows:,} rows of {version.id}: {few}."
    document = {"table_version": version.id, "suggestions": [suggestion.as_json() for suggestion in fresh]}
    console.result(document, [head, *(f"\n{suggestion.as_toml().rstrip()}" for suggestion in fresh)])
    return OK


@contextlib.contextmanager
def _told_as_read_only(root: Path) -> Iterator[None]:
    """Say which folder cannot be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise EnvironmentUnfit(
            f"the working folder {root} cannot be written ({error.strerror}), and checking data needs room there; make "
            "the project folder writable, or copy the project elsewhere",
            folder=str(root),
        ) from error


def _subject_of(rule: QualityRule) -> tuple[str, tuple[str, ...]]:
    """Return what a rule is about: its kind and columns, or its name where it has none."""
    from trueup.align.quality_rules import columns_of

    return rule.kind, columns_of(rule.check) or (rule.name,)


def _without(
    suggestion: Suggestion, known: set[tuple[str, tuple[str, ...]]], rules: Sequence[QualityRule]
) -> Suggestion | None:
    """Return a suggestion without the columns for which there is such a rule; None where nothing of it is left."""
    suggested = _rules_of(suggestion)
    fresh = [r for r in suggested if _subject_of(r) not in known and all(r.name != rule.name for rule in rules)]
    if not fresh or len(fresh) == len(suggested):
        return suggestion if fresh else None
    columns = [column for rule in fresh for column in _subject_of(rule)[1]]
    keys = tuple((key, columns if key == "columns" else value) for key, value in suggestion.keys)
    return replace(suggestion, keys=keys)


def _rules_of(suggestion: Suggestion) -> tuple[QualityRule, ...]:
    from trueup.align.reading import Section
    from trueup.align.rules_text import read_rules

    return read_rules(Section({"rule": [dict(suggestion.keys)]}, "data", file="", mistakes=[]))


_NO_RULES = [
    "The project has no quality rules. `trueup check --suggest` proposes some; put them below [data] in trueup.toml.",
]
_STATES = {"passed": "holds", "no_data": "no data", "failed": "warning"}


def _state(result: RuleResult) -> str:
    return "BROKEN" if result.status == "failed" and result.level == "prevent" else _STATES[result.status]


def _table(results: Sequence[RuleResult]) -> list[str]:
    rows = [("rule", "level", "state", "failing", "of", "share")]
    for r in results:
        share = "" if r.share is None else f"{100 * r.share:.3g} %"
        rows.append((r.rule, r.level, _state(r), f"{r.failing:,}", f"{r.checked:,}", share))
    return [*_aligned(rows, left=3), *(f"{r.rule}: {r.detail}" for r in results if r.status == "failed")]


def _history_table(entries: Iterable[QualityResults]) -> list[str]:
    from trueup.kernel.periods import iso

    rows = [("version", "checked at", "rows", "hold", "warnings", "broken", "which")]
    for entry in entries:
        failed = [result.rule for result in (*entry.broken, *entry.warnings)]
        named = "refused" if entry.version is None else f"{entry.table}@{entry.version}"
        hold = sum(result.status == "passed" for result in entry.results)
        counts = (f"{entry.rows:,}", str(hold), str(len(entry.warnings)), str(len(entry.broken)))
        rows.append((named, iso(entry.as_of)[:16], *counts, "; ".join(failed)))
    return _aligned(rows, left=2)


def _aligned(rows: Sequence[tuple[str, ...]], *, left: int) -> list[str]:
    """Return rows as lines: the first `left` columns and the last one from the left, figures from the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
