"""Does a bundle need versions that are known to be vulnerable, and may it ship with them?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from packaging.version import Version

from trueup.align.charter import AcceptedVulnerability, PackageSpec
from trueup.bundle.advisories import Advisories, Advisory, read_advisories
from trueup.bundle.environment import locked_versions
from trueup.bundle.errors import VulnerableVersions
from trueup.bundle.layout import EVIDENCE_FOLDER
from trueup.kernel.digests import canonical_json, digest_of

_MOST_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """One vulnerability of one locked version; advisories that are aliases of each other are one."""

    distribution: str
    version: str
    ids: tuple[str, ...]
    """Of the advisories and their aliases."""
    severity: str
    summary: str
    fixed_in: str | None
    """Lowest later version without it; None where none is named."""
    certain: bool
    """False where the advisory names nothing that can be compared with the version, so that it cannot be ruled out."""
    accepted: str | None = None
    """Reason of who answers for it; None where nobody does."""
    lapsed: str | None = None
    """Last day on which it was accepted, where that day is over."""

    def __str__(self) -> str:
        named = f"{self.distribution} {self.version}: {self.ids[0]}{f' ({self.severity})' if self.severity else ''}"
        unclear = "" if self.certain else ", which names no version to compare with"
        way = f", fixed in {self.fixed_in}" if self.fixed_in else ", no fixed version is named"
        over = f", accepted until {self.lapsed}, which is over" if self.lapsed else ""
        return f"{named}{unclear}{way}{over}{f', accepted: {self.accepted}' if self.accepted else ''}"


@dataclass(frozen=True)
class VulnerabilityCheck:
    """What a database said about a lock on a day."""

    result: Literal["none known", "found", "not checked"]
    policy: Literal["prevent", "warn", "ignore"]
    reason: str = ""
    """Why nothing was checked."""
    database: str = ""
    records: int = 0
    newest: str | None = None
    """Day of the database's newest record."""
    today: str | None = None
    """Day of the check in UTC; None where the caller does not say."""
    age_days: int | None = None
    """From `newest` to `today`."""
    distributions: int = 0
    """Distributions that were looked up."""
    findings: tuple[Finding, ...] = ()

    @property
    def open(self) -> tuple[Finding, ...]:
        """Return the findings that nobody answers for."""
        return tuple(finding for finding in self.findings if finding.accepted is None)

    @property
    def path(self) -> str:
        """Return the path of the evidence in a bundle."""
        return f"{EVIDENCE_FOLDER}/vulnerabilities-{digest_of(self.as_json())[:12]}.json"

    @property
    def content(self) -> bytes:
        """Return the evidence as JSON."""
        return canonical_json(self.as_json()).encode()

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON values."""
        return {**asdict(self), "findings": [{**asdict(f), "ids": list(f.ids)} for f in self.findings]}


NOT_CHECKED = VulnerabilityCheck("not checked", "prevent", reason="no advisory database was given")


def check_vulnerabilities(
    lock: str, *, spec: PackageSpec, database: Path | None, today: date | None
) -> VulnerabilityCheck:
    """Return what a database says about the versions of an ``environment.lock``.

    Parameters
    ----------
    lock : str
        Text of the lock.
    spec : PackageSpec
        What the project says about vulnerabilities.
    database : Path or None
        OSV records, see `advisories.read_advisories`; without them nothing is checked, and the result says so.
    today : date or None
        The day in UTC; where None, nothing counts as accepted, since each acceptance has a last day.

    Raises
    ------
    BadAdvisories
        The database cannot be read, or is none.
    """
    if spec.vulnerabilities == "ignore":
        return VulnerabilityCheck("not checked", "ignore", reason="the project says to ignore vulnerabilities")
    if database is None:
        return VulnerabilityCheck("not checked", spec.vulnerabilities, reason=NOT_CHECKED.reason)
    versions = {name: version for name, version in locked_versions(lock).items() if name != "python"}
    known = read_advisories(database, versions)
    findings = [_answered(finding, spec.accepted, today) for finding in _findings(known, versions)]
    return VulnerabilityCheck(
        result="found" if findings else "none known",
        policy=spec.vulnerabilities,
        database=known.source,
        records=known.records,
        newest=known.newest.isoformat(),
        today=today.isoformat() if today else None,
        age_days=(today - known.newest).days if today else None,
        distributions=len(versions),
        findings=tuple(findings),
    )


def refuse_vulnerable(check: VulnerabilityCheck) -> None:
    """Raise where the policy is to prevent and there is a finding that nobody answers for.

    Raises
    ------
    VulnerableVersions
        Names the first, and what to do.
    """
    found = check.open
    if check.policy != "prevent" or not found:
        return
    named = "; ".join(map(str, found[:_MOST_NAMED]))
    more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    raise VulnerableVersions(
        f"{len(found)} known {'vulnerability' if len(found) == 1 else 'vulnerabilities'} in what the model needs: "
        f"{named}{more}. Install the fixed versions and train again, or answer for one with reason and last day under "
        "[[package.accept]] in trueup.toml",
        findings=[list(finding.ids) for finding in found],
    )


def describe_check(check: VulnerabilityCheck) -> list[str]:
    """Return what a person reads: the result with the database and its age, and every finding."""
    if check.result == "not checked":
        return [f"Vulnerabilities: not checked, {check.reason}"]
    count = len(check.findings)
    found = f"{count} found, {count - len(check.open)} of them accepted" if count else "none known"
    by = f"{check.records:,} records of {check.database}, the newest of {check.newest}{_age(check)}"
    head = f"Vulnerabilities: {found}, in {check.distributions} distributions by {by}"
    return [head, *(f"  {finding}" for finding in check.findings)]


def _age(check: VulnerabilityCheck) -> str:
    if check.age_days is None:
        return ""
    return ", which is after today" if check.age_days < 0 else f" ({check.age_days} days old)"


def _findings(known: Advisories, versions: dict[str, str]) -> Iterator[Finding]:
    for name, version in sorted(versions.items()):
        holding = [
            (advisory, answers)
            for advisory in known.found
            if advisory.distribution == name
            and set(answers := [entry.holds(version) for entry in advisory.affected]) != {"not affected"}
        ]
        for group in _same([advisory for advisory, _ in holding]):
            certain = any("affected" in answers for advisory, answers in holding if advisory in group)
            yield _finding(name, version, group, certain=certain)


def _finding(name: str, version: str, group: Sequence[Advisory], *, certain: bool) -> Finding:
    own = [advisory.id for advisory in group]
    aliases = {alias for advisory in group for alias in advisory.aliases} - set(own)
    # words before vectors
    severities = sorted({a.severity for a in group if a.severity}, key=lambda text: (text.startswith("CVSS"), text))
    fixed = {end for a in group for entry in a.affected if (end := entry.fixed_in(version))}
    return Finding(
        distribution=name,
        version=version,
        ids=(*own, *sorted(aliases)),
        severity=severities[0] if severities else "",
        summary=next((advisory.summary for advisory in group if advisory.summary), ""),
        fixed_in=_lowest(fixed),
        certain=certain,
    )


def _lowest(versions: Iterable[str]) -> str | None:
    return min(versions, key=Version, default=None)


def _same(advisories: Sequence[Advisory]) -> list[list[Advisory]]:
    """Return the advisories in groups that share an id or an alias, directly or by way of others."""
    groups: list[tuple[set[str], list[Advisory]]] = []
    for advisory in advisories:
        names = {advisory.id, *advisory.aliases}
        joined = [group for group in groups if group[0] & names]
        groups = [group for group in groups if not group[0] & names]
        ids = names.union(*(group[0] for group in joined))
        groups.append((ids, [*(member for group in joined for member in group[1]), advisory]))
    return [members for _, members in groups]


def _answered(finding: Finding, accepted: Sequence[AcceptedVulnerability], today: date | None) -> Finding:
    named = [entry for entry in accepted if entry.id in finding.ids]
    valid = next((entry for entry in named if today is not None and today.isoformat() <= entry.until), None)
    if valid is not None:
        return replace(finding, accepted=valid.reason)
    return replace(finding, lapsed=max(entry.until for entry in named)) if named else finding
