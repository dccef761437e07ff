"""How does a rehearsed value become a promise? `trueup sign`: it goes into the charter, and the charter is signed."""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.console import Console
from trueup.cli.exits import OK, CliError
from trueup.cli.report_command import last_rehearsal
from trueup.cli.workspace import Workspace, open_workspace, project_folder, write_whole

if TYPE_CHECKING:
    from trueup.align.charter import Charter
    from trueup.lake.rehearsals import Rehearsal

_PROMISE = re.compile(r"\n*^\[charter\.promise\][^\n]*\n(?:(?!^\s*\[).*(?:\n|\Z))*", flags=re.MULTILINE)


class CharterChanged(CliError):
    """What was rehearsed is not what would be signed."""

    code = "cli.charter-changed"


class PromiseInDoubt(CliError):
    """The rehearsal learned from columns that may give the outcome away."""

    code = "cli.promise-in-doubt"


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup sign`."""
    from trueup.align.document import charter_digest
    from trueup.align.project_file import read_project
    from trueup.align.signoff import local_key, sign_charter
    from trueup.cli.signature import keep_signature
    from trueup.kernel.digests import digest_of

    folder = project_folder(arguments.project)
    charter = read_project(folder).charter
    rehearsal = last_rehearsal(Workspace(folder))
    refuse_changed(rehearsal, charter, folder)
    refuse_suspected(rehearsal, folder)
    key = local_key(open_workspace(folder).keys / "charter.key")
    file = folder / "trueup.toml"
    text = with_promise(file.read_text(encoding="utf-8"), rehearsal, digest_of(rehearsal.as_json()))
    write_whole(file, text)
    digest = charter_digest(read_project(folder).charter)
    now = time.time_ns() // 1000
    signature = sign_charter(digest, key, signer=arguments.by or charter.sponsor, signed_at=now)
    keep_signature(folder, signature, signed_text=text)
    document = {
        "charter_digest": digest,
        "signed_by": signature.signer,
        "kind": signature.kind,
        "promise": rehearsal.promise,
    }
    lines = [f"Charter {digest[:12]} signed by {signature.signer} (self-signed, with this machine's key)."]
    rehearsed = rehearsal.charter_digest
    if rehearsed != digest:
        lines.append(f"It holds the promise, so it is no longer {rehearsed[:12]}, which was rehearsed.")
    if rehearsal.promise:
        promise = rehearsal.promise
        lines.append(f"Promise: {promise['value']:,.0f} {charter.currency} a {promise['per']}, as rehearsed.")
    console.result(document, lines)
    return OK


def refuse_suspected(rehearsal: Rehearsal, folder: Path) -> None:
    """Raise `PromiseInDoubt` where models learned from columns that may give the outcome away."""
    if rehearsal.suspected_features:
        names = ", ".join(f'"{name}"' for name in rehearsal.suspected_features)
        raise PromiseInDoubt(
            f"the rehearsal learned from {names}, which may not be known when a case is decided, so its promise may be "
            f"far too good; add what is written later to data.exclude and run: trueup rehearse {folder}",
            columns=list(rehearsal.suspected_features),
        )


def refuse_changed(rehearsal: Rehearsal, charter: Charter, folder: Path) -> None:
    """Raise `CharterChanged` where another charter was rehearsed; a promise alone is no change."""
    from trueup.align.document import charter_digest

    if rehearsal.charter_digest in {charter_digest(charter), charter_digest(replace(charter, promise=None))}:
        return
    raise CharterChanged(
        f"the charter changed since it was rehearsed (rehearsed {rehearsal.charter_digest[:12]}, now "
        f"{charter_digest(charter)[:12]}); run: trueup rehearse {folder}",
        rehearsed=rehearsal.charter_digest,
    )


def with_promise(text: str, rehearsal: Rehearsal, rehearsal_digest: str) -> str:
    """Return the project file with what was rehearsed as its only promise; the rest stays as it was written."""
    kept = _PROMISE.sub("\n", text).rstrip("\n") + "\n"
    promise = rehearsal.promise
    if promise is None or promise["interval"] is None:
        return kept
    low, high = promise["interval"]
    return (
        f"{kept}\n[charter.promise]                      # written by `trueup sign`\n"
        f"value = {float(promise['value'])!r}\n"
        f'per = "{promise["per"]}"\n'
        f"interval = [{float(low)!r}, {float(high)!r}]\n"
        f'rehearsal_digest = "{rehearsal_digest}"\n'
    )
