"""What ships, and what kept it slow? `trueup package`: proves the model that was trained last, or one of MLflow's."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from trueup.cli.adopting import adopt
from trueup.cli.console import Console
from trueup.cli.exits import OK, WrongUsage
from trueup.cli.packaging_words import describe_packaged
from trueup.cli.workspace import Workspace, open_shipping, project_folder

if TYPE_CHECKING:
    from trueup.align.charter import Project
    from trueup.loop.packaging import Packaged


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup package`."""
    from trueup.align.project_file import read_project

    if arguments.mlflow is not None:
        if arguments.replaces:
            raise WrongUsage(
                "--replaces is about the bundle that was packaged last, and --mlflow packages another model"
            )
        made = adopt(arguments, console)
        console.result(made.as_json(), made.lines())
        return OK
    folder = project_folder(arguments.project)
    project = read_project(folder)
    workspace = open_shipping(folder, key=arguments.key, advisories=arguments.vulnerabilities)
    packaged = package_project(project, workspace, console, replaces=arguments.replaces)
    console.result(packaged.as_json(), describe_packaged(packaged))
    return OK


def package_project(
    project: Project, workspace: Workspace, console: Console, *, replaces: str | None = None
) -> Packaged:
    """Package the model that was trained last; train first when there is none.

    With `replaces` it is the one that this old key signed, for a bundle of a new key.
    """
    from trueup.bundle.trust import find_key
    from trueup.cli.ingest_command import ensure_ingested
    from trueup.cli.train_command import train_project
    from trueup.loop.packaging import evidence_of, last_bundle, package_again

    last = last_bundle(workspace.for_loop())
    if last is None:
        ensure_ingested(project, workspace, console)
        return evidence_of(train_project(project, workspace, console).bundle)
    old = find_key(replaces, keys=workspace.keys) if replaces else None
    packaged = package_again(project, workspace.for_loop(), last, progress=console.progress, replaces=old)
    console.end_progress()
    return packaged
