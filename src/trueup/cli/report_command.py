"""What does the sponsor read? `trueup report`: the last rehearsal as one HTML file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.console import Console
from trueup.cli.exits import OK, NotRehearsedYet
from trueup.cli.workspace import Workspace, project_folder, write_whole

if TYPE_CHECKING:
    from trueup.align.charter import Charter
    from trueup.lake.rehearsals import Rehearsal


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup report`."""
    from trueup.align.project_file import read_project

    folder = project_folder(arguments.project)
    project = read_project(folder)
    workspace = Workspace(folder)
    rehearsal = last_rehearsal(workspace)
    path = Path(arguments.output) if arguments.output else workspace.report_html
    write_report(path, rehearsal, project.charter, workspace=workspace)
    if arguments.open:
        open_in_browser(path)
    document = {"report": str(path), "project": rehearsal.project, "recommended": rehearsal.recommended}
    console.result(document, [f"Report: {path}"])
    return OK


def last_rehearsal(workspace: Workspace) -> Rehearsal:
    """Return the rehearsal that was run last.

    Raises
    ------
    NotRehearsedYet
        Where there is none.
    """
    from trueup.lake.rehearsal_documents import parse_rehearsal

    path = workspace.rehearsal_json
    if not path.exists():
        raise NotRehearsedYet(
            f"{workspace.project} was not rehearsed yet ({path} is missing); run: trueup rehearse {workspace.project}",
            project=str(workspace.project),
        )
    return parse_rehearsal(json.loads(path.read_text(encoding="utf-8")))


def write_report(path: Path, rehearsal: Rehearsal, charter: Charter, *, workspace: Workspace) -> None:
    """Write the HTML report so that it appears complete or not at all."""
    from trueup.observe.report.render import render_report

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, render_report(rehearsal, charter=charter, notes=_parity_note(workspace)))


def _parity_note(workspace: Workspace) -> dict[str, str]:
    """Return what the evidence of the bundle packaged last says, for the report's last part."""
    from trueup.bundle.latency import describe_shipped
    from trueup.bundle.package import BundleRef
    from trueup.bundle.parity import describe_certificate
    from trueup.loop.packaging import evidence_of, last_bundle

    folder = last_bundle(workspace.for_loop())
    if folder is None:
        return {}
    packaged = evidence_of(BundleRef(folder.name, folder))
    notes = {}
    if packaged.certificate:
        notes["Parity of the packaged model"] = describe_certificate(packaged.certificate)
    if packaged.latencies:
        notes["What answers in production"] = describe_shipped(packaged.latencies)
    return notes


def open_in_browser(path: Path) -> None:
    """Show a file in the person's browser."""
    import webbrowser

    webbrowser.open(path.resolve().as_uri())
