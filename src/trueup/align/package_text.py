"""What does ``[package]`` of a project file say? What stops a bundle, and which vulnerabilities are accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

from trueup.align.charter import AcceptedVulnerability, PackageSpec
from trueup.align.reading import Section

_POLICIES = ("prevent", "warn", "ignore")


def read_package(file: Section) -> PackageSpec:
    """Return what the section says, noting every mistake; the default where there is none."""
    section = file.section("package")
    if section is None:
        return PackageSpec()
    policy = section.choice("vulnerabilities", _POLICIES) or PackageSpec.vulnerabilities
    accepted = tuple(_accepted(section))
    section.finish()
    return PackageSpec(cast(Literal["prevent", "warn", "ignore"], policy), accepted)


def _accepted(section: Section) -> Iterator[AcceptedVulnerability]:
    known: list[str] = []
    for part in section.sections("accept"):
        name = part.text("id", example='"CVE-2024-1234"')
        reason = part.text("reason", example='"we never parse files of strangers"')
        until = part.date("until")
        if not part.has("until"):
            part.wrong("until", "this key is missing; write the last day it is accepted, such as until = 2027-06-30")
        part.finish()
        if name is not None and name in known:
            part.wrong("id", f'"{name}" is accepted twice; write it once')
        elif name is not None and reason is not None and until is not None:
            known.append(name)
            yield AcceptedVulnerability(name, reason, until)
