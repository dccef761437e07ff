"""What did production decide, is it all there, and how long is it kept? `trueup log`."""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from trueup.cli.console import Console
from trueup.cli.exits import CHECK_FAILED, OK, CliError, EnvironmentUnfit, WrongUsage
from trueup.cli.served_place import ServedPlace, day_start, served_place
from trueup.kernel.periods import iso, moment_of
from trueup.lake.desired_state import read_statuses
from trueup.lake.log_manifest import LoggedFile, LogManifest

if TYPE_CHECKING:
    from trueup.data.prediction_log import PredictionLog

_MOST_NAMED = 5
_FACTS = ("outcomes", "interventions", "verdicts", "events")


class CaseUnknown(CliError):
    """Nothing about a case is in the log."""

    code = "cli.case-unknown"


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup log`."""
    place = served_place(arguments)
    return _ACTIONS[arguments.action](place, arguments, console)


# --- looking


def _show(place: ServedPlace, _arguments: argparse.Namespace, console: Console) -> int:
    from trueup.data.prediction_log import completeness, open_log

    manifest = LogManifest(place.store, place.project)
    manifest.refresh()
    manifest.check_files(contents=False)
    tables = {table: _table(manifest.files(table)) for table in manifest.tables()}
    statuses = read_statuses(place.store, place.project)
    with (
        TemporaryDirectory(prefix="trueup-log-") as scratch,
        open_log(place.store, place.project, scratch=Path(scratch)) as log,
    ):
        whole = completeness(statuses, log)
    document = {
        "project": place.project,
        "entries": manifest.position,
        "tables": tables,
        "served": whole.served,
        "logged": whole.logged,
        "sealed": whole.sealed,
        "waiting": whole.waiting,
        "batch": whole.batch,
        "complete": whole.complete,
        "servers": [
            {"server": s.server, "started_at": iso(s.started_at), "served": s.served, "logged": s.logged}
            for s in statuses
        ],
    }
    lines = [f"Log of {place.project}, {manifest.position} entries"]
    lines += [f"  {name:<14} {t['rows']:>12,} rows  {t['first']} to {t['last']}" for name, t in tables.items()]
    lines += [f"  {s.server}: {s.served:,} served, {s.logged:,} logged" for s in statuses]
    if whole.complete:
        lines.append(
            f"Complete by its counts: all {whole.served:,} that were answered are in the log, and {whole.sealed:,} are "
            "sealed; every file is there in its size, and what reads every byte is: trueup log verify"
        )
    else:
        lines.append(
            f"{whole.served:,} were answered, {whole.logged:,} logged, {whole.sealed:,} sealed; {whole.waiting:,} wait "
            "on the disks of servers, which seal them within seconds while they run and reach the lake; those of a "
            "server that ended: trueup log seal, on its host"
        )
    if whole.batch:
        lines.append(f"Of trueup predict, which no server answered: {whole.batch:,} more")
    console.result(document, lines)
    return OK if whole.served <= whole.logged else CHECK_FAILED


def _table(files: tuple[LoggedFile, ...]) -> dict[str, Any]:
    return {
        "files": len(files),
        "rows": sum(file.rows for file in files),
        "bytes": sum(file.size for file in files),
        "first": iso(min(file.first_time for file in files)),
        "last": iso(max(file.last_time for file in files)),
    }


def _verify(place: ServedPlace, _arguments: argparse.Namespace, console: Console) -> int:
    from trueup.data.prediction_log import open_log
    from trueup.lake.sealing import count_waiting

    manifest = LogManifest(place.store, place.project)
    manifest.refresh()
    entries, files, damaged = manifest.verify(), manifest.files(), manifest.damaged()
    waiting = count_waiting(place.hot())
    with (
        TemporaryDirectory(prefix="trueup-log-") as scratch,
        open_log(place.store, place.project, scratch=Path(scratch)) as log,
    ):
        contradicting = log.contradicting_facts()
    lines = [f"The log of {place.project} is what was sealed: {entries} entries in a chain, {len(files)} files"]
    lines += _damage(damaged)
    lines += [_contradiction(table, ids) for table, ids in contradicting.items()]
    if waiting:
        lines.append(f"  {waiting:,} records wait in {place.spool}; what seals them now: trueup log seal")
    document = {
        "project": place.project,
        "entries": entries,
        "files": len(files),
        "intact": True,
        "damaged": damaged,
        "contradicting": contradicting,
        "waiting": waiting,
    }
    console.result(document, lines)
    return CHECK_FAILED if damaged or contradicting else OK


def _contradiction(table: str, ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _MOST_NAMED:,} more (all: --json)" if len(ids) > _MOST_NAMED else ""
    return (
        f"  {len(ids):,} fact_ids of {table} were used for different facts, of which only the first counts; send the "
        f"others again, each with its own: {', '.join(ids[:_MOST_NAMED])}{more}"
    )


def _damage(damaged: dict[str, int]) -> list[str]:
    return [
        f"  {size:,} bytes of {name} could not be read, and records are missing; it is kept as {name}.damaged in the "
        "folder of its server"
        for name, size in damaged.items()
    ]


def _case(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    from trueup.data.prediction_log import open_log

    with (
        TemporaryDirectory(prefix="trueup-log-") as scratch,
        open_log(place.store, place.project, scratch=Path(scratch)) as log,
    ):
        found = _records_of(log, arguments.case)
    if not found:
        raise CaseUnknown(
            "the log holds nothing about this case; what was recorded in the last seconds is sealed by the process "
            "beside the servers after some 10 s, or where none runs by: trueup log seal"
        )
    console.result({"project": place.project, "records": found}, [_line(record) for record in found])
    return OK


def _records_of(log: PredictionLog, named: str) -> list[dict[str, Any]]:
    """Return all that is recorded about a case, or a prediction, by time."""
    predictions = log.rows("recorded_predictions", "association_id = $1 OR prediction_id = $1", named)
    ids = sorted({row["prediction_id"] for row in predictions})
    cases = sorted({row["association_id"] for row in predictions if row["association_id"]} | {named})
    found = [{"at": row["decided_at"], "kind": "prediction", **row} for row in predictions]
    for table in _FACTS:
        of_prediction = "" if table == "events" else " OR list_contains($2, prediction_id)"
        given = (cases,) if table == "events" else (cases, ids)
        rows = log.rows(table, f"list_contains($1, association_id){of_prediction}", *given)
        found += [{"at": row["known_at"], "kind": table.removesuffix("s"), **row} for row in rows]
    return sorted(found, key=lambda record: (record["at"], record["kind"] != "prediction"))


def _line(record: dict[str, Any]) -> str:
    if record["kind"] == "prediction":
        score = "no score" if record["score"] is None else f"score {record['score']:.4g}"
        did = "acted" if record["acted"] else "not acted"
        told = f"{did}: {record['reason']}, {score}, by {record['role']} {record['model_version'][:12]}"
        return f"{record['at']}Z  decided       {told}"
    left_out = {"at", "kind", "fact_id", "association_id", "prediction_id", "known_at", "recorded_at", "caller"}
    told = ", ".join(f"{k} {v}" for k, v in record.items() if k not in left_out and v is not None) or "taken back"
    return f"{record['at']}Z  {record['kind']:<13} {told} (from {record['caller']})"


def _export(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    from trueup.data.prediction_log import open_log

    out = Path(arguments.out)
    if out.suffix not in {".parquet", ".csv"}:
        raise WrongUsage(f'"{out.name}" must end in .parquet or .csv')
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        with (
            TemporaryDirectory(prefix="trueup-log-") as scratch,
            open_log(place.store, place.project, scratch=Path(scratch), as_of=_as_of(arguments.as_of)) as log,
        ):
            rows = log.export(arguments.table, unfinished, as_csv=out.suffix == ".csv")
            position = log.position
        unfinished.replace(out)
    except OSError as error:
        raise EnvironmentUnfit(
            f"cannot write {out}: {error.strerror}; name another file: --out", path=str(out)
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    document = {"project": place.project, "table": arguments.table, "rows": rows, "out": str(out), "entries": position}
    console.result(document, [f"{rows:,} rows of {arguments.table} are in {out}"])
    return OK


def _as_of(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongUsage(f'--as-of "{text}" is no time; write it as 2027-06-30T12:00:00+02:00') from error
    if when.tzinfo is None:
        raise WrongUsage(f'--as-of "{text}" needs its offset, such as {text}+02:00, or {text}Z')
    return moment_of(when)


# --- keeping


def _seal(place: ServedPlace, _arguments: argparse.Namespace, console: Console) -> int:
    from trueup.lake.sealing import Sealer, sealing_alone

    if not place.hot().is_dir():
        raise WrongUsage(f"no server wrote a log in {place.spool}; name the folder the servers were given: --spool")
    with sealing_alone(place.hot()):
        sealed = Sealer(place.store, place.project, hot=place.hot(), clock=_now).seal_finished()
    document = {
        "project": place.project,
        "segments": sealed.segments,
        "rows": sealed.rows,
        "torn_bytes": sealed.torn_bytes,
        "waiting": sealed.waiting,
        "damaged": sealed.damaged,
    }
    lines = [f"{sealed.rows:,} records of {sealed.segments} segments are sealed"]
    lines += [f"  {name} waits: {why}" for name, why in sealed.waiting.items()]
    lines += _damage(sealed.damaged)
    console.result(document, lines)
    return CHECK_FAILED if sealed.waiting or sealed.damaged else OK


def _compact(place: ServedPlace, _arguments: argparse.Namespace, console: Console) -> int:
    from trueup.lake.log_keeping import DAY, compact, sweep

    now, manifest = _now(), LogManifest(place.store, place.project)
    replaced = compact(manifest, before=now - now % DAY, now=now)
    removed = len(sweep(manifest, now=now))
    document = {"project": place.project, "replaced": replaced, "removed": removed}
    console.result(document, [f"{replaced} files are sorted by case; {removed} that are in no entry are removed"])
    return OK


def _drop(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    from trueup.lake.log_keeping import drop_before, drop_damaged_before
    from trueup.lake.personal import KeyFolder

    moment = moment_of(day_start(arguments.before, "--before"))
    if moment > _now():
        raise WrongUsage(f"--before {arguments.before} lies in the future; all that is there would go")
    manifest = LogManifest(place.store, place.project)
    old = drop_before(manifest, moment, now=_now(), reason=arguments.reason)
    keys = KeyFolder(place.keys()).drop_before(moment)
    damaged = drop_damaged_before(place.hot(), moment)
    rows = sum(file.rows for file in old)
    document = {
        "project": place.project,
        "files": len(old),
        "rows": rows,
        "key_files": keys,
        "damaged": damaged,
    }
    lines = [f"{len(old)} files with {rows:,} rows before {arguments.before} are removed"]
    if damaged:
        lines.append(f"  with them {damaged} damaged segments that were kept aside in {place.spool}")
    console.result(document, lines)
    return OK


def _erase(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    from trueup.lake.personal import KeyFolder, erase_from_log

    manifest = LogManifest(place.store, place.project)
    keys = erase_from_log(KeyFolder(place.keys()), manifest, association_id=arguments.case, now=_now())
    lines = [f"{keys} keys of the case are gone from this host; do the same on every host that served"]
    if not keys:
        lines.append(f"None was in {place.keys()}; where servers were given another folder, name it: --spool")
    console.result({"project": place.project, "keys": keys}, lines)
    return OK


def _now() -> int:
    return time.time_ns() // 1000


_ACTIONS: dict[str, Callable[[ServedPlace, argparse.Namespace, Console], int]] = {
    "show": _show,
    "verify": _verify,
    "case": _case,
    "export": _export,
    "seal": _seal,
    "compact": _compact,
    "drop": _drop,
    "erase": _erase,
}
