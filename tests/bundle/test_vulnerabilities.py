"""Locked versions are looked up; without a database nothing is called clean, and what is accepted has a last day."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from trueup.align.charter import AcceptedVulnerability, PackageSpec
from trueup.bundle.errors import BadAdvisories, VulnerableVersions
from trueup.bundle.vulnerabilities import (
    VulnerabilityCheck,
    check_vulnerabilities,
    describe_check,
    refuse_vulnerable,
)

TODAY = date(2026, 11, 25)
LOCK = "python==3.11.9\nrequests==2.30.0 --hash=sha256:aa\nurllib3==2.0.7\n"
GHSA: dict[str, Any] = {
    "id": "GHSA-j8r2-6x86-q33q",
    "modified": "2026-11-20T00:00:00Z",
    "summary": "Unintended leak of Proxy-Authorization header in requests",
    "aliases": ["CVE-2023-32681"],
    "database_specific": {"severity": "MODERATE"},
    "affected": [
        {
            "package": {"name": "requests", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "2.3.0"}, {"fixed": "2.31.0"}]}],
        }
    ],
}
PYSEC = {key: value for key, value in GHSA.items() if key != "database_specific"} | {"id": "PYSEC-2023-74"}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    folder = tmp_path / "osv"
    folder.mkdir()
    for record in (GHSA, PYSEC):
        (folder / f"{record['id']}.json").write_text(json.dumps(record))
    return folder


def _check(database: Path | None, lock: str = LOCK, *, today: date | None = TODAY, **spec: Any) -> VulnerabilityCheck:
    return check_vulnerabilities(lock, spec=PackageSpec(**spec), database=database, today=today)


def _accepted(until: str, name: str = "CVE-2023-32681") -> tuple[AcceptedVulnerability, ...]:
    return (AcceptedVulnerability(name, "no proxy is used", until),)


def test_without_a_database_it_is_not_checked_and_not_clean() -> None:
    check = _check(None)
    assert (check.result, check.findings) == ("not checked", ())
    assert describe_check(check) == ["Vulnerabilities: not checked, no advisory database was given"]
    refuse_vulnerable(check)


def test_two_advisories_of_one_alias_are_one_finding(database: Path) -> None:
    [finding] = _check(database).findings
    assert finding.ids == ("GHSA-j8r2-6x86-q33q", "PYSEC-2023-74", "CVE-2023-32681")
    assert (finding.distribution, finding.version, finding.fixed_in) == ("requests", "2.30.0", "2.31.0")
    assert (finding.severity, finding.certain) == ("moderate", True)


def test_prevent_refuses_and_names_distribution_advisory_and_way_out(database: Path) -> None:
    with pytest.raises(VulnerableVersions) as refused:
        refuse_vulnerable(_check(database))
    said = refused.value.message
    assert "1 known vulnerability" in said
    assert "requests 2.30.0: GHSA-j8r2-6x86-q33q (moderate), fixed in 2.31.0" in said
    assert "[[package.accept]]" in said


def test_warn_lets_it_ship_and_says_it(database: Path) -> None:
    check = _check(database, vulnerabilities="warn")
    refuse_vulnerable(check)
    head, finding = describe_check(check)
    assert "1 found, 0 of them accepted, in 2 distributions by 2 records of osv" in head
    assert "the newest of 2026-11-20 (5 days old)" in head
    assert "requests 2.30.0" in finding


def test_ignore_looks_nothing_up_and_says_so(database: Path) -> None:
    check = _check(database, vulnerabilities="ignore")
    assert check.result == "not checked"
    assert "the project says to ignore" in describe_check(check)[0]


def test_a_fixed_version_has_none_known(database: Path) -> None:
    check = _check(database, LOCK.replace("2.30.0", "2.31.0"))
    assert (check.result, check.open) == ("none known", ())
    refuse_vulnerable(check)


@pytest.mark.parametrize("name", ["CVE-2023-32681", "GHSA-j8r2-6x86-q33q", "PYSEC-2023-74"])
def test_what_is_accepted_by_any_of_its_names_ships(database: Path, name: str) -> None:
    check = _check(database, accepted=_accepted("2026-11-25", name))
    assert check.findings[0].accepted == "no proxy is used"
    assert (check.result, check.open) == ("found", ())
    refuse_vulnerable(check)


def test_a_valid_acceptance_holds_beside_one_that_is_over(database: Path) -> None:
    accepted = (*_accepted("2026-11-24"), *_accepted("2026-11-25", "GHSA-j8r2-6x86-q33q"))
    assert _check(database, accepted=accepted).findings[0].accepted == "no proxy is used"


def test_an_acceptance_whose_last_day_is_over_does_not_hold(database: Path) -> None:
    check = _check(database, accepted=_accepted("2026-11-24"))
    with pytest.raises(VulnerableVersions, match="accepted until 2026-11-24, which is over"):
        refuse_vulnerable(check)


def test_nothing_is_accepted_where_nobody_says_which_day_it_is(database: Path) -> None:
    check = _check(database, today=None, accepted=_accepted("2999-01-01"))
    assert (len(check.open), check.age_days) == (1, None)


def test_an_acceptance_of_another_vulnerability_does_not_help(database: Path) -> None:
    assert len(_check(database, accepted=_accepted("2999-01-01", "CVE-2023-99999")).open) == 1


def test_what_cannot_be_compared_is_found_and_said_to_be_unclear(database: Path) -> None:
    record = GHSA | {
        "id": "X-1",
        "aliases": [],
        "affected": [{"package": {"name": "urllib3", "ecosystem": "PyPI"}, "ranges": []}],
    }
    (database / "X-1.json").write_text(json.dumps(record))
    unclear = _check(database).findings[1]
    assert (unclear.distribution, unclear.certain) == ("urllib3", False)
    assert "names no version to compare with" in str(unclear)


def test_a_database_of_tomorrow_is_said_to_be(database: Path) -> None:
    assert "which is after today" in describe_check(_check(database, today=date(2026, 11, 19)))[0]


def test_aliases_join_over_a_third_advisory(database: Path) -> None:
    records = (("A-1", ["CVE-1"]), ("B-1", ["CVE-2"]), ("C-1", ["CVE-1", "CVE-2"]))
    for name, aliases in records:
        (database / f"{name}.json").write_text(json.dumps(GHSA | {"id": name, "aliases": aliases}))
    assert sorted(len(finding.ids) for finding in _check(database).findings) == [3, 5]


def test_a_database_that_is_none_stops_and_does_not_pass(tmp_path: Path) -> None:
    with pytest.raises(BadAdvisories):
        _check(tmp_path)


def test_the_evidence_reads_back_and_is_named_by_what_it_says(database: Path) -> None:
    check = _check(database)
    assert json.loads(check.content)["findings"][0]["ids"][0] == "GHSA-j8r2-6x86-q33q"
    assert check.path.startswith("evidence/vulnerabilities-")
    assert check.path != _check(database, today=date(2026, 11, 26)).path
