"""Does an answer say of the log what is so? Told over real records, with a recorder that has little room."""

from __future__ import annotations

import asyncio
import errno
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.lake.failing_disk import BROKEN, FailingDisk, in_turn
from tests.serve.desks import AUTHORIZATION, PROJECT, desk
from tests.serve.loadouts import NOON, RISKY, document_of, loadout

from trueup.align.charter import Capacity
from trueup.align.streaming import MemoryTokens
from trueup.lake.capacity_file import CapacityFile
from trueup.lake.personal import PersonalSealer
from trueup.lake.rolling import RollingSegments
from trueup.lake.segments import list_segments, read_segment
from trueup.serve.endpoints import Endpoints
from trueup.serve.http_messages import Request, Response
from trueup.serve.loadout import Loadout
from trueup.serve.metrics import ServerMetrics, exposition
from trueup.serve.recording import RecorderLimits, make_recorder
from trueup.serve.served_project import Sealing, ServedProject
from trueup.serve.telling import Teller

Durability = Literal["process", "disk"]


@dataclass
class Asked:
    """A request as the front gives it, and how it was answered."""

    path: bytes
    body: bytes
    method: bytes = b"POST"
    headers: dict[bytes, bytes] = field(default_factory=lambda: {b"authorization": AUTHORIZATION})
    received_at: float = 0.0
    told: asyncio.Future[Response] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def reply(self, response: Response) -> None:
        self.told.set_result(response)


async def told_of(
    folder: Path,
    durability: Durability,
    *requests: tuple[bytes, Any],
    given: Loadout | None = None,
    with_each_commit: Callable[[], None] | None = None,
) -> tuple[list[int], int, bytes]:
    """Return the statuses of requests of one moment, how many records the log has then, and the metrics."""
    recorder_metrics = ServerMetrics(folder / "metrics", "one", started_at=0.0)
    recorder = make_recorder(
        RollingSegments(folder / "hot", PROJECT, clock=lambda: NOON),
        durability=durability,
        loop=asyncio.get_running_loop(),
        clock=lambda: 0.0,
        limits=RecorderLimits(buffered_bytes=20_000),
        logged=recorder_metrics.logged,
        with_each_commit=with_each_commit,
    )
    project = ServedProject(
        PROJECT, recorder=recorder, tokens=MemoryTokens(), ticks=time.monotonic_ns, sealing=Sealing(_seal_nothing)
    )
    project.desk = desk(given)
    desks = {PROJECT: project.desk}
    teller = Teller(
        {PROJECT: project},
        lambda is_ready: Endpoints(desks, metrics=lambda _openmetrics: b"", is_ready=is_ready),
        clock=lambda: NOON,
        ticks=time.monotonic_ns,
        metrics=recorder_metrics,
    )
    asked = [Asked(path, json.dumps(body).encode()) for path, body in requests]
    for request in asked:
        if (at_once := teller.handle(_as_request(request))) is not None:
            request.reply(at_once)
    statuses = [(await request.told).status for request in asked]
    await recorder.close()
    metrics = exposition(folder / "metrics", openmetrics=False)
    recorder_metrics.close()
    return statuses, sum(len(read_segment(path).frames) for path in list_segments(folder / "hot")), metrics


def _as_request(asked: Asked) -> Request:
    given: Any = asked
    return given  # type: ignore[no-any-return]  # has what a teller asks of a request


def _seal_nothing(columns: tuple[str, ...]) -> Any:
    raise AssertionError("nothing is personal here")


def events(*sizes: int) -> tuple[bytes, Any]:
    return b"/events", [{"kind": f"e{place}", "facts": {"x": "y" * size}} for place, size in enumerate(sizes)]


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_facts_of_one_request_are_logged_all_or_none(tmp_path: Path, durability: Durability) -> None:
    requests = (events(6000, 10), events(6000, 15_000, 10))  # of the second, some would fit
    statuses, logged, _ = asyncio.run(told_of(tmp_path, durability, *requests))
    assert statuses == [200, 503]
    assert logged == 2


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_only_predictions_that_were_told_and_written_are_counted(tmp_path: Path, durability: Durability) -> None:
    row = {**RISKY, "case": "x" * 7_000}
    requests = [(f"/predict/{PROJECT}".encode(), {"rows": [row]})] * 3
    statuses, logged, metrics = asyncio.run(told_of(tmp_path, durability, *requests, events(1)))
    assert statuses == [200, 503, 503, 200]
    assert logged == 2
    for line in ("served_total 1", "logged_total 1", "unlogged 0"):
        assert f"trueup_predictions_{line}\n".encode() in metrics


@pytest.mark.parametrize("refused", [False, True])
def test_the_tokens_of_a_hundred_rows_are_on_the_disk_with_one_sync_before_any_answer_leaves(
    tmp_path: Path, refused: bool
) -> None:
    disk = FailingDisk(on_flush=lambda: BROKEN if refused else None)
    tokens = CapacityFile(tmp_path / "capacity", sync=True, disk=disk)
    many = loadout(tokens=tokens, document=document_of(capacity=Capacity(1_000, "day")))
    path = f"/predict/{PROJECT}".encode()
    requests = [(path, {"rows": [{**RISKY, "case": f"{part}-{row}"} for row in range(50)]}) for part in "ab"]
    statuses, logged, _ = asyncio.run(told_of(tmp_path, "disk", *requests, given=many, with_each_commit=tokens.sync))
    assert (statuses, logged) == (([503, 503], 0) if refused else ([200, 200], 2))
    assert disk.flushes == 1
    assert sum(CapacityFile(tmp_path / "capacity").used(start)[0] for start in many_periods(tmp_path)) == 100


def many_periods(folder: Path) -> list[int]:
    return [int(path.stem) for path in (folder / "capacity").glob("*.tokens")]


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_row_whose_personal_values_cannot_be_sealed_is_refused_and_nowhere(
    tmp_path: Path, durability: Durability
) -> None:
    full = FailingDisk(on_create=in_turn(errno.ENOSPC, errno.EIO))
    sealer = PersonalSealer(tmp_path / "keys", ("name",), clock=lambda: NOON, disk=full, synced=False)
    row = (f"/predict/{PROJECT}".encode(), {"rows": [{**RISKY, "name": "Esmeraldine"}]})
    statuses, logged, metrics = asyncio.run(
        told_of(tmp_path, durability, row, row, row, given=loadout(seal=sealer.seal_rows))
    )
    sealer.close()
    assert statuses == [503, 503, 200]
    assert logged == 1
    assert b'trueup_requests_shed_total{reason="not-logged"} 2\n' in metrics
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"Esmeraldine" in content for content in written)
