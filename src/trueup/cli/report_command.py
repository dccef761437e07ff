"""What does the sponsor read? `trueup report`: the last rehearsal as one HTML file."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.console import Console
from trueup.cli.exits import OK, NotRehearsedYet
from trueup.cli.workspace import Workspace, project_folder, write_whole

if TYPE_CHECKING:
    from trueup.align.charter import Charter
    from trueup.lake.rehearsals import Rehearsal
    from trueup.lake.served_results import Served


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup report`."""
    from trueup.align.project_file import read_project

    folder = project_folder(arguments.project)
    project = read_project(folder)
    workspace = Workspace(folder)
    rehearsal = last_rehearsal(workspace, served=_is_served(workspace, project.name))
    path = Path(arguments.output) if arguments.output else workspace.report_html
    served = served_so_far(workspace, project.name)
    write_report(path, rehearsal, project.charter, workspace=workspace, served=served)
    if arguments.open:
        open_in_browser(path)
    document = {
        "report": str(path),
        "project": rehearsal.project,
        "recommended": rehearsal.recommended,
        "served": served.as_json() if served else None,
    }
    console.result(document, [f"Report: {path}"])
    return OK


def _is_served(workspace: Workspace, project: str) -> bool:
    from trueup.lake.desired_state import NothingServed, read_desired
    from trueup.lake.folder_store import FolderStore

    try:
        read_desired(FolderStore(workspace.root / "lake"), project)
    except NothingServed:
        return False
    return True


def last_rehearsal(workspace: Workspace, *, served: bool = False) -> Rehearsal:
    """Return the rehearsal that was run last; `served` says whether something was served, for the message.

    Raises
    ------
    NotRehearsedYet
        Where there is none.
    """
    from trueup.lake.rehearsal_documents import parse_rehearsal

    path = workspace.rehearsal_json
    if not path.exists():
        meanwhile = "; the report then has a section of what was served, of which now tells: trueup log show"
        raise NotRehearsedYet(
            f"{workspace.project} was not rehearsed yet ({path} is missing); run: trueup rehearse {workspace.project}"
            f"{meanwhile if served else ''}",
            project=str(workspace.project),
        )
    return parse_rehearsal(json.loads(path.read_text(encoding="utf-8")))


def served_so_far(workspace: Workspace, project: str) -> Served | None:
    """Return what the project's servers did, as their log says; None where nothing was served."""
    import tempfile

    from trueup.lake.desired_state import NothingServed
    from trueup.lake.folder_store import FolderStore
    from trueup.loop.served_report import served_report

    scratch = workspace.for_loop().scratch
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="served-") as aside, contextlib.suppress(NothingServed):
        return served_report(FolderStore(workspace.root / "lake"), project, scratch=Path(aside))
    return None


def write_report(
    path: Path, rehearsal: Rehearsal, charter: Charter, *, workspace: Workspace, served: Served | None = None
) -> None:
    """Write the HTML report so that it appears complete or not at all."""
    from trueup.observe.report.render import render_report

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, render_report(rehearsal, charter=charter, notes=_parity_note(workspace), served=served))


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
