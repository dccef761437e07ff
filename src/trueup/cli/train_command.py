"""Which model earns most, and what is shipped? `trueup train`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from trueup.cli.console import Console
from trueup.cli.exits import OK
from trueup.cli.workspace import Workspace, open_shipping, project_folder

if TYPE_CHECKING:
    from trueup.align.charter import Project
    from trueup.loop.packaging import Packaged
    from trueup.loop.train import Trained


_VALUE = "value: what deciding by it came to beyond the old rule (without one, nobody acts), under the capacity, in all"


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup train`."""
    from trueup.align.project_file import read_project
    from trueup.cli.ingest_command import ensure_ingested
    from trueup.cli.packaging_words import describe_packaged
    from trueup.loop.packaging import evidence_of

    folder = project_folder(arguments.project)
    project = read_project(folder)
    workspace = open_shipping(folder, key=arguments.key, advisories=arguments.vulnerabilities)
    ensure_ingested(project, workspace, console)
    if arguments.guided:
        project = replace(project, train=replace(project.train, pipeline=None))
    trained = train_project(project, workspace, console, guided=not arguments.no_guided)
    packaged = evidence_of(trained.bundle)
    console.result(
        training_document(trained, packaged),
        [*describe_training(trained, project.charter.currency), *describe_packaged(packaged)],
    )
    return OK


def train_project(project: Project, workspace: Workspace, console: Console, *, guided: bool = True) -> Trained:
    """Choose, fit and package a model; `guided` compares guided training with the project's own pipeline."""
    from trueup.loop.train import train

    trained = train(project, workspace.for_loop(), guided=guided, progress=console.progress)
    console.end_progress()
    return trained


def training_document(trained: Trained, packaged: Packaged) -> dict[str, object]:
    """Return the result as JSON values."""
    return {
        **packaged.as_json(),
        "rows": trained.rows,
        "as_of": trained.as_of,
        "candidates": list(trained.candidates),
        "note": trained.note,
        "warnings": [asdict(notice) for notice in trained.warnings],
        "kept_columns": list(trained.kept_columns),
    }


def describe_training(trained: Trained, currency: str) -> list[str]:
    """Return the candidates, what was chosen, and the bundle."""
    lines = [f"  {'candidate':<22}{'value on later data':>24}{'90 % interval':>28}"] if trained.candidates else []
    lines += [_line(candidate, currency) for candidate in trained.candidates]
    if any(candidate.get("value") is not None for candidate in trained.candidates):
        lines.append(f"  {_VALUE}")
    lines += [f"  {trained.note}"] if trained.note else []
    lines += [f"  [{notice.code}] {notice.message}" for notice in trained.warnings]
    until = f" known by {trained.as_of[:10]}" if trained.as_of else ", split at random: the data have no time"
    return [*lines, f"Bundle {trained.bundle.digest[:12]}, trained on {trained.rows:,} final outcomes{until}"]


def _line(candidate: Mapping[str, Any], currency: str) -> str:
    value, interval = candidate.get("value"), candidate.get("value_interval")
    shown = "unknown" if value is None else f"{value:,.0f} {currency}"
    bounds = f"{interval[0]:,.0f} to {interval[1]:,.0f}" if interval else ""
    return f"{'>' if candidate.get('chosen') else ' '} {candidate.get('name', ''):<22}{shown:>24}{bounds:>28}"
