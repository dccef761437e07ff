"""What does a bundle answer in the environment it was made in? `trueup bundle run`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trueup.bundle.errors import EnvironmentUnavailable
from trueup.bundle.file_scoring import check_files, score_file
from trueup.bundle.layout import LOCK
from trueup.bundle.loading import open_bundle
from trueup.bundle.parity import describe_certificate
from trueup.bundle.publishing import write_file
from trueup.bundle.recreation import EnvironmentPlan, make_environment, plan_environment
from trueup.cli.bundles.places import Places, Verified, places_of, verified
from trueup.cli.console import Console
from trueup.cli.exits import OK, WrongUsage

_COMMAND = "from trueup.cli.main import run; run()"
_KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "XDG_CACHE_HOME")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup bundle run`."""
    if bool(arguments.input) != bool(arguments.output):
        raise WrongUsage("--input and --output go together; without both the bundle only answers its golden rows")
    if arguments.input:
        check_files(Path(arguments.input), Path(arguments.output))
    places = places_of(arguments)
    with verified(arguments.bundle, places) as bundle:
        if arguments.in_place:
            document = _answer(bundle, places, arguments)
            console.result(document, _told(document))
            return OK
        plan = plan_environment((bundle.folder / LOCK).read_text("utf-8"), cache=_cache())
        if not plan.is_ready:
            console.note(f"making the environment of {bundle.manifest.digest[:12]}, once")
        make_environment(plan)
        code, document = _there(plan, bundle, places, arguments)
    if "error" in document:
        error = dict(document["error"])
        console.error(error.pop("code"), error.pop("message"), error)
    else:
        console.result(document | {"environment": str(plan.folder)}, _told(document))
    return code


def _answer(bundle: Verified, places: Places, arguments: argparse.Namespace) -> dict[str, Any]:
    """Replay the golden rows here, keep the certificate, then answer the rows of the file."""
    with open_bundle(bundle.folder, trusted_keys=places.trusted, today=places.today) as loaded:
        certificate = loaded.certificate()
        if os.access(bundle.folder, os.W_OK):
            write_file(bundle.folder, certificate.path, certificate.content)
        answered = None
        if arguments.input:
            answered = score_file(loaded, Path(arguments.input), into=Path(arguments.output))
        return {
            "bundle": bundle.manifest.digest,
            "certificate": asdict(certificate),
            "proved": describe_certificate(certificate),
            "differences": [str(difference) for difference in loaded.environment_differences],
            "rows": answered.rows if answered else None,
            "unread": answered.unread if answered else None,
            "first_unread": answered.first_unread or None if answered else None,
            "output": arguments.output,
        }


def _there(
    plan: EnvironmentPlan, bundle: Verified, places: Places, arguments: argparse.Namespace
) -> tuple[int, dict[str, Any]]:
    """Run the same command in the environment of the bundle, and return its exit code and document."""
    command = [str(plan.interpreter), "-I", "-c", _COMMAND, "bundle", "run", str(bundle.folder), "--in-place", "--json"]
    for key in places.trusted:
        command += ["--key", str(key.resolve())]
    command += ["--project", str(plan.folder)]
    if arguments.input:
        command += ["--input", str(Path(arguments.input).resolve()), "--output", str(Path(arguments.output).resolve())]
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    ran = subprocess.run(command, capture_output=True, check=False, env=environment)  # noqa: S603  # the environment's own Python
    try:
        return ran.returncode, json.loads(ran.stdout)
    except ValueError as error:
        told = ran.stderr.decode(errors="replace").strip().splitlines()
        raise EnvironmentUnavailable(
            f"Trueup does not start in the environment of the bundle: {told[-1] if told else 'no reason given'}",
            environment=str(plan.folder),
        ) from error


def _told(document: Mapping[str, Any]) -> list[str]:
    differences = document["differences"]
    where = "differs: " + "; ".join(differences[:3]) if differences else "is that of environment.lock"
    lines = [str(document["proved"]), f"The environment {where}"]
    if document["rows"] is not None:
        lines.append(f"{document['rows']:,} rows answered: {document['output']}")
    if document["unread"]:
        lines.append(
            f"{document['unread']:,} of them cannot be read and have no score, first {document['first_unread']}"
        )
    return lines


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "trueup" / "environments"
