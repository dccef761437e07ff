"""An OSV database is read from a record, a folder or a zip; what is none is refused with file and reason."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from trueup.bundle import advisories
from trueup.bundle.advisories import read_advisories
from trueup.bundle.errors import BadAdvisories

# CVE-2023-32681 as the OSV project exports it (https://osv.dev/vulnerability/GHSA-j8r2-6x86-q33q), shortened
REQUESTS: dict[str, Any] = {
    "id": "GHSA-j8r2-6x86-q33q",
    "summary": "Unintended leak of Proxy-Authorization header in requests",
    "details": "...",
    "aliases": ["CVE-2023-32681", "PYSEC-2023-74"],
    "modified": "2024-02-16T08:24:39.123456789Z",
    "published": "2023-05-22T20:36:32Z",
    "database_specific": {"severity": "MODERATE", "cwe_ids": ["CWE-200"]},
    "references": [{"type": "WEB", "url": "https://nvd.nist.gov/vuln/detail/CVE-2023-32681"}],
    "affected": [
        {
            "package": {"name": "requests", "ecosystem": "PyPI", "purl": "pkg:pypi/requests"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "2.3.0"}, {"fixed": "2.31.0"}]}],
        }
    ],
    "schema_version": "1.4.0",
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:C/C:H/I:N/A:N"}],
}


def _zip(path: Path, *records: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for record in records:
            archive.writestr(f"{record['id']}.json", json.dumps(record))
    return path


def _affecting(**entry: Any) -> dict[str, Any]:
    return {"id": "X-1", "modified": "2024-01-01T00:00:00Z", "affected": [entry]}


def test_record_folder_and_zip_say_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "osv"
    (folder / "PyPI").mkdir(parents=True)
    file = folder / "PyPI" / "GHSA-j8r2-6x86-q33q.json"
    file.write_text(json.dumps(REQUESTS))
    found = [read_advisories(path, ["Requests"]) for path in (file, folder, _zip(tmp_path / "all.zip", REQUESTS))]
    assert found[0].found == found[1].found == found[2].found
    [advisory] = found[2].found
    assert (advisory.id, advisory.severity) == ("GHSA-j8r2-6x86-q33q", "moderate")
    assert advisory.aliases == ("CVE-2023-32681", "PYSEC-2023-74")
    assert [entry.holds("2.30.0") for entry in advisory.affected] == ["affected"]
    assert (found[2].source, found[2].records, found[2].newest) == ("all.zip", 1, dt.date(2024, 2, 16))


def test_the_newest_record_tells_the_age_whatever_it_is_about(tmp_path: Path) -> None:
    later = REQUESTS | {"id": "X-2", "modified": "2026-03-01T23:30:00-02:00", "withdrawn": "2026-03-02T00:00:00Z"}
    other = REQUESTS | {"id": "X-3", "modified": "2026-09-09T00:00:00Z", "affected": [_of("npm", "requests")]}
    known = read_advisories(_zip(tmp_path / "all.zip", REQUESTS, later, other), ["numpy"])
    assert (known.newest, known.records, known.found) == (dt.date(2026, 3, 2), 2, ())


def _of(ecosystem: str, name: str) -> dict[str, Any]:
    return {"package": {"name": name, "ecosystem": ecosystem}, "versions": ["1.0"]}


def test_a_withdrawn_advisory_says_nothing(tmp_path: Path) -> None:
    withdrawn = REQUESTS | {"withdrawn": "2024-03-01T00:00:00Z"}
    assert read_advisories(_zip(tmp_path / "all.zip", withdrawn), ["requests"]).found == ()


def test_names_are_the_same_however_they_are_spelled(tmp_path: Path) -> None:
    record = _affecting(**_of("PyPI", "Scikit_Learn"))
    assert len(read_advisories(_zip(tmp_path / "all.zip", record), ["scikit-learn"]).found) == 1


def test_a_package_of_another_ecosystem_is_another_package(tmp_path: Path) -> None:
    record = REQUESTS | {"affected": [_of("npm", "requests"), _of("PyPI", "urllib3")]}
    path = _zip(tmp_path / "all.zip", record)
    assert read_advisories(path, ["requests"]).found == ()
    assert len(read_advisories(path, ["requests", "urllib3"]).found) == 1


def test_several_entries_for_one_package_count_together(tmp_path: Path) -> None:
    first = {**_of("PyPI", "a"), "versions": ["1.0"]}
    second = {**_of("PyPI", "a"), "versions": ["3.0"]}
    record = REQUESTS | {"affected": [first, _of("PyPI", "b"), second]}
    known = read_advisories(_zip(tmp_path / "all.zip", record), ["a", "b"])
    assert [(advisory.distribution, len(advisory.affected)) for advisory in known.found] == [("a", 2), ("b", 1)]


def test_ranges_of_commits_are_left_out(tmp_path: Path) -> None:
    commits = {"type": "GIT", "repo": "https://example.com/a", "events": [{"introduced": "0"}, {"fixed": "c0ffee"}]}
    record = _affecting(package={"name": "a", "ecosystem": "PyPI"}, ranges=[commits], versions=["1.0", "1.1"])
    [advisory] = read_advisories(_zip(tmp_path / "all.zip", record), ["a"]).found
    assert [advisory.affected[0].holds(version) for version in ("1.1", "1.2")] == ["affected", "not affected"]


def test_entries_without_package_and_empty_parts_are_read_over(tmp_path: Path) -> None:
    record = REQUESTS | {"affected": [{"ranges": None, "versions": None}, *REQUESTS["affected"]], "aliases": None}
    assert len(read_advisories(_zip(tmp_path / "all.zip", record), ["requests"]).found) == 1


def test_without_a_word_the_severity_is_the_vector(tmp_path: Path) -> None:
    record = {key: value for key, value in REQUESTS.items() if key != "database_specific"}
    [advisory] = read_advisories(_zip(tmp_path / "all.zip", record), ["requests"]).found
    assert advisory.severity.startswith("CVSS:3.1/AV:N")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"id": "X"', "x.json is no OSV record"),
        ('{"name": "package", "version": "1.0"}', "missing required field"),
        ('{"id": "X", "modified": "yesterday"}', "modified"),
        ('{"id": "X", "modified": "2024-01-01T00:00:00Z", "affected": [{"versions": [1.0]}]}', "affected"),
        ('{"id": "X", "modified": "0001-01-01T00:00:00+01:00"}', "no OSV record"),
        ("[]", "no OSV record"),
        ("", "no OSV record"),
        ("\x00\x01", "no OSV record"),
        ('{"id": "X", "modified": "2024-01-01T00:00:00Z", "details": ' + "[" * 100_000 + "}", "no OSV record"),
        ('{"id": "X", "modified": "2024-01-01T00:00:00Z"}', "no record about PyPI"),
    ],
)
def test_what_is_no_record_is_refused_by_name_and_reason(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(BadAdvisories, match="nothing was checked") as refused:
        read_advisories(tmp_path / "x.json", ["requests"])
    assert reason in refused.value.message
    with pytest.raises(BadAdvisories):
        read_advisories(tmp_path, ["requests"])


def test_one_broken_record_spoils_a_database_of_good_ones(tmp_path: Path) -> None:
    path = _zip(tmp_path / "all.zip", REQUESTS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("PYSEC-9.json", "{")
    with pytest.raises(BadAdvisories, match=r"PYSEC-9\.json"):
        read_advisories(path, ["requests"])


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "all.zip", REQUESTS)
    content = bytearray(path.read_bytes())
    for place in range(60, 200):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BadAdvisories, match="damaged"):
        read_advisories(path, ["requests"])
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadAdvisories):
        read_advisories(path, ["requests"])


def test_an_empty_zip_folder_or_path_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (_zip(tmp_path / "all.zip"), tmp_path / "folder", tmp_path / "absent.zip"):
        with pytest.raises(BadAdvisories):
            read_advisories(path, ["requests"])


def test_a_record_that_unpacks_to_more_than_any_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisories, "_MOST_BYTES", 10_000)
    bomb = REQUESTS | {"details": "a" * 20_000}
    path = _zip(tmp_path / "all.zip", bomb)
    assert path.stat().st_size < 2_000
    with pytest.raises(BadAdvisories, match="which no record has"):
        read_advisories(path, ["requests"])
