"""How does data come in? `trueup ingest`: a source becomes a version of a table, and what is odd about it is said."""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.align.data_source import QuerySource, SheetSource, Source
from trueup.cli.console import Console
from trueup.cli.exits import CHECK_FAILED, OK, CliError, WrongUsage
from trueup.cli.workspace import Workspace, open_workspace, project_folder
from trueup.kernel.errors import Mistake, Mistakes

if TYPE_CHECKING:
    from trueup.align.charter import Project
    from trueup.data.incoming import Incoming
    from trueup.data.ingest import IngestReport
    from trueup.data.quality.gate import Gate

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class VariableUnset(CliError):
    """A source names an environment variable that has no value."""

    code = "cli.variable-unset"


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup ingest`."""
    from trueup.align.project_file import read_project
    from trueup.data.ingest import describe

    folder = project_folder(arguments.project)
    project = read_project(folder)
    workspace = open_workspace(folder)
    source = _asked_source(arguments.source, arguments.sheet)
    report = ingest_project(project, workspace, console, source=source)
    mistakes = column_mistakes(project, {column.name: column.kind for column in report.columns})
    document = {**report.as_json(), "mistakes": [{"where": m.where, "message": m.message} for m in mistakes]}
    lines = [*describe(report)]
    if mistakes:
        lines += ["", f"The data are in, but the project file does not fit them. {Mistakes(mistakes).message}"]
    console.result(document, lines)
    return CHECK_FAILED if mistakes else OK


def ingest_project(
    project: Project, workspace: Workspace, console: Console, *, source: Source | None = None
) -> IngestReport:
    """Read the project's source, or another, into the project's table."""
    from trueup.data.ingest import ingest
    from trueup.loop.prepare import open_tables, table_name

    named = source or project.data.source
    base = None if source else workspace.project
    report = ingest(
        _openable(named, project, os.environ, base=base),
        tables=open_tables(workspace.for_loop()),
        name=table_name(project),
        as_of=time.time_ns() // 1000,
        case_id=project.data.case_id,
        base=base,
        progress=lambda done, total: console.progress(done, total, f"reading {_short(named)}"),
        gate=gate_of(project),
    )
    console.end_progress()
    return report


def gate_of(project: Project) -> Gate:
    """Return the project's quality rules, ready to be evaluated on its table."""
    from trueup.data.quality.gate import Gate

    return Gate(project.data.rules, project.data.case_id, Path(project.folder))


def ensure_ingested(project: Project, workspace: Workspace, console: Console) -> None:
    """Ingest the project's source where that was never done; else say which version is used.

    Raises
    ------
    Mistakes
        When the project file names columns that the table does not have.
    """
    from trueup.loop.prepare import open_tables, table_name

    tables = open_tables(workspace.for_loop())
    version = tables.find(table_name(project))
    if version is None:
        report = ingest_project(project, workspace, console)
        mistakes = column_mistakes(project, {column.name: column.kind for column in report.columns})
    else:
        console.note(f"using {version.id} ({version.rows:,} rows); `trueup ingest` reads the source again")
        mistakes = column_mistakes(project, dict.fromkeys(tables.schema(table_name(project)).names, ""))
    if mistakes:
        raise Mistakes(mistakes)


def column_mistakes(project: Project, columns: Mapping[str, str]) -> list[Mistake]:
    """Return every column that the project file names and the table does not have."""
    from trueup.align.project_file import check_project_columns

    return check_project_columns(project, list(columns))


def _asked_source(source: str | None, sheet: str | None) -> Source | None:
    if sheet is not None and source is None:
        raise WrongUsage("--sheet belongs to --source: trueup ingest --source cases.xlsx --sheet Cases")
    return SheetSource(source, sheet) if source is not None and sheet is not None else source


def _openable(
    source: Source, project: Project, variables: Mapping[str, str], *, base: Path | None
) -> str | SheetSource | Incoming:
    if isinstance(source, str):
        return expand_source(source, variables)
    if isinstance(source, SheetSource):
        return replace(source, file=expand_source(source.file, variables))
    from trueup.data.databases import open_query

    connection = next(one for one in project.connections if one.name == source.connection)
    return open_query(source, connection, variables=variables, base=base)


def _short(source: Source) -> str:
    return str(source) if isinstance(source, QuerySource) else Path(str(source)).name


def expand_source(source: str, variables: Mapping[str, str]) -> str:
    """Return `source` with each ``${NAME}`` replaced by that environment variable.

    Raises
    ------
    VariableUnset
        When it has no value.

    Examples
    --------
    >>> expand_source("${DATA}/a.csv", {"DATA": "/mnt/data"})
    '/mnt/data/a.csv'
    """

    def value_of(match: re.Match[str]) -> str:
        value = variables.get(match[1])
        if not value:
            raise VariableUnset(
                f'data.source is "{source}", but the environment variable {match[1]} is not set; '
                f"set it to the folder that holds the data: export {match[1]}=/path/to/it",
                variable=match[1],
            )
        return value

    return _VARIABLE.sub(value_of, source)
