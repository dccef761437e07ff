"""Is the project file in order, what does it say, and what changed since it was signed? `trueup check`."""

from __future__ import annotations

import argparse
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.console import Console
from trueup.cli.exits import CHECK_FAILED, OK
from trueup.cli.workspace import Workspace, project_folder
from trueup.kernel.errors import Mistake, Mistakes, TrueupError

if TYPE_CHECKING:
    from trueup.align.charter import Project
    from trueup.loop.charter_change import PricedChanges


@dataclass(frozen=True)
class Comparison:
    """How a charter differs from another."""

    against: str
    """What it was compared with, in words."""
    signed: bool
    """Whether that was the charter as last signed."""
    priced: PricedChanges
    not_priced: TrueupError | None = None
    """Why the changes have no price."""

    def as_json(self) -> dict[str, object]:
        """Return the documented JSON document."""
        why = self.not_priced
        return {
            "against": self.against,
            **self.priced.as_json(),
            "not_priced": {"code": why.code, "message": why.message} if why else None,
        }

    def lines(self, currency: str) -> list[str]:
        """Return the comparison as people read it."""
        if not self.priced.changes:
            return [f"The charter is the same as {self.against}."]
        opening = f"Changed since it was {self.against}:" if self.signed else f"Changed from {self.against}:"
        lines = [opening, *(f"  {line}" for line in self.priced.lines(currency))]
        if self.not_priced:
            lines.append(f"Not priced: {self.not_priced.message}")
        return [*lines, "Rehearse and sign again: trueup rehearse, trueup sign."] if self.signed else lines


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
    if arguments.quality or arguments.suggest or arguments.history or arguments.version is not None:
        from trueup.cli.quality_check import run_quality

        return run_quality(project, arguments, console)
    misspelt = _misspelt(project)
    if misspelt:
        found = Mistakes(misspelt)
        console.error(found.code, found.message, found.facts)
        return CHECK_FAILED
    digest = charter_digest(project.charter)
    signature = find_signature(folder, digest)
    if arguments.against:
        comparison: Comparison | None = compare_with(project, Path(arguments.against), console)
    else:
        comparison = None if signature else compare_with_signed(project, folder, console)
    lapsed = _lapsed(project)
    document = {
        "ok": True,
        "project": project.name,
        "title": project.title,
        "task": project.task,
        "charter_digest": digest,
        "charter": asdict(project.charter),
        "signed_by": signature.signer if signature else None,
        "changed": comparison.as_json() if comparison else None,
        "warnings": lapsed,
    }
    state = f"self-signed by {signature.signer}" if signature else "not signed"
    lines = [*describe_project(project), "", f"In order. Charter {digest[:12]}, {state}.", *lapsed]
    if comparison:
        lines += ["", *comparison.lines(project.charter.currency)]
    console.result(document, lines)
    return OK


def _misspelt(project: Project) -> list[Mistake]:
    """Return the columns that the project names and its table does not have; none where nothing was ingested yet."""
    from trueup.align.project_file import check_project_columns
    from trueup.loop.prepare import open_tables, table_name

    tables = open_tables(Workspace(Path(project.folder)).for_loop())
    if tables.find(table_name(project)) is None:
        return []
    return check_project_columns(project, tables.schema(table_name(project)).names)


def _lapsed(project: Project) -> list[str]:
    """Return the vulnerabilities that nobody answers for any more."""
    today = dt.datetime.now(dt.UTC).date()
    return [
        f"[package.accept-expired] {accepted.id} was accepted until {accepted.until}: packaging refuses it again; "
        "update the version, or accept it until another day"
        for accepted in project.package.accepted
        if dt.date.fromisoformat(accepted.until) < today
    ]


def compare_with(project: Project, path: Path, console: Console) -> Comparison:
    """Return how a project's charter differs from the one at `path`, a project folder or a project file.

    Raises
    ------
    ProjectNotFound
        If there is none.
    Mistakes
        Everything that is wrong in it.
    """
    from trueup.align.errors import ProjectNotFound
    from trueup.align.project_file import parse_project, read_project

    if path.is_dir():
        return _compared(read_project(path), project, console, against=str(path))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        message = f"{path} cannot be read: {reason}; --against takes a trueup.toml or a folder with one"
        raise ProjectNotFound(message, path=str(path)) from error
    return _compared(parse_project(text, folder=project.folder), project, console, against=str(path))


def compare_with_signed(project: Project, folder: Path, console: Console) -> Comparison | None:
    """Return how a project's charter differs from what was last signed; None where nothing was."""
    from trueup.cli.signature import find_signed

    found = find_signed(folder)
    if found is None:
        return None
    signed, signature = found
    return _compared(signed, project, console, against=f"signed by {signature.signer}", is_signed=True)


def _compared(old: Project, new: Project, console: Console, *, against: str, is_signed: bool = False) -> Comparison:
    from trueup.align.document import describe_changes
    from trueup.loop.charter_change import PricedChanges, price_changes

    changes = describe_changes(old.charter, new.charter)
    if not any(change.moves_money for change in changes):
        return Comparison(against, is_signed, PricedChanges(changes))
    try:
        priced = price_changes(old, new, Workspace(Path(new.folder)).for_loop(), progress=console.progress)
    except TrueupError as why:
        return Comparison(against, is_signed, PricedChanges(changes), why)
    finally:
        console.end_progress()
    return Comparison(against, is_signed, priced)
