"""What would a model have earned last year? `trueup rehearse`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from trueup.cli.console import Console
from trueup.cli.exits import OK
from trueup.cli.rehearsal_words import describe_rehearsal
from trueup.cli.report_command import write_report
from trueup.cli.workspace import Workspace, open_workspace, project_folder, write_whole

if TYPE_CHECKING:
    from trueup.align.charter import Project
    from trueup.lake.rehearsals import Rehearsal


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup rehearse`."""
    from trueup.align.project_file import read_project
    from trueup.cli.ingest_command import ensure_ingested

    folder = project_folder(arguments.project)
    project = read_project(folder)
    workspace = open_workspace(folder)
    ensure_ingested(project, workspace, console)
    rehearsal = rehearse_and_keep(
        project,
        workspace,
        console,
        workers=arguments.workers,
        only=tuple(arguments.strategy or ()),
        guided=not arguments.no_guided,
    )
    lines = [*describe_rehearsal(rehearsal), "", f"Report: {workspace.report_html}"]
    console.result(rehearsal.as_json(), lines)
    return OK


def rehearse_and_keep(
    project: Project,
    workspace: Workspace,
    console: Console,
    *,
    workers: int,
    only: tuple[str, ...] = (),
    guided: bool = True,
) -> Rehearsal:
    """Play the strategies; keep the result as JSON and as a report."""
    from trueup.loop.rehearse import rehearse

    rehearsal = rehearse(
        project, workspace.for_loop(), workers=workers, only=only, guided=guided, progress=console.progress
    )
    console.progress(0, 1, "writing the report")
    write_report(workspace.report_html, rehearsal, project.charter, workspace=workspace)
    document = json.dumps(rehearsal.as_json(), indent=2, ensure_ascii=False, sort_keys=True)
    write_whole(workspace.rehearsal_json, document + "\n")
    return rehearsal
