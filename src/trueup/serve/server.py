"""What does one server process do from its start to its end? The edge: clock, sockets, files and signals meet here."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import uvloop

from trueup.kernel.errors import TrueupError
from trueup.lake.desired_state import DesiredState, ServerStatus, read_desired, write_status
from trueup.lake.errors import LakeError
from trueup.lake.folder_store import FolderStore
from trueup.lake.personal import PersonalSealer
from trueup.lake.rolling import RollingSegments
from trueup.lake.store import Store
from trueup.lake.stores import open_store
from trueup.serve.endpoints import Endpoints
from trueup.serve.host_capacity import HostCapacity
from trueup.serve.http_front import Front
from trueup.serve.keeping_up import Keeper
from trueup.serve.metrics import ServerMetrics
from trueup.serve.opening import OpenedBundle, Opening
from trueup.serve.recording import Recorder, make_recorder
from trueup.serve.served_project import Sealing, ServedProject
from trueup.serve.settings import ServerSettings
from trueup.serve.spooling import Spool
from trueup.serve.telling import Teller
from trueup.serve.tls import tls_context

Say = Callable[[str], None]
_LOOK_AFTER_SECONDS = 0.25
"""Between looks at whether the processes of models live; a look is one system call for each."""
_GARBAGE_AFTER = 50_000
"""Objects made and not yet freed before cycles are looked for: with Python's 700 a tenth of the time went there."""


def run_server(
    settings: ServerSettings, sockets: Sequence[socket.socket], *, ready: Callable[[], None], say: Say
) -> None:
    """Serve on sockets that are bound until SIGTERM.

    Parameters
    ----------
    settings : ServerSettings
    sockets : sequence of socket
        May be shared with other processes.
    ready : callable
        Called once every project answers.
    say : callable
        Told what keeps the server from doing what is desired, in words.

    Raises
    ------
    NothingToServe
        A project has no bundle that may answer.
    """
    uvloop.run(_Server(settings, say=say).run(sockets, ready))


class _Place:
    """One project in this process, and what keeps it going."""

    def __init__(self, project: ServedProject, keeper: Keeper, recorder: Recorder, capacity: HostCapacity) -> None:
        self.project, self.keeper, self.recorder, self.capacity = project, keeper, recorder, capacity
        self.told: str | None = None
        self.fault: str | None = None
        self.version_told = 0
        self.has_news = False
        """Whether its status says something else than was told."""

    @property
    def problem(self) -> str | None:
        """Return what keeps it from doing all that is desired."""
        parts = (self.keeper, self.recorder, self.project.tokens, self.capacity)
        return next((part.problem for part in parts if part.problem), self.fault)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Note what goes wrong beside answers, and go on: the next look may find it mended."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # the boundary of what runs beside answers
            self.fault = error.message if isinstance(error, TrueupError) else f"a fault: {type(error).__name__}"

    async def catch_up(self) -> None:
        """Have what a new champion's charter signs more granted at once, not with the next report."""
        desk = self.project.desk
        if desk is not None and self.capacity.is_short_of(desk.answerer.loadout.policy):
            await self.renew(first=True)

    async def renew(self, *, first: bool = False) -> None:
        """See that this host holds its part of the capacity."""
        desk = self.project.desk
        if desk is not None:
            policy = desk.answerer.loadout.policy
            if await asyncio.to_thread(self.capacity.renew, policy, wall_clock(), first=first):
                desk.answerer.loadout.decider.look_again()


