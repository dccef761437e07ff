"""How does a model that MLflow logged become a bundle by `trueup package --mlflow PATH`? With a project, or without."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.cli.console import Console
from trueup.cli.packaging_words import describe_packaged
from trueup.cli.workspace import open_shipping, project_folder

if TYPE_CHECKING:
    from trueup.align.charter import Project
    from trueup.loop.adopt import Adopted
    from trueup.loop.packaging import Packaged

_MOST_NAMED = 8


@dataclass(frozen=True)
class AdoptedModel:
    """What was made of an MLflow model, with the evidence beside it."""

    adopted: Adopted
    packaged: Packaged

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON document: of `trueup package`, and what is known of the model."""
        return {**self.packaged.as_json(), **self.adopted.as_json()}

    def lines(self) -> list[str]:
        """Return what a person reads."""
        return [*describe_adopted(self.adopted), *describe_packaged(self.packaged)]


def adopt(arguments: argparse.Namespace, console: Console) -> AdoptedModel:
    """Package the MLflow model at ``arguments.mlflow``.

    The project gives the rows it is proved on. Where none is named and the current folder is none, the model's input
    example does, and the bundle goes to ``.trueup`` in the current folder.
    """
    from trueup.loop.adopt import adopt_mlflow
    from trueup.loop.packaging import evidence_of

    folder = project_folder(arguments.project)
    project = _project(folder, named=arguments.project != ".")
    workspace = open_shipping(folder, key=arguments.key, advisories=arguments.vulnerabilities)
    if project is None:
        console.note(f"no project in {folder}: the model's own input example is what it is proved on")
    else:
        from trueup.cli.ingest_command import ensure_ingested

        ensure_ingested(project, workspace, console)
    adopted = adopt_mlflow(
        Path(arguments.mlflow), project=project, workspace=workspace.for_loop(), progress=console.progress
    )
    console.end_progress()
    return AdoptedModel(adopted, evidence_of(adopted.bundle))


def _project(folder: Path, *, named: bool) -> Project | None:
    from trueup.align.project_file import FILE, read_project

    return read_project(folder) if named or (folder / FILE).exists() else None


def describe_adopted(adopted: Adopted) -> list[str]:
    """Return what the model is, what it takes and what was noticed."""
    takes = [f"{f.name} ({f.kind})" for f in adopted.features[:_MOST_NAMED]]
    more = len(adopted.features) - len(takes)
    answers = "a number" if adopted.task == "regression" else f"the probability of {_answered(adopted)}"
    lines = [
        f"Bundle {adopted.bundle.digest[:12]}: {adopted.kind} from an MLflow model of flavour {adopted.flavour}",
        f"  takes {', '.join(takes)}{f' and {more} more' if more else ''}; answers with {answers}",
    ]
    lines += [f"  {note}" for note in adopted.notes]
    return [*lines, *(f"  [requirements] {difference}" for difference in adopted.requirements)]


def _answered(adopted: Adopted) -> str:
    return f'"{adopted.classes[1]}"' if adopted.task == "binary" else f"each of {len(adopted.classes)} classes"
