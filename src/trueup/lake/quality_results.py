"""What did the quality rules find in each version of a table? Results, kept beside the table, one entry each time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from trueup.lake.errors import KeyTaken, LakeError
from trueup.lake.store import Store

RuleStatus = Literal["passed", "failed", "no_data"]
_FOLDER = "_quality"
_ATTEMPTS = 8


@dataclass(frozen=True)
class RuleResult:
    """What one rule found."""

    rule: str
    """Its name."""
    check: str
    """Its kind, as ``check =`` in the project file."""
    level: str
    """prevent or warn."""
    status: RuleStatus
    """no_data: there was nothing to check; neither passed nor failed."""
    failing: int
    """Rows that break it; 0 or 1 for a rule about the whole table."""
    checked: int
    """Rows that could break it: those with a value."""
    allowed_share: float
    detail: str
    """In words, without a value of any row."""
    examples: tuple[str, ...] = ()
    """Some failing rows: case ids, or ``row 17`` where cases have none or theirs are personal."""

    @property
    def share(self) -> float | None:
        """Return the share of checked rows that fail, 0 to 1; None without any."""
        return self.failing / self.checked if self.checked else None

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return {**asdict(self), "share": self.share}


@dataclass(frozen=True)
class QualityResults:
    """What all rules found in the rows of one version, or in rows that were refused."""

    table: str
    version: int | None
    """None: the rows were refused, and never became a version."""
    rows: int
    digest: str
    """Of the rows."""
    as_of: int
    """The moment that counted as now."""
    rules_digest: str
    """Of the rules as they were; see `trueup.data.quality.checking`."""
    results: tuple[RuleResult, ...]

    @property
    def broken(self) -> tuple[RuleResult, ...]:
        """Return the failed rules that prevent publication."""
        return tuple(r for r in self.results if r.status == "failed" and r.level == "prevent")

    @property
    def warnings(self) -> tuple[RuleResult, ...]:
        """Return the failed rules that only warn."""
        return tuple(r for r in self.results if r.status == "failed" and r.level == "warn")

    def same_as(self, other: QualityResults) -> bool:
        """Return whether the other results say the same at another moment."""
        return replace(self, as_of=0) == replace(other, as_of=0)

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return {**asdict(self), "results": [result.as_json() for result in self.results]}


class BadQualityEntry(LakeError):
    """An entry of a table's quality history is not one."""

    code = "lake.bad-quality-entry"


class QualityHistory:
    """The results of one table, oldest first; entries are never changed.

    Parameters
    ----------
    store : Store
        Where the table is.
    table : str
        Its name; entries are ``<table>/_quality/0000000000.json`` and up, which Delta Lake readers pass over.
    """

    def __init__(self, store: Store, table: str) -> None:
        self._store = store
        self._table = table

    def record(self, results: QualityResults) -> None:
        """Add an entry; writers at the same time get one number each."""
        content = json.dumps(results.as_json(), separators=(",", ":")).encode()
        number = sum(1 for _ in self._store.list(self._folder))
        for attempt in range(number, number + _ATTEMPTS):
            try:
                self._store.put_if_absent(f"{self._folder}/{attempt:010d}.json", content)
            except KeyTaken:
                continue
            return
        raise LakeError(
            f'the quality history of "{self._table}" was written by others {_ATTEMPTS} times in between; try again',
            table=self._table,
        )

    def entries(self) -> Iterator[QualityResults]:
        """Yield every entry, oldest first.

        Raises
        ------
        BadQualityEntry
            When an entry was altered into something else.
        """
        for entry in self._store.list(self._folder):
            try:
                yield _results_of(json.loads(self._store.get(entry.key)))
            except (ValueError, TypeError, KeyError) as error:
                raise BadQualityEntry(
                    f"{entry.key} is not an entry of the quality history; restore it, or delete it", key=entry.key
                ) from error

    def latest_of(self, version: int) -> QualityResults | None:
        """Return the last results of a version, None when its rules were never evaluated."""
        found = None
        for results in self.entries():
            found = results if results.version == version else found
        return found

    @property
    def _folder(self) -> str:
        return f"{self._table}/{_FOLDER}"


def _results_of(document: Mapping[str, Any]) -> QualityResults:
    results = tuple(
        RuleResult(**{**{k: v for k, v in entry.items() if k != "share"}, "examples": tuple(entry["examples"])})
        for entry in document["results"]
    )
    return QualityResults(**{**document, "results": results})