class _Server:
    def __init__(self, settings: ServerSettings, *, say: Say) -> None:
        self._settings, self._say = settings, say
        self._started_at = wall_clock()
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._store: Store = open_store(settings.lake, options=settings.store_options, begun=True)
        self._spool = Spool(settings.spool)
        self._places: dict[str, _Place] = {}
        self._news = asyncio.Event()

    async def run(self, sockets: Sequence[socket.socket], ready: Callable[[], None]) -> None:
        """Open everything, answer until told to end, then end in order."""
        settings = self._settings
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        metrics = ServerMetrics(
            settings.spool / "metrics", f"{os.getpid()}-{self._started_at}", started_at=self._started_at / 1e6
        )
        for name in settings.projects:
            self._places[name] = await self._open(name, metrics)
        projects = {name: place.project for name, place in self._places.items()}
        teller = Teller(
            projects,
            lambda is_ready: Endpoints(
                {name: project.desk for name, project in projects.items() if project.desk is not None},
                metrics=lambda openmetrics: metrics.text(openmetrics=openmetrics),
                is_ready=is_ready,
                scheme="http" if settings.certificate is None else "https",
            ),
            clock=wall_clock,
            ticks=time.monotonic_ns,
            metrics=metrics,
            rehearsing=settings.rehearsing,
        )
        front = Front(teller.handle, settings.limits, watcher=metrics)
        tls = self._tls()
        await front.start(sockets, tls)
        beside = (self._keep_up(metrics), self._tell_news(), self._look_after(metrics), self._report())
        looking = [asyncio.create_task(each) for each in beside]
        for task in looking:
            task.add_done_callback(lambda _: stopping.set())  # without them nothing desired would arrive any more
        # what was opened stays for good: the garbage collector need not look at it again with every request
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GARBAGE_AFTER, 20, 50)
        ready()
        await stopping.wait()
        teller.is_stopping = True
        await front.stop(settings.grace_seconds)
        for task in looking:
            task.cancel()
        await self._close()

    def _tls(self) -> ssl.SSLContext | None:
        settings = self._settings
        if settings.certificate is None or settings.certificate_key is None:
            return None
        return tls_context(settings.certificate, settings.certificate_key)

    async def _open(self, name: str, metrics: ServerMetrics) -> _Place:
        loop = asyncio.get_running_loop()
        settings, spool = self._settings, self._spool
        durability = await asyncio.to_thread(self._durability_of, name)
        sealing = Sealing(
            lambda columns: PersonalSealer(spool.keys(name), columns, clock=wall_clock, synced=durability == "disk")
        )
        capacity = HostCapacity(
            name,
            spool.counters(name),
            store=self._store,
            host=spool.host(),
            sync=durability == "disk",
            rehearsing=settings.rehearsing,
        )

        def needed() -> None:
            """Put on the disk what the records of a commit need, or follow from: keys and tokens."""
            sealing.sync()
            capacity.sync()

        recorder = make_recorder(
            RollingSegments(spool.hot(name), name, clock=wall_clock),
            durability=durability,
            loop=loop,
            clock=time.monotonic,
            logged=metrics.logged,
            with_each_commit=needed,
        )
        project = ServedProject(
            name, recorder=recorder, tokens=capacity.tokens, ticks=time.monotonic_ns, sealing=sealing
        )
        keeper = Keeper(
            name,
            store=self._store,
            spool=spool,
            opening=Opening(settings.trusted_keys, spool.environments),
            today=lambda: dt.datetime.now(dt.UTC).date(),
            adopt=lambda state, opened: self._adopt(project, capacity, metrics, state, opened),
        )
        await keeper.start()
        place = _Place(project, keeper, recorder, capacity)
        await place.renew(first=True)
        return place

    def _durability_of(self, name: str) -> Literal["process", "disk"]:
        """Return how records are kept; it is read once, at the start."""
        with contextlib.suppress(LakeError):
            return read_desired(self._store, name).durability
        recalled = self._spool.recall(name)
        return recalled.durability if recalled else "process"

    def _adopt(
        self,
        project: ServedProject,
        capacity: HostCapacity,
        metrics: ServerMetrics,
        state: DesiredState,
        opened: Mapping[str, OpenedBundle],
    ) -> None:
        before = project.state
        project.adopt(state, opened)
        if project.desk is not None:
            policy = project.desk.answerer.loadout.policy
            capacity.limit(policy, state.capacity, version=state.version, now=wall_clock())
        for role in before.bundles if before else ():
            metrics.set_gauge("trueup_bundle_loaded", 0.0, digest=role.digest, role=role.role)
        for role in state.bundles:
            metrics.set_gauge("trueup_bundle_loaded", 1.0, digest=role.digest, role=role.role)
        metrics.set_gauge("trueup_desired_version", state.version)

    # --- what goes on beside answers

    async def _keep_up(self, metrics: ServerMetrics) -> None:
        is_near = isinstance(self._store, FolderStore)
        while True:
            if is_near:
                await asyncio.to_thread(self._wait_for_change)
            else:
                await asyncio.sleep(self._settings.look_afar_seconds)
            for place in self._places.values():
                with place.going_on():
                    await self._look(place, metrics)

    def _wait_for_change(self) -> None:
        """Return once something else is desired, or after a while; in a thread, so that looking wakes no other one."""
        ends = time.monotonic() + self._settings.look_afar_seconds
        while time.monotonic() < ends:
            time.sleep(self._settings.look_seconds)  # first: whatever a look leaves undone, the next is not at once
            for place in self._places.values():
                with place.going_on():
                    if place.keeper.is_behind():
                        return

    async def _look(self, place: _Place, metrics: ServerMetrics) -> None:
        await place.keeper.look()
        await place.catch_up()
        metrics.set_gauge("trueup_circuit_open", float(place.project.has_open_circuit))
        place.fault = None
        is_news = place.keeper.version != place.version_told
        if place.problem != place.told:
            place.told, is_news = place.problem, True
            with contextlib.suppress(OSError, ValueError):  # nobody reads what is said any more
                self._say(f"{place.project.name}: {place.told or 'all is well again'}")
        if is_news:  # an operator waits to see it
            place.version_told = place.keeper.version
            place.has_news = True
            self._news.set()

    async def _tell_news(self) -> None:
        """Tell what changed at once, and let nobody who looks wait until it is written."""
        while True:
            await self._news.wait()
            self._news.clear()
            for place in self._places.values():
                if place.has_news:
                    place.has_news = False
                    with place.going_on():
                        await self._tell_status(place)

    async def _look_after(self, metrics: ServerMetrics) -> None:
        while True:
            await asyncio.sleep(_LOOK_AFTER_SECONDS)
            for place in self._places.values():
                with place.going_on():
                    for digest in place.keeper.look_after():
                        place.project.ask_again(digest)
                        metrics.restarted(digest)

    async def _report(self) -> None:
        while True:
            for place in self._places.values():
                with place.going_on():
                    await place.renew()
                    await self._tell_status(place)
            await asyncio.sleep(self._settings.report_seconds)

    async def _tell_status(self, place: _Place) -> None:
        with contextlib.suppress(LakeError, OSError):  # told by the keeper, who reads the same lake
            await asyncio.to_thread(self._report_of, place)

    def _report_of(self, place: _Place) -> None:
        desk = place.project.desk
        counts = place.project.counts
        fallbacks = sum(desk.answerer.counts.fallbacks.values()) if desk else 0
        status = ServerStatus(
            server=self._name,
            project=place.project.name,
            version=place.keeper.version,
            bundles=place.keeper.statuses,
            started_at=self._started_at,
            reported_at=wall_clock(),
            served=counts.served,
            logged=place.recorder.counts.rows,
            shed=counts.shed,
            fallback=fallbacks,
            open_circuit=place.project.has_open_circuit,
            problem=place.problem,
        )
        write_status(self._store, status)

    async def _close(self) -> None:
        for place in self._places.values():
            await place.recorder.close()
            place.project.close()
            await place.keeper.close()
            place.capacity.close()
            with contextlib.suppress(TrueupError, OSError):  # the last report; the log itself is whole
                await asyncio.to_thread(self._report_of, place)


def wall_clock() -> int:
    """Return microseconds UTC."""
    return time.time_ns() // 1000
