"""What is decided for all rows of a file or table? `trueup predict`."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.bundles.places import Places, places_of, verified
from trueup.cli.console import Console
from trueup.cli.exits import OK, WrongUsage
from trueup.cli.served_place import project_name
from trueup.cli.workspace import open_workspace
from trueup.kernel.ids import IdMint, parse_id
from trueup.kernel.periods import moment_of

if TYPE_CHECKING:
    from trueup.bundle.manifest import Manifest
    from trueup.loop.predict import Order, Predicted
    from trueup.loop.predict_logging import LogTarget
    from trueup.loop.predict_reading import Source
    from trueup.loop.prepare import Workspace as LoopWorkspace
    from trueup.serve.host_capacity import HostCapacity
    from trueup.serve.spooling import Spool


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup predict`."""
    from trueup.loop.predict import Order, predict
    from trueup.loop.predict_scoring import Setup
    from trueup.serve.spooling import Spool

    places = places_of(arguments)
    workspace = open_workspace(places.workspace.project).for_loop()
    source = _source(arguments.source, places)
    spool = Spool(Path(arguments.spool) if arguments.spool else workspace.root / "serving")
    if arguments.id and arguments.again:
        raise WrongUsage("--id names one run, and --again asks for another; leave one of them out")
    run_id = parse_id(arguments.id) if arguments.id else IdMint().new(_now())
    keep = tuple(arguments.keep or ())
    order = Order(
        arguments.allocation,
        arguments.clock,
        keep,
        arguments.workers,
        own_id=bool(arguments.id),
        again=arguments.again,
    )
    named, why = _bundle_asked(arguments.bundle, places)
    with verified(named, places) as bundle:
        log = _log_of(bundle.manifest.project, spool, workspace)
        now = _now()
        capacity = _capacity(spool, bundle.manifest, arguments, lake=workspace.root / "lake", now=now)
        log = replace(log, sync_tokens=capacity.sync)
        with _sealing(log, bundle.manifest.project, order, console):
            told = predict(
                source,
                Path(arguments.out),
                setup=Setup(bundle.folder, places.trusted, places.today, keep, run_id.hex()),
                order=order,
                tokens=capacity.tokens,
                now=now,
                run=run_id,
                scratch=workspace.scratch,
                log=log,
                progress=lambda done, total: console.progress(done, total, "predicting"),
            )
        capacity.close()
    console.result({**told.as_json(), "bundle_is": why}, _lines(told, why))
    return OK


def _bundle_asked(named: str | None, places: Places) -> tuple[str | None, str]:
    """Return which bundle decides, and why: the one that is named, else the champion of servers, else the last."""
    from trueup.lake.desired_state import NothingServed, read_desired
    from trueup.lake.folder_store import FolderStore

    if named is not None:
        return named, "named by --bundle"
    project = places.workspace.project
    if (project / "trueup.toml").is_file():
        with contextlib.suppress(NothingServed):
            state = read_desired(FolderStore(places.workspace.root / "lake"), project_name(project))
            return state.champion.digest, "the champion of the servers"
    return None, "packaged last"


def _capacity(spool: Spool, manifest: Manifest, arguments: argparse.Namespace, *, lake: Path, now: int) -> HostCapacity:
    """Return what this host may act on: by the leases of the servers of a named spool, else by the project's own."""
    from trueup.align.decision_policy import DecisionPolicy
    from trueup.lake.desired_state import NothingServed, read_desired
    from trueup.lake.folder_store import FolderStore
    from trueup.serve.host_capacity import HostCapacity

    store, is_served_otherwise = FolderStore(lake), False
    with contextlib.suppress(NothingServed):
        is_served_otherwise = read_desired(store, manifest.project).champion.digest != manifest.digest
    folder = spool.counters(manifest.project)
    by_itself = arguments.clock == "event" or (arguments.spool is not None and not list(folder.glob("*.lease")))
    host = HostCapacity(manifest.project, folder, store=store, host=spool.host(), sync=True, rehearsing=by_itself)
    if arguments.spool is None and manifest.policy:
        policy = DecisionPolicy(manifest.policy, classes=manifest.classes)
        host.renew(policy, now, first=True, may_raise=not is_served_otherwise)
    return host


def _now() -> int:
    return moment_of(dt.datetime.now(dt.UTC))


def _log_of(project: str, spool: Spool, workspace: LoopWorkspace) -> LogTarget:
    """Return where the project's predictions are logged, as its file and what is desired of its servers say."""
    from trueup.align.project_file import read_project
    from trueup.lake.desired_state import NothingServed, read_desired
    from trueup.lake.folder_store import FolderStore
    from trueup.loop.predict_logging import LogTarget

    store, personal, durable = FolderStore(workspace.root / "lake"), set[str](), False
    with contextlib.suppress(NothingServed):
        state = read_desired(store, project)
        personal, durable = set(state.personal), state.durability == "disk"
    if (workspace.root.parent / "trueup.toml").is_file():
        read = read_project(workspace.root.parent)
        personal |= set(read.data.personal)
        durable = durable or read.serving.durability == "disk"
    return LogTarget(store, spool, _now, time.monotonic_ns, personal=tuple(sorted(personal)), durable=durable)


@contextlib.contextmanager
def _sealing(log: LogTarget, project: str, order: Order, console: Console) -> Iterator[None]:
    """Seal what is logged meanwhile, and say so where that does not succeed; a rehearsal logs nothing."""
    from trueup.lake.sealing_process import ELSEWHERE
    from trueup.lake.segments import list_segments
    from trueup.loop.sealing_beside import sealing_beside

    if order.clock == "event":
        yield
        return
    hot = log.spool.hot(project)
    with sealing_beside(log.store.url, project, hot=hot) as process:
        yield
    if process.returncode != ELSEWHERE and list_segments(hot):
        console.note(f"what was logged is in {hot} and could not be sealed yet; a server, or the next run, does it")


def _source(named: str, places: Places) -> Source:
    """Return the file, or the latest version of the table, that somebody means."""
    from trueup.loop.predict_reading import Source
    from trueup.loop.prepare import open_tables

    if Path(named).is_file():
        return Source([Path(named)])
    workspace = places.workspace.for_loop()
    tables = open_tables(workspace)
    if named not in tables.names():
        there = ", ".join(tables.names()) or "none"
        raise WrongUsage(f'there is no file and no table "{named}"; tables of this project: {there}')
    return Source(tables.local_files(named, into=workspace.scratch / "predicted"))


def _lines(told: Predicted, why: str) -> Iterator[str]:
    yield f"{told.rows:,} rows decided by {told.bundle[:12]} ({why}): {told.output}"
    yield f"  {told.qualify:,} qualify, {told.acted:,} are acted on (allocation {told.allocation}, clock {told.clock})"
    for reason, count in sorted(told.reasons.items(), key=lambda item: -item[1]):
        yield f"  {count:>12,}  {reason}"
    if told.undecided:
        yield f"  Rows without a decision, the first: {', '.join(str(row) for row in told.undecided)}"
    if told.unreadable_lines:
        yield f"  {told.unreadable_lines:,} lines are no rows and stand as bad_row, the first: {told.first_unreadable}"
    if told.clock == "event":
        yield "  A rehearsal: nothing of it is in the prediction log"
    elif told.repeated:
        yield "  All of them were decided before; nothing was decided or logged anew (--again does)"
    else:
        before = f"; {told.decided_before:,} rows were decided by an earlier attempt" if told.decided_before else ""
        yield f"  {told.logged:,} decisions are in the prediction log{before}"
    yield f"  run {told.run}"
