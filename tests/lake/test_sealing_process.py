"""Does the process that seals go on when the lake is gone, and end when it is asked to?"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.lake.log_making import NOON, a_prediction, a_segment

from trueup.lake.desired_state import ServerStatus, read_statuses, write_status
from trueup.lake.errors import StoreUnavailable
from trueup.lake.folder_store import FolderStore
from trueup.lake.log_manifest import LogManifest
from trueup.lake.sealing import Sealer
from trueup.lake.sealing_process import ELSEWHERE, keep_sealing
from trueup.lake.segments import list_segments
from trueup.lake.told_output import MOST_BYTES


class Gone(FolderStore):
    """A lake that does not answer while it is gone."""

    gone = True

    def get(self, key: str) -> bytes:
        if self.gone:
            raise StoreUnavailable("the lake does not answer")
        return super().get(key)


def test_it_goes_on_without_the_lake_and_catches_up(tmp_path: Path) -> None:
    store, hot = Gone(tmp_path / "lake"), tmp_path / "hot"
    told: list[dict[str, object]] = []

    sealer = Sealer(store, "p", hot=hot, clock=lambda: NOON)
    for step in range(3):
        a_segment(hot, [a_prediction()], now=NOON + step)
        keep_sealing(sealer, passes=iter([step]), tell=told.append)
    assert len(list_segments(hot)) == 3
    assert [fact["problem"] for fact in told] == ["the lake does not answer"] * 3

    def until_back() -> Iterator[int]:
        for step in range(4):
            store.gone = step < 2
            yield step

    told.clear()
    keep_sealing(sealer, passes=until_back(), tell=told.append)
    assert told[0]["problem"] == "the lake does not answer"
    assert told[1] == {"problem": None}
    assert (told[2]["segments"], told[2]["rows"]) == (3, 3)
    assert len(told) == 3
    assert list_segments(hot) == ()


def test_what_fails_beside_sealing_is_told_once_and_when_it_is_over(tmp_path: Path) -> None:
    told: list[dict[str, object]] = []
    fails = iter([True, True, False, False])

    def beside() -> None:
        if next(fails):
            raise StoreUnavailable("no statuses")

    sealer = Sealer(FolderStore(tmp_path / "lake"), "p", hot=tmp_path / "hot", clock=lambda: NOON)
    keep_sealing(sealer, passes=iter(range(4)), tell=told.append, beside=beside)
    assert told == [{"beside": "no statuses", "code": StoreUnavailable.code}, {"beside": None}]


def test_it_tells_what_it_seals_and_ends_when_asked(tmp_path: Path) -> None:
    hot = tmp_path / "hot"
    a_segment(hot, [a_prediction()], torn=b"x")
    unnamed = hot / ".0000000000000001~host~1~0000000000000000.segment"
    unnamed.write_bytes(b"")
    command = [sys.executable, "-m", "trueup.lake.sealing_process", "--lake", str(tmp_path / "lake")]
    command += ["--project", "p", "--hot", str(hot), "--seconds", "3600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        a_segment(hot, [a_prediction()])
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert told == {"segments": 1, "rows": 1, "torn_bytes": 1, "waiting": {}, "damaged": {}}
    assert list_segments(hot) == ()  # a last pass
    assert not unnamed.exists()
    manifest = LogManifest(FolderStore(tmp_path / "lake"), "p")
    assert manifest.refresh() == 2


def test_asked_to_end_before_it_is_ready_it_still_makes_its_last_pass(tmp_path: Path) -> None:
    hot = tmp_path / "hot"
    a_segment(hot, [a_prediction()])
    command = [sys.executable, "-m", "trueup.lake.sealing_process", "--lake", str(tmp_path / "lake")]
    command += ["--project", "p", "--hot", str(hot), "--seconds", "3600"]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # as the supervisor starts it
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert list_segments(hot) == ()


def test_it_ends_with_whoever_started_it_after_a_last_pass(tmp_path: Path) -> None:
    hot = tmp_path / "hot"
    a_segment(hot, [a_prediction()])
    command = [sys.executable, "-m", "trueup.lake.sealing_process", "--lake", str(tmp_path / "lake")]
    command += ["--project", "p", "--hot", str(hot), "--seconds", "3600", "--with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert json.loads(process.stdout.readline())["rows"] == 1
        a_segment(hot, [a_prediction()])
        beside = subprocess.run(command, input=b"", stdout=subprocess.PIPE, check=False)
        assert beside.returncode == ELSEWHERE
        assert json.loads(beside.stdout)["code"] == "lake.sealing-elsewhere"
        process.stdin.close()
        assert process.wait() == 0
    assert list_segments(hot) == ()


def test_what_it_tells_is_bounded_and_servers_that_ended_are_added_up(tmp_path: Path) -> None:
    hot, log, store = tmp_path / "hot", tmp_path / "sealing.log", FolderStore(tmp_path / "lake")
    log.write_bytes(b"x" * MOST_BYTES)
    a_segment(hot, [a_prediction()])
    status = ServerStatus(
        server="h-1",
        project="p",
        version=1,
        bundles=(),
        started_at=1,
        reported_at=2,
        served=3,
        logged=3,
        shed=0,
        fallback=0,
    )
    write_status(store, status)
    command = [sys.executable, "-m", "trueup.lake.sealing_process", "--lake", str(tmp_path / "lake")]
    command += ["--project", "p", "--hot", str(hot), "--with-stdin", "--log", str(log)]
    assert subprocess.run(command, input=b"", check=False).returncode == 0
    assert log.with_name("sealing.log.1").stat().st_size == MOST_BYTES
    assert json.loads(log.read_text().splitlines()[0])["rows"] == 1
    assert [(one.server, one.served) for one in read_statuses(store, "p")] == [("ended", 3)]
    assert not store.exists("serving/p/status/h-1.json")
