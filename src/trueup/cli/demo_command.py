"""What is Trueup, in a minute? `trueup demo`: a lender's fraud case from charter to report, computed then and there."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.cli.console import Console
from trueup.cli.exits import OK, FolderTaken
from trueup.cli.init_command import PER_DAY, copy_example, example_text, refuse_taken
from trueup.cli.workspace import open_workspace, project_folder

if TYPE_CHECKING:
    from trueup.align.charter import Project
    from trueup.lake.rehearsals import Rehearsal


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup demo`."""
    from trueup.align.project_file import read_project
    from trueup.cli.charter_words import describe_project
    from trueup.cli.ingest_command import ingest_project
    from trueup.cli.packaging_words import describe_packaged
    from trueup.cli.rehearsal_words import describe_rehearsal
    from trueup.cli.rehearse_command import rehearse_and_keep
    from trueup.cli.serve_command import listening_socket
    from trueup.cli.train_command import describe_training, train_project
    from trueup.data.ingest import describe
    from trueup.loop.packaging import evidence_of

    if arguments.serve:
        listening_socket("127.0.0.1", arguments.port).close()  # a taken port is told now, not after all the work
    folder = Path(arguments.folder)
    prepare_folder(folder)
    named, folder = shlex.quote(str(folder)), project_folder(arguments.folder)
    console.note("1/5 A lender's two years of applications, simulated from a seed")
    copy_example("application-fraud", folder, drift=not arguments.no_drift)
    project = read_project(folder)
    for line in describe_project(project):
        console.note(f"    {line}".rstrip())
    workspace = open_workspace(folder)
    console.note("2/5 Ingest: read the data and say what is odd about it")
    ingested = ingest_project(project, workspace, console)
    for line in describe(ingested):
        console.note(f"    {line}")
    console.note("3/5 Train: choose a model by what it earns with 4 reviews a day, and package it")
    trained = train_project(project, workspace, console)
    packaged = evidence_of(trained.bundle)
    for line in [*describe_training(trained, project.charter.currency), *describe_packaged(packaged)]:
        console.note(f"    {line}")
    console.note("4/5 Rehearse 2024: decide, wait for outcomes, retrain, for several strategies")
    rehearsal = rehearse_and_keep(project, workspace, console, workers=arguments.workers)
    console.note("5/5 Done; every number below was computed just now")
    following = [
        "",
        f"Report:   {workspace.report_html}",
        f"Project:  {folder / 'trueup.toml'}",
        f"Try next: trueup report {named} --open",
        f"          set cases = 8 in trueup.toml, then: trueup rehearse {named} --workers 2",
        "          trueup demo --no-drift --folder steady      a world in which retraining is not worth it",
        f"          trueup sign {named}",
    ]
    document = {"project": str(folder), "report": str(workspace.report_html), "rehearsal": rehearsal.as_json()}
    lines = [*describe_rehearsal(rehearsal), *following]
    if arguments.serve:
        _serve(folder, rehearsal, project, arguments=arguments, told=(document, lines), console=console)
    else:
        console.result(document, lines)
    return OK


def _serve(
    folder: Path,
    rehearsal: Rehearsal,
    project: Project,
    *,
    arguments: argparse.Namespace,
    told: tuple[dict[str, Any], list[str]],
    console: Console,
) -> None:
    """Serve the project, let a stream of applications be decided, report from the log, and go on answering."""
    from trueup.cli.demo_serving import (
        DAYS,
        demo_server,
        describe_served,
        next_applications,
        report_once_sealed,
        send,
        wait_for_the_end,
    )
    from trueup.cli.report_command import write_report

    document, lines = told
    workspace = open_workspace(folder)
    console.note(f"Serving: {DAYS} more days of applications over HTTP, and their outcomes as they become known")
    applications = next_applications(days=DAYS, per_day=PER_DAY, drift=not arguments.no_drift)
    with demo_server(folder, port=arguments.port) as server:
        send(server, applications, console)
        served = report_once_sealed(workspace, project.name, rows=len(applications))
        write_report(workspace.report_html, rehearsal, project.charter, workspace=workspace, served=served)
        example = server.example(applications[-1].row)
        document |= {"url": server.url, "example": example, "served": served.as_json()}
        following = ["", *describe_served(served), f"Answering on {server.url} until Ctrl-C; ask:", f"  {example}"]
        console.result(document, [*lines, *following])
        wait_for_the_end(server)


def prepare_folder(folder: Path) -> None:
    """Make room for the demo: what an earlier demo left is replaced, what a person made or changed is refused."""
    marker, file = folder / ".trueup" / "demo", folder / "trueup.toml"
    if marker.exists():
        if file.exists() and file.read_text(encoding="utf-8") != example_text("application-fraud", "trueup.toml"):
            raise FolderTaken(
                f"{file} was changed since the demo wrote it; nothing was touched. Rehearse your version with "
                f"`trueup rehearse {folder}`, or name another folder: trueup demo --folder NAME",
                folder=str(folder),
            )
        file.unlink(missing_ok=True)
    elif folder.exists() and any(folder.iterdir()):
        raise FolderTaken(
            f"{folder} is not empty and no demo made it; nothing was touched. Name another: trueup demo --folder NAME",
            folder=str(folder),
        )
    refuse_taken(folder)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
