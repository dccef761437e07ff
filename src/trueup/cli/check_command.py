"""Is the project file in order, and what does it say? `trueup check`."""

from __future__ import annotations

import argparse

from trueup.cli.console import Console
from trueup.cli.exits import CHECK_FAILED, OK
from trueup.cli.workspace import project_folder
from trueup.kernel.errors import Mistakes


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup check`."""
    from dataclasses import asdict

    from trueup.align.document import charter_digest
    from trueup.align.project_file import read_project
    from trueup.cli.charter_words import describe_project
    from trueup.cli.signature import find_signature

    folder = project_folder(arguments.project)
    try:
        project = read_project(folder)
    except Mistakes as mistakes:
        console.error(mistakes.code, mistakes.message, mistakes.facts)
        return CHECK_FAILED
    digest = charter_digest(project.charter)
    signature = find_signature(folder, digest)
    document = {
        "ok": True,
        "project": project.name,
        "title": project.title,
        "task": project.task,
        "charter_digest": digest,
        "charter": asdict(project.charter),
        "signed_by": signature.signer if signature else None,
    }
    state = f"self-signed by {signature.signer}" if signature else "not signed"
    console.result(document, [*describe_project(project), "", f"In order. Charter {digest[:12]}, {state}."])
    return OK
