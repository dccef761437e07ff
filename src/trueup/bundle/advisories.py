"""What does an advisory database say about these distributions? OSV records, from a file, a folder or a zip.

The format is https://ossf.github.io/osv-schema/; the zip is the one that the OSV project exports for an ecosystem.
Records are read one at a time: memory does not grow with the database.
"""

from __future__ import annotations

import datetime as dt
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from trueup.bundle.affected_versions import AffectedVersions, Event
from trueup.bundle.environment import normal_name
from trueup.bundle.errors import BadAdvisories

_ECOSYSTEM = "PyPI"
_MOST_BYTES = 32 * 2**20
"""Of one record; the largest that are published have a few megabytes."""
_MOST_RECORDS = 5_000_000
_COMPARABLE = ("ECOSYSTEM", "SEMVER")
_BOUNDS = ("introduced", "fixed", "last_affected", "limit")


@dataclass(frozen=True)
class Advisory:
    """What one record says about one distribution."""

    id: str
    aliases: tuple[str, ...]
    summary: str
    severity: str
    """The database's word, else its CVSS vector; empty where it gives none."""
    distribution: str
    affected: tuple[AffectedVersions, ...]


@dataclass(frozen=True)
class Advisories:
    """What a database says about the distributions that were asked for."""

    source: str
    """Name of the file or folder."""
    records: int
    """Records about Python distributions, those that were withdrawn among them."""
    newest: dt.date
    """Day in UTC on which the newest of them was modified."""
    found: tuple[Advisory, ...]
    """Of the distributions asked for, by distribution and id; none that was withdrawn."""


class _Package(msgspec.Struct):
    name: str
    ecosystem: str


class _Event(msgspec.Struct):
    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class _Range(msgspec.Struct):
    type: str
    events: list[_Event]


class _Severity(msgspec.Struct):
    type: str
    score: str


class _Affected(msgspec.Struct):
    package: _Package | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    severity: list[_Severity] | None = None


class _Record(msgspec.Struct):
    id: str
    modified: dt.datetime
    withdrawn: dt.datetime | None = None
    aliases: list[str] | None = None
    summary: str | None = None
    affected: list[_Affected] | None = None
    severity: list[_Severity] | None = None
    database_specific: Any = None


def read_advisories(path: Path, names: Collection[str]) -> Advisories:
    """Return what a database says about the distributions in `names`.

    Parameters
    ----------
    path : Path
        One record (.json), a folder of them, or a zip.
    names : collection of str
        Distributions, spelled in any way.

    Raises
    ------
    BadAdvisories
        It cannot be read, something in it is no OSV record, or it says nothing about Python distributions at all.
    """
    wanted = {normal_name(name) for name in names}
    records, newest = 0, None
    found: dict[tuple[str, str], Advisory] = {}
    for name, content in _contents(path):
        record, day = _parse(content, path=path, name=name)
        ours = [entry for entry in record.affected or () if _is_ours(entry)]
        if not ours:
            continue
        records += 1
        newest = day if newest is None else max(newest, day)
        if record.withdrawn is None:
            found |= {(a.distribution, a.id): a for a in _advisories(record, ours, wanted)}
    if newest is None:
        raise _bad(path, f"it holds no record about {_ECOSYSTEM}; take the export of that ecosystem")
    return Advisories(path.name, records, newest, tuple(found[key] for key in sorted(found)))


def _advisories(record: _Record, ours: list[_Affected], wanted: Collection[str]) -> Iterator[Advisory]:
    named = {normal_name(entry.package.name) for entry in ours if entry.package}
    for name in sorted(named & set(wanted)):
        entries = [entry for entry in ours if entry.package and normal_name(entry.package.name) == name]
        yield Advisory(
            id=record.id,
            aliases=tuple(sorted(set(record.aliases or ()) - {record.id})),
            summary=record.summary or "",
            severity=_severity(record, entries),
            distribution=name,
            affected=tuple(_affected(entry) for entry in entries),
        )


def _affected(entry: _Affected) -> AffectedVersions:
    ranges = [r.events for r in entry.ranges or () if r.type in _COMPARABLE]
    return AffectedVersions(tuple(entry.versions or ()), tuple(tuple(_events(events)) for events in ranges))


def _events(events: list[_Event]) -> Iterator[Event]:
    for event in events:
        for bound in _BOUNDS:
            version = getattr(event, bound)
            if version is not None:
                yield Event(bound, version)  # type: ignore[arg-type]  # the four words of a bound


def _severity(record: _Record, entries: list[_Affected]) -> str:
    said = record.database_specific
    word = said.get("severity") if isinstance(said, dict) else None
    if isinstance(word, str):
        return word.lower()
    scores = [score for entry in entries for score in entry.severity or ()]
    return next((score.score for score in [*scores, *(record.severity or ())]), "")


def _is_ours(entry: _Affected) -> bool:
    # an ecosystem may have a suffix, such as "PyPI:https://..." for another index
    return entry.package is not None and entry.package.ecosystem.partition(":")[0] == _ECOSYSTEM


def _day(moment: dt.datetime) -> dt.date:
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC).date()


# --- files


def _parse(content: bytes, *, path: Path, name: str) -> tuple[_Record, dt.date]:
    """Return a record and the day it was modified; a moment near the ends of the calendar has none in UTC."""
    try:
        record = _DECODER.decode(content)
        return record, _day(record.modified)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise _bad(path, f"{name} is no OSV record: {error}") from error


_DECODER = msgspec.json.Decoder(_Record)


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every record, in the order of their names."""
    try:
        if path.is_dir():
            yield from _folder(path)
        elif zipfile.is_zipfile(path):
            yield from _zip(path)
        else:
            with path.open("rb") as file:
                yield path.name, _read(file, path=path, name=path.name)
    except OSError as error:
        raise _bad(path, f"it cannot be read: {error.strerror or error}") from error
    # what a damaged or protected zip raises, by the standard library's documentation and source
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _bad(path, f"the zip is damaged, or protected by a password: {error}") from error


def _folder(path: Path) -> Iterator[tuple[str, bytes]]:
    files = sorted(path.rglob("*.json"))
    if not files:
        raise _bad(path, "there is no .json file in the folder; name the zip itself where it holds one")
    for file in files:
        with file.open("rb") as opened:
            yield file.relative_to(path).as_posix(), _read(opened, path=path, name=file.name)


def _zip(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if entry.filename.endswith(".json")]
        if not entries or len(entries) > _MOST_RECORDS:
            raise _bad(path, f"the zip holds {len(entries):,} .json files; 1 to {_MOST_RECORDS:,} are expected")
        for entry in entries:
            with archive.open(entry) as opened:
                yield entry.filename, _read(opened, path=path, name=entry.filename)


def _read(file: IO[bytes], *, path: Path, name: str) -> bytes:
    content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise _bad(path, f"{name} has more than {_MOST_BYTES // 2**20} MB, which no record has")
    return content


def _bad(path: Path, reason: str) -> BadAdvisories:
    return BadAdvisories(f"the advisory database {path} is refused: {reason}; nothing was checked", path=str(path))
