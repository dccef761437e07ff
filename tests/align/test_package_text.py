"""The section [package] is read once, with everything that is wrong in it together."""

from __future__ import annotations

from typing import Any

import pytest

from trueup.align.charter import AcceptedVulnerability, PackageSpec
from trueup.align.package_text import read_package
from trueup.align.reading import Section
from trueup.kernel.errors import Mistake

CVE = {"id": "CVE-2024-1234", "reason": "no proxy is used", "until": "2027-06-30"}


def _read(section: Any) -> tuple[PackageSpec, list[str]]:
    mistakes: list[Mistake] = []
    spec = read_package(Section({"package": section}, "", file="trueup.toml", mistakes=mistakes))
    return spec, [str(mistake) for mistake in mistakes]


def test_a_project_that_says_nothing_prevents() -> None:
    spec = read_package(Section({}, "", file="trueup.toml", mistakes=[]))
    assert spec == PackageSpec("prevent", ())


def test_policy_and_acceptances_are_read() -> None:
    spec, mistakes = _read({"vulnerabilities": "warn", "accept": [CVE]})
    assert spec == PackageSpec("warn", (AcceptedVulnerability("CVE-2024-1234", "no proxy is used", "2027-06-30"),))
    assert mistakes == []


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"vulnerabilities": "prevnt"}, '"prevent"'),
        ({"vulnerabilities": True}, "prevent, warn, ignore"),
        ({"vulnerability": "warn"}, "vulnerabilities"),
        ({"accept": [{**CVE, "until": "soon"}]}, "package.accept.until"),
        ({"accept": [{key: CVE[key] for key in ("id", "reason")}]}, "until = 2027-06-30"),
        ({"accept": [{key: CVE[key] for key in ("id", "until")}]}, "package.accept.reason"),
        ({"accept": [CVE | {"reason": "  "}]}, "it is empty"),
        ({"accept": [CVE, CVE]}, "accepted twice"),
        ({"accept": CVE}, "[[package.accept]]"),
        ("prevent", "[package]"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(section: Any, said: str) -> None:
    _, mistakes = _read(section)
    assert len(mistakes) == 1
    assert said in mistakes[0]


def test_all_mistakes_are_said_together() -> None:
    _, mistakes = _read({"vulnerabilities": "stop", "accept": [{"id": 3, "why": "x"}]})
    assert len(mistakes) == 5
